"""Keep gRPC's own log off the terminal: what went wrong is told once, by us. Import this before `grpc`."""

from __future__ import annotations

import os

os.environ.setdefault("GRPC_VERBOSITY", "NONE")
