import hashlib
import json

import pytest

import af
from af.compiler import network_text
from tests.unit.af.samples import PYTHON_SOURCE, neural_agent, python_agent


def test_a_compiled_file_keeps_everything_and_adds_the_module():
    agent = neural_agent()
    compiled = af.compile_agent(agent)
    assert compiled.sections[: len(agent.sections)] == agent.sections
    assert [section.name for section in compiled.sections] == ["neural_weights", "wasm_module"]


def test_compiling_is_deterministic_and_compiling_twice_changes_nothing():
    once = af.write(af.compile_agent(neural_agent()))
    assert af.write(af.compile_agent(neural_agent())) == once
    assert af.write(af.compile_agent(af.parse(once))) == once


def test_the_executable_of_a_neural_agent():
    data = af.write(af.compile_agent(neural_agent(agent_version="2.1")))
    run = af.executable(af.parse(data))
    assert (run.name, run.version, run.kind) == ("sample", "2.1", "wasm")
    assert run.code.startswith(b"\0asm")
    assert run.sha256 == hashlib.sha256(data).hexdigest()
    assert run.capabilities[0].name == "test:sample"
    assert run.resources.limits.memory_mb == 512
    manifest = json.loads(json.dumps(run.manifest))
    assert list(manifest) == ["abi", "capability", "input", "output", "batch_max", "pages", "weights"]
    assert manifest["input"] == {"port": "x", "offset": manifest["input"]["offset"], "size": 3, "stride": 3}
    assert manifest["output"] == {"port": "y", "offset": manifest["output"]["offset"], "size": 2, "stride": 4}


def test_the_digest_does_not_depend_on_whether_the_file_was_written_yet():
    compiled = af.compile_agent(python_agent())
    assert af.executable(compiled).sha256 == af.executable(af.parse(af.write(compiled))).sha256


def test_the_executable_of_a_python_agent_is_its_source():
    run = af.executable(af.compile_agent(python_agent()))
    assert (run.kind, run.code) == ("python", PYTHON_SOURCE)
    assert run.manifest == {"abi": "af-python-1", "capabilities": ["test:echo"]}


def test_a_file_that_is_not_compiled_has_no_executable():
    with pytest.raises(af.AfRefused, match="not compiled"):
        af.executable(neural_agent())


def test_an_invalid_file_is_neither_compiled_nor_executed():
    broken = python_agent(b"x = 1\n")
    for action in (af.compile_agent, af.executable):
        with pytest.raises(af.AfRefused, match="no class Agent"):
            action(broken)


def test_a_wasm_agent_brings_its_own_module_and_manifest():
    compiled = af.compile_agent(neural_agent())
    mapping = compiled.header.to_mapping() | {"kind": "wasm"}
    del mapping["compiled_from"], mapping["neural_config"]
    brought = af.AgentFile(af.Header.model_validate(mapping), compiled.sections[1:])
    assert af.executable(af.compile_agent(brought)).code == af.executable(compiled).code
    with pytest.raises(af.AfRefused, match="says how its module is called"):
        af.compile_agent(brought.with_header(brought.header.model_copy(update={"manifest": None})))


def test_only_networks_have_a_text():
    assert network_text(neural_agent()).startswith("(module\n")
    with pytest.raises(af.AfRefused, match="no network to show"):
        network_text(python_agent())


def test_the_manifest_of_a_python_agent_names_its_many_outputs():
    outputs = [{"name": "parts", "kind": "json", "many": True}, {"name": "count", "kind": "json"}]
    capability = {"name": "test:cut", "inputs": [], "outputs": outputs}
    plain = {"name": "test:plain", "inputs": [], "outputs": [{"name": "y", "kind": "any"}]}
    compiled = af.compile_agent(python_agent(capabilities=[capability, plain]))
    assert compiled.header.manifest["capabilities"] == [
        {"name": "test:cut", "outputs": [{"name": "parts", "many": True}]},
        "test:plain",
    ]
    assert af.parse(af.write(compiled)).header == compiled.header
