import base64
import json

import numpy as np
import pytest
from typer.testing import CliRunner

import af
from af.engines import NumpyEngine, WasmEngine
from af.tools.debug import app
from af.weights import network_from, weights_section
from tests.unit.af.samples import neural_agent, python_agent

ROWS = np.float32([[1, 2, 3], [-4, 5, 6]])


def run(*arguments, text=""):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=text)


def network(agent=None):
    agent = agent or neural_agent()
    return network_from(agent.header.neural_config, agent.section("neural_weights"))


def changed(agent, name, change):
    tensors = {key: tensor.copy() for key, tensor in network(agent).tensors()}
    change(tensors[name])
    return agent.with_section(weights_section(network(agent).with_tensors(tensors)))


@pytest.fixture
def place(tmp_path):
    (tmp_path / "agent.af").write_bytes(af.write(neural_agent()))
    np.save(tmp_path / "rows.npy", ROWS)
    return tmp_path


def test_every_layer_is_shown_with_what_it_gives(place):
    result = run("step", place / "agent.af", "-i", place / "rows.npy", "--json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["layer"] for line in lines] == [-1, 0, 1]
    assert (lines[0]["min"], lines[0]["max"], lines[0]["count"]) == (-4, 6, 6)
    expected = NumpyEngine(network()).forward(ROWS)
    assert lines[2]["mean"] == pytest.approx(float(expected.mean()), abs=1e-6)
    text = run("step", place / "agent.af", "-i", place / "rows.npy").stdout
    assert "1: dense activation softmax units 2  [2x2]" in text


@pytest.mark.parametrize(
    ("point", "layer", "reason"),
    [
        ("1", 1, "layer 1"),
        ("dense", 0, "layer dense"),
        ("range:-4:5.5", -1, "1 numbers are outside of -4 to 5.5"),
        ("range:-1000:1000", None, None),
        ("nan", None, None),
    ],
)
def test_a_breakpoint_stops_where_it_says(place, point, layer, reason):
    result = run("step", place / "agent.af", "-i", place / "rows.npy", "--break", point, "--json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    if layer is None:
        assert [line["layer"] for line in lines] == [-1, 0, 1]
    else:
        assert lines[-1]["stopped"] == layer
        assert lines[-2]["stop"] == reason


def test_the_first_number_that_is_not_finite_is_named(place):
    def explode(tensor):
        tensor[2, 1] = 3e38

    (place / "agent.af").write_bytes(af.write(changed(neural_agent(), "0.weight", explode)))
    result = run("step", place / "agent.af", "-i", place / "rows.npy", "--break", "nan")
    assert "stopped: 2 numbers are not finite; the first is number 2 of row 0" in result.stdout
    assert "NOT FINITE" in result.stdout
    assert "1: dense" not in result.stdout


def test_one_row_can_be_chosen(place):
    lines = run(
        "step", place / "agent.af", "-i", place / "rows.npy", "--row", "1", "--json"
    ).stdout.splitlines()
    assert json.loads(lines[0])["count"] == 3
    assert (
        "the input has 2 rows"
        in run("step", place / "agent.af", "-i", place / "rows.npy", "--row", "2").stderr
    )


def test_a_prompt_goes_on_shows_values_and_ends(place):
    def talk(commands, *options):
        text = "\n".join(commands) + "\n"
        return run(
            "step", place / "agent.af", "-i", place / "rows.npy", "--interactive", *options, text=text
        ).stdout

    assert talk(["n", "n", "n"]).count("[2x") == 3
    assert talk(["q"]).count("[2x") == 1
    assert talk(["c", "q"], "--break", "0").count("[2x") == 2
    assert "[ 1.  2.  3.]" in talk(["v", "q"])
    assert "n: next layer" in talk(["?", "q"])


@pytest.mark.parametrize("point", ["range:1", "range:a:b", "nan:1", ""])
def test_an_unknown_breakpoint_is_refused(place, point):
    result = run("step", place / "agent.af", "-i", place / "rows.npy", "--break", point)
    assert (result.exit_code, "use a layer's number" in result.stderr) == (1, True)


def test_a_recording_holds_the_compiled_modules_bits_and_comes_out_again(place):
    result = run("record", place / "agent.af", "-i", place / "rows.npy", "-o", place / "run.json")
    assert result.exit_code == 0, result.stderr
    document = json.loads((place / "run.json").read_text())
    last = np.frombuffer(base64.b64decode(document["layers"][-1]["f32"]), "<f4").reshape(2, 2)
    assert last.tobytes() == WasmEngine.for_network(network()).forward(ROWS).tobytes()
    result = run("replay", place / "agent.af", place / "run.json")
    assert (result.exit_code, "came out as recorded, to the bit" in result.stdout) == (0, True)


def test_a_replay_says_which_layers_differ(place):
    run("record", place / "agent.af", "-i", place / "rows.npy", "-o", place / "run.json")

    def nudge(tensor):
        tensor[0] += 0.5

    (place / "other.af").write_bytes(af.write(changed(neural_agent(), "1.bias", nudge)))
    result = run("replay", place / "other.af", place / "run.json", "--json")
    facts = json.loads(result.stdout)
    assert (result.exit_code, facts["ok"], facts["same_weights"]) == (1, False, False)
    assert [deviation["layer"] for deviation in facts["deviations"]] == [1]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"format": "af-recording-1"}',
        b'{"format": "af-recording-1", "layers": 1}',
        b"\xff",
    ],
)
def test_what_is_no_recording_is_refused(place, data):
    (place / "run.json").write_bytes(data)
    result = run("replay", place / "agent.af", place / "run.json")
    assert (result.exit_code, "it is not a recording" in result.stderr) == (1, True)


