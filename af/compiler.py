"""`compile_agent` makes a file runnable, `executable` hands out what a node runs.

A compiled file is the same container with what a node needs added: for a neural agent the section
`wasm_module`, for every agent a `manifest` in the header and the digest of what it was compiled from, so that
weights exchanged later are noticed. Compiling is a pure function of the file and the same everywhere;
compiling twice changes nothing.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, assert_never

from pydantic import JsonValue

from af.agentfile import AgentFile, write
from af.check import WASM_MODULE, check, python_manifest, source_digest
from af.errors import AfRefused, refused
from af.header import Header, NeuralConfig, Resources
from af.onlinelearning import learns_through_torch, torch_manifest, torch_source
from af.records import Capability
from af.sections import Section, encode_section
from af.wasm.assembly import Precision
from af.wasm.manifest import manifest_of
from af.wasm.module import generate
from af.wasm.training import LEARNING_RATE, Learning
from af.weights import WEIGHTS, network_from
from af.workflow import PYTHON_MODULE, WorkflowPlan, workflow_plan, woven_source


@dataclass(frozen=True, slots=True)
class Executable:
    """What a node needs of an agent file: code, how to call it, its steps, what it offers and may use."""

    name: str
    version: str
    kind: Literal["wasm", "python"]
    code: bytes
    manifest: Mapping[str, JsonValue]
    description: str
    capabilities: tuple[Capability, ...]
    resources: Resources
    workflow: WorkflowPlan
    sha256: str


def compile_agent(agent: AgentFile, precision: Precision = "f32") -> AgentFile:
    """The runnable file; AfRefused with everything that is wrong with this one.

    The author's signature stays on a file that is compiled already, and is gone from any other: the author
    signs what was compiled.
    """
    original = agent
    if agent.header.kind != "wasm":
        # What an earlier run of the compiler wrote is about to be replaced, so it is no reason to refuse.
        agent = agent.with_header(agent.header.model_copy(update={"manifest": None, "compiled_from": None}))
    problems = check(agent)
    if problems:
        raise AfRefused(problems)
    compiled = _compiled(agent, precision)
    problems = check(compiled)
    if problems:
        raise AfRefused(problems)
    return original if write(compiled) == write(original.with_header(original.header)) else compiled


def executable(agent: AgentFile) -> Executable:
    """The runnable part of a compiled file; AfRefused if it is not compiled or not valid."""
    problems = check(agent)
    if problems:
        raise AfRefused(problems)
    header = agent.header
    if header.manifest is None:
        raise refused("header: manifest", "the file is not compiled.", "run `af-compile FILE.af -o OUT.af`.")
    return Executable(
        name=header.name,
        version=header.agent_version,
        kind="python" if header.kind == "python" or _through_torch(header) else "wasm",
        code=_code(agent),
        manifest=header.manifest,
        description=header.description,
        capabilities=header.capabilities,
        resources=_resources(header),
        workflow=workflow_plan(agent),
        sha256=agent.digest or hashlib.sha256(write(agent)).hexdigest(),
    )


def network_text(agent: AgentFile) -> str:
    """The WebAssembly text a neural agent compiles to, without its weights."""
    if agent.header.kind != "neural":
        message = f"an agent of kind {agent.header.kind} has no network to show as WebAssembly text."
        raise refused("header: kind", message, "ask for the text of a neural agent.")
    problems = check(agent)
    if problems:
        raise AfRefused(problems)
    assert agent.header.neural_config is not None
    config = agent.header.neural_config
    return generate(network_from(config, _section(agent, WEIGHTS)), learning=_learning(config)).text


def _compiled(agent: AgentFile, precision: Precision) -> AgentFile:
    match agent.header.kind:
        case "neural":
            return _compile_neural(agent, precision)
        case "python":
            source = _section(agent, PYTHON_MODULE)
            manifest = python_manifest(agent.header)
            return agent.with_header(agent.header.with_manifest(manifest, source_digest(source)))
        case "wasm":
            return agent
        case _:
            assert_never(agent.header.kind)


def _compile_neural(agent: AgentFile, precision: Precision) -> AgentFile:
    header = agent.header
    assert header.neural_config is not None
    weights = _section(agent, WEIGHTS)
    if learns_through_torch(header.neural_config):
        if precision != "f32":
            message = "weights of eight bits do not learn."
            raise refused("header: neural_config.learns", message, "leave `learns` or --int8 out.")
        through_torch = torch_manifest(header)
        assert through_torch is not None, "check() lets no such header pass"
        bare = agent.without_section(WASM_MODULE)
        return bare.with_header(header.with_manifest(through_torch, source_digest(weights)))
    network = network_from(header.neural_config, weights)
    module = generate(network, precision=precision, learning=_learning(header.neural_config))
    (capability,) = header.capabilities
    ports = capability.inputs[0].name, capability.outputs[0].name
    manifest = manifest_of(module, capability.name, *ports, header.instance)
    compiled = agent.with_section(encode_section(WASM_MODULE, module.binary()))
    return compiled.with_header(header.with_manifest(manifest.to_json(), source_digest(weights)))


def _learning(config: NeuralConfig) -> Learning | None:
    if not config.learns:
        return None
    return Learning(config.learning_rate or LEARNING_RATE, config.momentum)


def _code(agent: AgentFile) -> bytes:
    header = agent.header
    if header.kind == "python":
        return woven_source(agent, _section(agent, PYTHON_MODULE).data)
    if _through_torch(header):
        assert header.neural_config is not None
        assert header.manifest is not None
        return torch_source(header.neural_config, _section(agent, WEIGHTS), header.manifest)
    return _section(agent, WASM_MODULE).data


def _through_torch(header: Header) -> bool:
    return header.neural_config is not None and learns_through_torch(header.neural_config)


def _resources(header: Header) -> Resources:
    """What the header says; PyTorch is a library that is loaded late."""
    if not _through_torch(header):
        return header.resources
    return header.resources.model_copy(update={"native_libraries": True})


def _section(agent: AgentFile, name: str) -> Section:
    section = agent.section(name)
    assert section is not None, f"check() lets no file without {name} pass"
    return section
