"""The agents that ship with the project: built from their sources, and right on their own examples."""

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import af
from af.source import build

AGENTS = Path(__file__).resolve().parents[3] / "agents"
PYTHON_AGENTS = ("doubtful", "report", "rows", "split")


def examples():
    for name in PYTHON_AGENTS:
        document = json.loads((AGENTS / name / "examples.json").read_text())
        for example in document["examples"]:
            capability = example.get("capability") or document["capability"]
            yield pytest.param(name, capability, example, id=f"{name}: {example['name']}")


def load(name):
    """The agent's own module, from the built file; it is ours, so it may run in this process."""
    run = af.executable(af.parse((AGENTS / name / f"{name}.af").read_bytes()))
    module = ModuleType(name)
    exec(compile(run.code, name, "exec"), module.__dict__)
    return module.Agent(), {capability.name: capability for capability in run.capabilities}


def port_value(port, value):
    if port.kind != "tensor":
        return value
    assert port.dtype == "f32"
    shape = [-1 if extent is None else extent for extent in port.shape]
    items = [np.asarray(item, np.float32).reshape(shape) for item in (value if port.many else [value])]
    return items if port.many else items[0]


@pytest.mark.parametrize("name", PYTHON_AGENTS)
def test_the_built_file_is_what_its_sources_build(name):
    built = af.write(af.compile_agent(build(AGENTS / name / f"{name}.yaml")))
    assert built == (AGENTS / name / f"{name}.af").read_bytes(), (
        f"run: af-compile agents/{name}/{name}.yaml -o agents/{name}/{name}.af"
    )


@pytest.mark.parametrize(("name", "capability", "example"), list(examples()))
def test_an_example_holds(name, capability, example):
    agent, capabilities = load(name)
    ports = {port.name: port for port in capabilities[capability].inputs}
    inputs = {port: port_value(ports[port], value) for port, value in example["inputs"].items()}
    if "error" in example:
        with pytest.raises(ValueError, match=example["error"]):
            agent.process_input(capability, inputs)
        return
    outputs = agent.process_input(capability, inputs)
    assert set(outputs) == {port.name for port in capabilities[capability].outputs}
    for port in capabilities[capability].outputs:
        expected = port_value(port, example["outputs"][port.name])
        np.testing.assert_equal(outputs[port.name], expected)
        if port.kind == "tensor":
            assert {item.dtype for item in outputs[port.name]} == {np.dtype(np.float32)}
        else:
            assert json.loads(json.dumps(outputs[port.name], allow_nan=False)) == outputs[port.name]


@pytest.mark.parametrize("name", PYTHON_AGENTS)
def test_a_capability_it_does_not_offer_is_refused(name):
    agent, _ = load(name)
    with pytest.raises(ValueError, match="is not offered"):
        agent.process_input("other:thing", {})


@pytest.mark.parametrize(
    "labels", [np.array([3, 1]), np.array([3, 1], np.uint8), [3, 1], np.array([3, 1], "<i2")]
)
def test_report_takes_labels_of_any_integer_type(labels):
    agent, _ = load("report")
    scores = [np.eye(10, dtype=np.float32)[[3, 1]]]
    outputs = agent.process_input("report:per-digit", {"scores": scores, "labels": labels, "doubtful": []})
    assert outputs["report"]["accuracy"] == 1.0


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("rows", [np.arange(6.0).reshape(3, 2), np.zeros((0, 2)), np.arange(4)])
def test_rows_of_tensors_are_dealt_out_and_joined_again(rows, count):
    agent, _ = load("rows")
    parts = agent.process_input("rows:split", {"rows": rows, "parts_count": count})["parts"]
    assert len(parts) == count
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    joined = agent.process_input("rows:join", {"parts": parts})["rows"]
    np.testing.assert_array_equal(joined, rows)
    assert joined.dtype == rows.dtype


def test_no_agent_folder_is_an_import_package():
    assert not list(AGENTS.rglob("__init__.py"))
