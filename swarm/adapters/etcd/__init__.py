"""The replicated log in an etcd cluster of the operator's own: `log: {kind: etcd, ...}` in node.yaml."""

from __future__ import annotations

from swarm.adapters.etcd.client import EtcdClient
from swarm.adapters.etcd.log import EtcdLog
from swarm.adapters.etcd.settings import EtcdSettings

__all__ = ["EtcdClient", "EtcdLog", "EtcdSettings"]
