"""The same ports as the adapters, in one process: deterministic, and shipped to users.

Twins: `clock` (virtual time), `log` (replication), `cells` (agents as Python functions that fail, hang or
die), `links` (between nodes and coordinators; they break), `disk` (files, journals). `cluster` runs the
real drivers on all of them. `scheduling` and `chaos` try the scheduler alone, with bad luck, on `graphs`
whose bonds `oracle` reads by definition.
"""
