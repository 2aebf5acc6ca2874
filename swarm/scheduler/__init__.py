"""The scheduler: a pure fold from events to actions; see `swarm.scheduler.machine`."""
