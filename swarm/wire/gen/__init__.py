"""Generated from proto/swarm/v1 by `python -m swarm.wire.generate`; never edited."""
