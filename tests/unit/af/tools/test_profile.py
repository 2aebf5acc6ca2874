import json
import xml.etree.ElementTree as ET

import pytest
from typer.testing import CliRunner

import af
from af.tools.plot import Bar, Panel, svg
from af.tools.profile import app
from af.tools.timing import measure
from tests.unit.af.samples import neural_agent, python_agent

SVG = "{http://www.w3.org/2000/svg}"


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def agent_file(tmp_path):
    (tmp_path / "agent.af").write_bytes(af.write(neural_agent((40, 30, 20))))
    return tmp_path / "agent.af"


def test_a_profile_measures_layers_instances_and_engines(agent_file):
    result = run(agent_file, "--seconds", "0.02", "--batch", "3", "--json")
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert [layer["layer"] for layer in facts["layers"]] == [0, 1]
    assert [layer["weights_bytes"] for layer in facts["layers"]] == [4 * 31 * 40 - 40, 4 * 20 * 31]
    assert facts["layers"][0]["fuel"] > facts["layers"][1]["fuel"] > 0
    assert facts["instances"]["fuel"] >= sum(layer["fuel"] for layer in facts["layers"])
    assert 0 < facts["instances"]["warm_us"] < facts["instances"]["first_us"] + facts["instances"]["fresh_us"]
    measured = {(cost["engine"], cost["batch"]) for cost in facts["engines"] if cost["timing"]}
    assert {("numpy", 1), ("numpy", 3), ("wasm", 1), ("wasm", 3)} <= measured


def test_fuel_is_the_same_every_time(agent_file):
    facts = [json.loads(run(agent_file, "--seconds", "0.01", "--json").stdout) for _ in range(2)]
    assert facts[0]["instances"]["fuel"] == facts[1]["instances"]["fuel"]


def test_the_reports_hold_every_layer_in_its_place(agent_file, tmp_path):
    outs = {name: tmp_path / name for name in ("speedscope", "chrome", "plot")}
    options = [part for name, path in outs.items() for part in (f"--{name}", path)]
    result = run(agent_file, "--seconds", "0.02", *options)
    assert result.exit_code == 0, result.output
    assert "one row, by layer" in result.stdout

    document = json.loads(outs["speedscope"].read_text())
    frames = [frame["name"] for frame in document["shared"]["frames"]]
    assert frames[:3] == ["sample", "call", "0: dense activation relu units 30"]
    (profile,) = document["profiles"]
    opened, last = [], 0.0
    for event in profile["events"]:
        assert event["at"] >= last
        last = event["at"]
        if event["type"] == "O":
            opened.append(event["frame"])
        else:
            assert opened.pop() == event["frame"]
    assert not opened
    assert last == profile["endValue"]

    whole, *events = json.loads(outs["chrome"].read_text())["traceEvents"]
    assert [event["name"] for event in events] == frames[1:]
    assert all(event["ph"] == "X" for event in events)
    assert whole["dur"] == pytest.approx(sum(event["dur"] for event in events))

    drawing = ET.fromstring(outs["plot"].read_text())
    texts = [element.text for element in drawing.iter(f"{SVG}text")]
    assert "0: dense activation relu units 30" in texts
    assert any(text.startswith("By kind of instance (compiled once in ") for text in texts)


def test_bars_are_as_long_as_their_numbers_and_stay_inside():
    bars = (Bar("a", 10, "10 us"), Bar("b", 5, "5 us"), Bar("<&", 0, "0 us"), Bar("x" * 99, 1, "1 us"))
    drawing = ET.fromstring(svg("A <title>", [Panel("One", bars), Panel("None", ())]))
    background, *drawn = drawing.iter(f"{SVG}rect")
    widths = [float(bar.get("width")) for bar in drawn]
    assert widths[0] == pytest.approx(2 * widths[1])
    assert widths[2] == 1
    edge = float(background.get("width"))
    assert all(float(bar.get("x")) + float(bar.get("width")) < edge - 60 for bar in drawn)
    texts = [element.text for element in drawing.iter(f"{SVG}text")]
    assert "<&" in texts
    assert max(map(len, texts)) <= 42


def test_candidates_take_turns_and_every_one_is_measured():
    calls = []
    timings = measure({"a": lambda: calls.append("a"), "b": lambda: sum(range(20_000))}, 0.01)
    assert set(timings) == {"a", "b"}
    assert calls
    assert timings["b"].median_us > timings["a"].median_us > 0
    assert timings["a"].p99_us >= timings["a"].median_us


def test_an_agent_without_a_network_is_refused(tmp_path):
    (tmp_path / "agent.af").write_bytes(af.write(python_agent()))
    result = run(tmp_path / "agent.af")
    assert (result.exit_code, "has no network to look into" in result.stderr) == (1, True)


def test_an_input_without_rows_is_refused(agent_file, tmp_path):
    (tmp_path / "rows.json").write_text("[]")
    assert "it has no rows" in run(agent_file, "-i", tmp_path / "rows.json").stderr
