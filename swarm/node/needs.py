"""What an agent needs of the machine it runs on, as its file says it."""

from __future__ import annotations

from swarm.errors import AgentRefused
from swarm.ports import Image, Machine


def check(image: Image, machine: Machine) -> None:
    """Raises `AgentRefused` where the machine is too small; what cells may take is bounded elsewhere."""
    for key, needed, there in (
        ("minimum_memory_mb", image.memory_mb_min, machine.memory_mb()),
        ("minimum_cpu_cores", image.cpu_cores_min, machine.cpu_cores()),
    ):
        if needed > there:
            raise AgentRefused(
                f"{image.name} needs {needed:g}, this machine has {there:g}",
                place=f"resources.requirements.{key}",
                remedy="let it run on larger nodes, or lower what its file asks for",
            )
