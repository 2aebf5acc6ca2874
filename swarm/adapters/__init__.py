"""Everything that touches the world: each package implements a port of `swarm.ports`."""
