"""The replicated log on pysyncobj, made safe: nothing acknowledged is lost, nothing is unpickled."""

from __future__ import annotations

from swarm.adapters.raft.log import EXIT_FATAL, PysyncobjLog, stop_process
from swarm.adapters.raft.runner import LogStatus
from swarm.adapters.raft.settings import RaftSettings
from swarm.errors import LogDamaged

__all__ = ["EXIT_FATAL", "LogDamaged", "LogStatus", "PysyncobjLog", "RaftSettings", "stop_process"]
