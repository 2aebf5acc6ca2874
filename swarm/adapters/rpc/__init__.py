"""gRPC: the one port every daemon listens on, and how one process calls another."""
