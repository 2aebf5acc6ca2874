"""The Python door: submit graphs, follow runs, deploy agents, look at the cluster."""

from swarm.client.blocking import BlockingRun as BlockingRun
from swarm.client.blocking import BlockingSwarm as BlockingSwarm
from swarm.client.coordinators import CoordinatorInfo as CoordinatorInfo
from swarm.client.door import Swarm as Swarm
from swarm.client.profile import ClusterProfile as ClusterProfile
from swarm.client.records import AgentInfo as AgentInfo
from swarm.client.records import ClusterStatus as ClusterStatus
from swarm.client.records import Event as Event
from swarm.client.records import NodeInfo as NodeInfo
from swarm.client.records import PlaceInfo as PlaceInfo
from swarm.client.records import PlacingInfo as PlacingInfo
from swarm.client.records import ProgressInfo as ProgressInfo
from swarm.client.records import RunDetails as RunDetails
from swarm.client.records import RunEnded as RunEnded
from swarm.client.records import RunInfo as RunInfo
from swarm.client.records import StepDone as StepDone
from swarm.client.records import StepInfo as StepInfo
from swarm.client.run import Run as Run
from swarm.client.tokens import TokenInfo as TokenInfo
