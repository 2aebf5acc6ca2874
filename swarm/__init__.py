"""Neural Swarm: runs neural agents nobody has to trust.

This is the door. Behind each name below stands a module that is loaded when the name is first used, so
`import swarm` costs next to nothing. What is not listed here is private, except these doors of their own:
`swarm.graph` (the whole model), `swarm.errors` (the whole error tree), `swarm.doors` (ways to ask for work)
and `swarm.testing` (the simulated world).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from swarm.client import AgentInfo as AgentInfo
    from swarm.client import BlockingSwarm as BlockingSwarm
    from swarm.client import ClusterProfile as ClusterProfile
    from swarm.client import NodeInfo as NodeInfo
    from swarm.client import Run as Run
    from swarm.client import RunEnded as RunEnded
    from swarm.client import RunInfo as RunInfo
    from swarm.client import StepDone as StepDone
    from swarm.client import Swarm as Swarm
    from swarm.client.coordination import SwarmCoordinator as SwarmCoordinator
    from swarm.client.decomposer import TaskDecomposer as TaskDecomposer
    from swarm.client.executor import SwarmExecutor as SwarmExecutor
    from swarm.client.functions import step as step
    from swarm.daemons.local import LocalCluster as LocalCluster
    from swarm.doors.document.load import load as load_graph
    from swarm.errors import GraphRefused as GraphRefused
    from swarm.errors import LimitReached as LimitReached
    from swarm.errors import Mistake as Mistake
    from swarm.errors import PeerFault as PeerFault
    from swarm.errors import RunFailed as RunFailed
    from swarm.errors import SwarmError as SwarmError
    from swarm.graph import Bond as Bond
    from swarm.graph import Edge as Edge
    from swarm.graph import Endpoint as Endpoint
    from swarm.graph import Feed as Feed
    from swarm.graph import Graph as Graph
    from swarm.graph import Node as Node
    from swarm.graph import Outlet as Outlet
    from swarm.graph import Payload as Payload
    from swarm.graph import Priority as Priority
    from swarm.graph import Retry as Retry

_WHERE = {
    "AgentInfo": "swarm.client:AgentInfo",
    "BlockingSwarm": "swarm.client:BlockingSwarm",
    "Bond": "swarm.graph:Bond",
    "ClusterProfile": "swarm.client:ClusterProfile",
    "Edge": "swarm.graph:Edge",
    "Endpoint": "swarm.graph:Endpoint",
    "Feed": "swarm.graph:Feed",
    "Graph": "swarm.graph:Graph",
    "GraphRefused": "swarm.errors:GraphRefused",
    "LimitReached": "swarm.errors:LimitReached",
    "LocalCluster": "swarm.daemons.local:LocalCluster",
    "Mistake": "swarm.errors:Mistake",
    "Node": "swarm.graph:Node",
    "NodeInfo": "swarm.client:NodeInfo",
    "Outlet": "swarm.graph:Outlet",
    "Payload": "swarm.graph:Payload",
    "PeerFault": "swarm.errors:PeerFault",
    "Priority": "swarm.graph:Priority",
    "Retry": "swarm.graph:Retry",
    "Run": "swarm.client:Run",
    "RunEnded": "swarm.client:RunEnded",
    "RunFailed": "swarm.errors:RunFailed",
    "RunInfo": "swarm.client:RunInfo",
    "StepDone": "swarm.client:StepDone",
    "Swarm": "swarm.client:Swarm",
    "SwarmError": "swarm.errors:SwarmError",
    "TaskDecomposer": "swarm.client.decomposer:TaskDecomposer",
    "SwarmCoordinator": "swarm.client.coordination:SwarmCoordinator",
    "SwarmExecutor": "swarm.client.executor:SwarmExecutor",
    "step": "swarm.client.functions:step",
    "load_graph": "swarm.doors.document.load:load",
}

__all__ = [
    "AgentInfo",
    "BlockingSwarm",
    "Bond",
    "ClusterProfile",
    "Edge",
    "Endpoint",
    "Feed",
    "Graph",
    "GraphRefused",
    "LimitReached",
    "LocalCluster",
    "Mistake",
    "Node",
    "NodeInfo",
    "Outlet",
    "Payload",
    "PeerFault",
    "Priority",
    "Retry",
    "Run",
    "RunEnded",
    "RunFailed",
    "RunInfo",
    "StepDone",
    "Swarm",
    "SwarmCoordinator",
    "SwarmError",
    "SwarmExecutor",
    "TaskDecomposer",
    "load_graph",
    "step",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'swarm' has no attribute {name!r}")
    module, _, attribute = _WHERE[name].partition(":")
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(_WHERE)
