import json

import pytest
from nacl.signing import SigningKey
from typer.testing import CliRunner

import af
from af.signing import sign
from af.tools.inspect import app
from tests.unit.af.samples import neural_agent, python_agent


@pytest.fixture
def inspect(tmp_path):
    def run(data, *options):
        (tmp_path / "agent.af").write_bytes(data)
        return CliRunner().invoke(app, [str(tmp_path / "agent.af"), *options])

    return run


def test_a_person_sees_what_the_file_offers_holds_and_does(inspect):
    data = sign(af.write(af.compile_agent(neural_agent())), SigningKey(bytes(32)), "2026-01-05T00:00:00Z")
    result = inspect(data, "--weights")
    assert result.exit_code == 0
    for words in (
        "test:sample: x (f32[any, 3]) -> y (f32[any, 2])",
        "network: 32 weights (128 bytes)",
        "3 -> 5, 20",
        "weight: 5x3, ",
        "execution: receive_input > process_neural_network > update_memory > send_output",
        "wasm_module: ",
        "compiled: yes",
        "signed: by 3b6a27bc",
        "problems: none",
    ):
        assert words in result.stdout


def test_a_program_gets_the_header_as_it_was_written(inspect):
    agent = neural_agent()
    facts = json.loads(inspect(af.write(agent), "--json", "--weights").stdout)
    assert facts["header"] == agent.header.to_mapping()
    assert facts["sha256"] == af.parse(af.write(agent)).digest
    assert facts["network"]["layers"][0]["takes"] == [3]
    assert facts["network"]["layers"][0]["tensors"]["bias"]["count"] == 5
    assert facts["sections"][0]["raw_bytes"] == 128
    assert facts["problems"] == []


def test_hooks_and_foreign_steps_are_told_from_the_hosts(inspect):
    source = b"def warm_up(agent): ...\n" + python_agent().sections[0].data
    workflows = {"initialization": ["load_neural_network", "warm_up", "x-announce"]}
    result = inspect(af.write(python_agent(source, workflows=workflows)))
    assert "load_neural_network > warm_up (hook) > x-announce (passed over)" in result.stdout


def test_a_file_that_cannot_run_is_shown_with_its_problems(inspect):
    agent = neural_agent().with_section(af.encode_section("neural_weights", b"1234"))
    result = inspect(af.write(agent))
    assert result.exit_code == 0
    assert "problems: 1" in result.stdout
    assert "it has 4 bytes" in result.stdout


def test_a_file_that_cannot_be_read_is_refused(inspect):
    assert inspect(b"- 1").exit_code == 1
