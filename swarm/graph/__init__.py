"""The graph: what every door compiles to and the scheduler runs."""

from swarm.graph.check import input_problems as input_problems
from swarm.graph.check import problems as problems
from swarm.graph.codec import decode as decode
from swarm.graph.codec import digest as digest
from swarm.graph.codec import encode as encode
from swarm.graph.model import KINDS as KINDS
from swarm.graph.model import Bond as Bond
from swarm.graph.model import Catalogue as Catalogue
from swarm.graph.model import Context as Context
from swarm.graph.model import Edge as Edge
from swarm.graph.model import Endpoint as Endpoint
from swarm.graph.model import Feed as Feed
from swarm.graph.model import Firing as Firing
from swarm.graph.model import Graph as Graph
from swarm.graph.model import Items as Items
from swarm.graph.model import Node as Node
from swarm.graph.model import NodeName as NodeName
from swarm.graph.model import OnFailure as OnFailure
from swarm.graph.model import Outlet as Outlet
from swarm.graph.model import Payload as Payload
from swarm.graph.model import Port as Port
from swarm.graph.model import PortName as PortName
from swarm.graph.model import Priority as Priority
from swarm.graph.model import Resources as Resources
from swarm.graph.model import Retry as Retry
from swarm.graph.model import Signature as Signature