def test_a_recording_of_another_network_is_refused(place):
    run("record", place / "agent.af", "-i", place / "rows.npy", "-o", place / "run.json")
    (place / "other.af").write_bytes(af.write(neural_agent((3, 4, 2))))
    assert "now 4" in run("replay", place / "other.af", place / "run.json").stderr
    (place / "other.af").write_bytes(af.write(neural_agent((3, 2))))
    assert "made with another network" in run("replay", place / "other.af", place / "run.json").stderr


def test_files_are_compared_by_header_sections_and_weights(place):
    def nudge(tensor):
        tensor[0, 0] += 2

    other = changed(neural_agent(author="Ada"), "0.weight", nudge)
    (place / "other.af").write_bytes(af.write(other))
    result = run("diff", place / "agent.af", place / "other.af", "--json")
    facts = json.loads(result.stdout)
    assert (result.exit_code, facts["same"]) == (1, False)
    assert facts["header"] == [{"place": "author", "before": "(not there)", "after": "'Ada'"}]
    assert facts["sections"][0]["place"] == "neural_weights"
    (weights,) = facts["weights"]
    assert (weights["name"], weights["changed"], weights["count"]) == ("0.weight", 1, 15)
    assert weights["max_difference"] == pytest.approx(2, abs=1e-6)
    result = run("diff", place / "agent.af", place / "agent.af")
    assert (result.exit_code, result.stdout) == (0, "No difference.\n")


def test_checkpoints_are_compared_as_numbers(place):
    (place / "a.bin").write_bytes(np.float32([1, 2, 3]).tobytes())
    (place / "b.bin").write_bytes(np.float32([1, 2, 7]).tobytes())
    result = run("diff", place / "a.bin", place / "b.bin")
    assert "1 of 3 numbers, by up to 4, 1.33333 on average" in result.stdout
    (place / "b.bin").write_bytes(b"123")
    assert "not two checkpoints" in run("diff", place / "a.bin", place / "b.bin").stderr
    assert "give two of a kind" in run("diff", place / "a.bin", place / "agent.af").stderr


def test_why_shows_the_line_and_the_rule(place):
    (place / "agent.af").write_bytes(
        b"version: '1.0'\nname: a\nresources:\n  limits: {memroy_mb: 5}\nkind: python\n"
    )
    result = run("why", place / "agent.af")
    assert result.exit_code == 1
    assert "    4 |   limits: {memroy_mb: 5}\n" + " " * 23 + "^\n" in result.stdout
    assert "did you mean 'memory_mb'?" in result.stdout
    assert "'Header' in af/SPEC.md" in result.stdout


def test_why_shows_the_bytes_of_a_damaged_section(place):
    data = bytearray((place / "agent.af").read_bytes())
    data[-3] ^= 1
    (place / "agent.af").write_bytes(data)
    (problem,) = json.loads(run("why", place / "agent.af", "--json").stdout)["problems"]
    assert problem["excerpt"][0].startswith("byte ")
    assert problem["remedy"]


def test_why_of_a_good_file_says_so(place):
    result = run("why", place / "agent.af")
    assert (result.exit_code, "is in order" in result.stdout) == (0, True)


def test_an_agent_without_a_network_has_no_layers(place):
    (place / "agent.af").write_bytes(af.write(python_agent()))
    result = run("step", place / "agent.af", "-i", place / "rows.npy")
    assert (result.exit_code, "has no network to look into" in result.stderr) == (1, True)


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document.pop("inputs"),
        lambda document: document.update(inputs=7),
        lambda document: document.update(inputs={"x": 7}),
        lambda document: document.update(inputs={"x": {"tensor": "AAAA", "dtype": "O", "shape": []}}),
        lambda document: document.update(inputs={"x": {"tensor": "AAAA", "dtype": "<f4", "shape": [9]}}),
        lambda document: document.update(inputs={"x": {"bytes": "?"}}),
        lambda document: document.update(capability="a:b"),
    ],
)
def test_a_damaged_recording_of_an_answer_is_refused_before_anything_runs(place, change):
    document = {
        "format": "af-answers-1",
        "agent": "echo",
        "code_sha256": "",
        "capability": "test:echo",
        "inputs": {"x": {"json": 1}},
        "outputs": {"x": {"json": 1}},
    }
    change(document)
    (place / "agent.af").write_bytes(af.write(python_agent()))
    (place / "run.json").write_text(json.dumps(document))
    result = run("replay", place / "agent.af", place / "run.json")
    assert (result.exit_code, "make one with" in result.stderr or "was made with" in result.stderr) == (
        1,
        True,
    )
