"""Generated from proto/ by `python -m swarm.wire.generate`; never edited."""
