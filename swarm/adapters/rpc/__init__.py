"""gRPC: the one port every daemon listens on, and how one process calls another."""

import swarm.adapters.tls as _tls  # must run before anything loads grpc

_tls.require_tls13()
