"""A machine that is too small for an agent does not host it."""

import pytest

from swarm.errors import AgentRefused
from swarm.ids import AgentName
from swarm.node import needs
from swarm.ports import Image


class Small:
    def load(self):
        return 0.0

    def memory_mb(self):
        return 1000

    def cpu_cores(self):
        return 2.0


def image(**least):
    return Image(AgentName("large"), "python", b"", {}, 512, 1.0, 16, **least)


def test_what_the_machine_has_is_enough():
    needs.check(image(), Small())
    needs.check(image(memory_mb_min=1000, cpu_cores_min=2.0), Small())


@pytest.mark.parametrize(
    ("least", "key"),
    [({"memory_mb_min": 1001}, "minimum_memory_mb"), ({"cpu_cores_min": 2.5}, "minimum_cpu_cores")],
)
def test_what_it_has_not_is_named(least, key):
    with pytest.raises(AgentRefused) as caught:
        needs.check(image(**least), Small())
    assert caught.value.place == f"resources.requirements.{key}"
