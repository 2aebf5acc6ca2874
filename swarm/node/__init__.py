"""The node: hosts agents in cells and runs what the leader assigns."""

from swarm.node.calls import Call as Call
from swarm.node.data import Data as Data
from swarm.node.worker import Worker as Worker
from swarm.node.worker import WorkerOptions as WorkerOptions
from swarm.node.worker import WorkerPorts as WorkerPorts
