"""The coordinator: drives the scheduler from the replicated log and the nodes' links."""

from swarm.coordinator.admissions import Admissions as Admissions
from swarm.coordinator.deployments import Deployments as Deployments
from swarm.coordinator.driver import Coordinator as Coordinator
from swarm.coordinator.identities import Identities as Identities
from swarm.coordinator.links import NodeLink as NodeLink
from swarm.coordinator.links import NodeStatus as NodeStatus
