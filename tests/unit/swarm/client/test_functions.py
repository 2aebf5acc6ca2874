from __future__ import annotations

import math
import re as regular

import numpy as np
import pytest

import af
from swarm import step
from swarm.client.session import runnable
from swarm.errors import Mistake

LIMIT = {"words": [1, 2, 3]}
HIDDEN = object()


def helper(text):
    return regular.sub(r"\s+", " ", text)


@step
def tidy(text: str, upper: bool = False) -> str:
    """Blanks are single afterwards."""
    words = helper(text)[: len(LIMIT["words"]) + int(math.sqrt(4))]
    return words.upper() if upper else words


def as_agent(function):
    """The module that travels, run here: what a node makes of it."""
    source = function.agent().partition(b"---BINARY_SECTION:python_module---\n")[2].decode()
    space = {"__name__": "agent"}
    exec(compile(source, "agent", "exec"), space)
    return lambda **inputs: space["Agent"]().process_input(function.capability, inputs)["value"]


def test_a_step_is_still_the_function_it_was():
    assert tidy("a   b") == "a b"
    assert tidy.__name__ == "tidy"


def test_what_travels_is_whole_and_does_the_same():
    assert as_agent(tidy)(text="a   b  c", upper=True) == tidy("a   b  c", upper=True) == "A B C"


def test_the_agent_file_compiles_and_has_the_parameters_as_ports():
    header = af.parse(runnable(tidy.agent())).header
    (capability,) = header.capabilities
    assert header.description == "Blanks are single afterwards."
    assert [(port.name, port.optional) for port in capability.inputs] == [("text", False), ("upper", True)]
    assert [port.name for port in capability.outputs] == ["value"]


def test_annotations_say_what_a_port_carries_and_views_arrive_as_views():
    @step
    def look(image: np.ndarray, data: memoryview, raw: bytes, rest: int = 0) -> list:
        return [type(data).__name__, bytes(data[1:3]).decode(), rest]

    (capability,) = af.parse(runnable(look.agent())).header.capabilities
    assert [port.kind for port in capability.inputs] == ["tensor", "bytes", "bytes", "any"]
    assert as_agent(look)(image=np.zeros(2), data=b"abcd", raw=b"") == ["memoryview", "bc", 0]


def test_options_reach_the_header():
    @step(capability="text:count", deterministic=True, once=False, memory_mb=64)
    def count(text: str) -> int:
        return len(text)

    header = af.parse(runnable(count.agent())).header
    assert (count.capability, header.capabilities[0].deterministic) == ("text:count", True)
    assert header.resources.limits.memory_mb == 64


def test_arguments_of_a_node_are_constants_and_the_others_stay_open():
    node = tidy.node("one", upper=True)
    assert [(port, payload.data) for port, payload in node.literals] == [("upper", b"true")]
    with pytest.raises(Mistake, match="unexpected keyword argument 'lower'"):
        tidy.node("one", lower=True)


def test_equal_functions_have_equal_names_and_others_do_not():
    def made(times):
        namespace = {}
        exec("", namespace)
        return times

    one, two = step(helper), step(helper)
    assert one.name == two.name
    assert step(helper).name != step(made).name


def closing():
    outer = 1

    def inner():
        return outer

    return inner


def hidden():
    return HIDDEN


def missing():
    return nowhere  # noqa: F821


def starred(*values):
    return values


async def later():
    return 1


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (closing(), "closes over outer"),
        (hidden, "'HIDDEN', a object that cannot go along"),
        (missing, "'nowhere', which is nowhere"),
        (starred, "has no name of its own"),
        (later, "no plain function"),
        (len, "no plain function"),
        (lambda: 1, "it is no function written with `def`|cannot be read"),
    ],
)
def test_what_could_not_run_elsewhere_is_refused_and_the_reason_named(function, why):
    with pytest.raises(Mistake, match=why):
        step(function)


def test_a_function_that_works_row_by_row_says_so():
    @step(rows=["notes"])
    def upper(notes: list, mark: str = "") -> list:
        return [note.upper() + mark for note in notes]

    header = af.parse(runnable(upper.agent())).header
    assert header.capabilities[0].rows == ("notes", "value")
    assert as_agent(upper)(notes=["a"], mark="!") == ["A!"]
    with pytest.raises(Mistake, match="no parameter 'texts'"):
        step(rows=["texts"])(helper)
