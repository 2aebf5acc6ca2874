import pytest

from sandbox import AgentImage, CellLimits, CellSpec, Refused
from sandbox.attempts import ATTEMPTS
from sandbox.cgroups import CONTROLLERS
from sandbox.edge import LAYER
from sandbox.spec import LAYERS


def test_the_profile_follows_the_kind() -> None:
    assert CellSpec(AgentImage("a", "wasm", b"")).profile == "wasm"
    assert CellSpec(AgentImage("a", "python", b"")).profile == "strict"


def test_compiled_wasm_needs_the_profile_that_may_compile() -> None:
    with pytest.raises(Refused, match="no executable memory"):
        CellSpec(AgentImage("a", "wasm", b""), profile="strict")


@pytest.mark.parametrize(
    "limits",
    [
        {"memory_bytes": 0},
        {"cpu_cores": 0},
        {"wall_ms": 0},
        {"open_files": 3},
        {"threads": 1},
        {"output_bytes": 1 << 40},
    ],
)
def test_a_limit_nobody_can_live_with_is_refused_by_name(limits: dict[str, int]) -> None:
    with pytest.raises(Refused) as caught:
        CellLimits(**limits)
    assert caught.value.place == f"limits.{next(iter(limits))}"


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        (("", "wasm", b""), "image.name"),
        (("x" * 201, "wasm", b""), "image.name"),
        (("a", "java", b""), "image.kind"),
        (("a", "python", bytes((64 << 20) + 1)), "image.code"),
    ],
)
def test_an_image_that_is_none_is_refused(arguments: tuple, place: str) -> None:
    with pytest.raises(Refused) as caught:
        AgentImage(*arguments)
    assert caught.value.place == place


def test_an_unknown_profile_is_refused() -> None:
    with pytest.raises(Refused, match="unknown"):
        CellSpec(AgentImage("a", "python", b""), profile="loose")


def test_the_layers_one_may_require_are_those_a_host_can_attest():
    tried = {attempt.layer for attempt in ATTEMPTS.values()}
    assert set(LAYERS) == {*tried, *(f"cgroup.{name}" for name in CONTROLLERS), LAYER}
