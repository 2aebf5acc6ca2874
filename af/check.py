"""What must be true of an agent file beyond its syntax; every violation is reported, not only the first."""

import ast
import hashlib
from collections.abc import Iterator
from typing import assert_never

from pydantic import JsonValue, ValidationError

from af.agentfile import AgentFile
from af.effects import reconcile_problems
from af.errors import AfRefused, Problem
from af.header import Header, NeuralConfig
from af.limits import PYTHON_MODULE_BYTES_MAX, WASM_PAGE_BYTES
from af.network import config_problems
from af.onlinelearning import TORCH_ABI, learns_through_torch, torch_manifest, torch_problems
from af.records import Capability, PortSpec
from af.sections import Section
from af.trainingdata import TRAINING, training_from
from af.wasm.binary import COMPONENT_MAGIC, MAGIC
from af.wasm.manifest import COMPONENT_ABI, ComponentManifest, WasmManifest
from af.weights import WEIGHTS, weight_problems
from af.workflow import PYTHON_MODULE, workflow_problems

WASM_MODULE = "wasm_module"
PYTHON_ABI = "af-python-1"

PORT_MAX = 65_535

_MIB = 1024 * 1024


def check(agent: AgentFile) -> list[Problem]:
    """Everything that is wrong with the file; an empty list means it can be compiled or run."""
    problems = [
        *_capability_problems(agent.header.capabilities),
        *reconcile_problems(agent.header),
        *_resource_problems(agent.header),
        *workflow_problems(agent),
        *_instance_problems(agent.header),
    ]
    match agent.header.kind:
        case "neural":
            problems += _neural_problems(agent)
        case "wasm":
            problems += _needs_section(agent, WASM_MODULE)
            if agent.header.manifest is None:
                message = "an agent of kind wasm says how its module is called in `manifest`."
                problems.append(
                    Problem(
                        "header: manifest", message, "add the manifest of ABI af-wasm-1, or af-component-1."
                    )
                )
        case "python":
            problems += _python_problems(agent)
        case _:
            assert_never(agent.header.kind)
    if agent.header.manifest is not None:
        problems += _manifest_problems(agent)
    return problems


def _capability_problems(capabilities: tuple[Capability, ...]) -> Iterator[Problem]:
    if not capabilities:
        yield Problem(
            "header: capabilities", "the agent offers none.", "name at least one, as `group:element`."
        )
    names = [capability.name for capability in capabilities]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Problem("header: capabilities", f"{name} is offered twice.", "keep one of the two.")
    for number, capability in enumerate(capabilities):
        yield from _row_problems(capability, f"header: capabilities[{number}].rows")
        for direction, ports in (("inputs", capability.inputs), ("outputs", capability.outputs)):
            place = f"header: capabilities[{number}].{direction}"
            port_names = [port.name for port in ports]
            for name in sorted({name for name in port_names if port_names.count(name) > 1}):
                yield Problem(place, f"the port {name} appears twice.", "give each port its own name.")
            for port in ports:
                if port.kind != "tensor" and (port.dtype is not None or port.shape is not None):
                    message = f"the port {port.name} is {port.kind}; dtype and shape are for tensors."
                    yield Problem(place, message, "remove them, or make it a tensor.")


def _row_problems(capability: Capability, place: str) -> Iterator[Problem]:
    if capability.rows is None:
        return
    ports = {port.name: port for port in (*capability.inputs, *capability.outputs)}
    for name in sorted(set(capability.rows) - ports.keys()):
        yield Problem(place, f"there is no port {name}.", "name inputs and outputs of this capability.")
    for name in sorted(name for name in set(capability.rows) & ports.keys() if ports[name].many):
        yield Problem(place, f"the port {name} is `many`.", "name ports that hold one value of many rows.")
    for direction, side in (("input", capability.inputs), ("output", capability.outputs)):
        if not {port.name for port in side} & set(capability.rows):
            yield Problem(place, f"no {direction} is named.", f"name the {direction} that holds the rows.")


def _resource_problems(header: Header) -> Iterator[Problem]:
    resources, place = header.resources, "header: resources.egress"
    for name in sorted({name for name in resources.egress if resources.egress.count(name) > 1}):
        yield Problem(place, f"{name} is listed twice.", "keep one of the two.")
    for name in resources.egress:
        if int(name.rpartition(":")[2]) > PORT_MAX:
            yield Problem(place, f"{name} has no usable port.", f"write a port from 1 to {PORT_MAX}.")
    if resources.egress and resources.limits.network_bandwidth_mbps == 0:
        message = "the agent connects to places and may send no byte there."
        yield Problem(place, message, "set resources.limits.network_bandwidth_mbps.")
    if header.kind != "python":
        for key in ("egress", "native_libraries"):
            if getattr(resources, key):
                message = f"an agent of kind {header.kind} has no use for it."
                yield Problem(f"header: resources.{key}", message, "remove it; it is for Python agents.")


def _instance_problems(header: Header) -> Iterator[Problem]:
    if header.instance == "kept":
        return
    if header.kind == "python":
        message = "a Python agent lives in one process; only compiled networks and wasm are begun anew."
        yield Problem("header: instance", message, "leave `instance` out.")
    if header.neural_config is not None and header.neural_config.learns:
        message = "an agent that keeps nothing from one request to the next learns nothing."
        yield Problem("header: instance", message, "leave `instance` or `learns` out.")


def _needs_section(agent: AgentFile, name: str) -> list[Problem]:
    if agent.section(name) is not None:
        return []
    message = f"an agent of kind {agent.header.kind} needs the section {name}."
    return [Problem("sections", message, f"add the section {name}.")]


def _neural_problems(agent: AgentFile) -> Iterator[Problem]:
    config = agent.header.neural_config
    weights, training = agent.section(WEIGHTS), agent.section(TRAINING)
    yield from _needs_section(agent, WEIGHTS)
    if config is None:
        message = "an agent of kind neural describes its network there."
        yield Problem("header: neural_config", message, "add input_size, hidden_layers and output_size.")
        return
    yield from _neural_capability_problems(agent.header.capabilities, config)
    misfits = config_problems(config)
    yield from misfits
    if learns_through_torch(config):
        yield from torch_problems(weights, agent.header.resources.limits.memory_mb)
    if weights is not None and not misfits:
        yield from weight_problems(config, weights)
    if training is not None:
        yield from _training_problems(training, config)


def _neural_capability_problems(
    capabilities: tuple[Capability, ...], config: NeuralConfig
) -> Iterator[Problem]:
    if len(capabilities) > 1:
        message = f"a neural agent offers one capability, this one {len(capabilities)}."
        yield Problem("header: capabilities", message, "put each network into a file of its own.")
    for number, capability in enumerate(capabilities):
        for direction, ports, width in (
            ("inputs", capability.inputs, config.input_size),
            ("outputs", capability.outputs, config.output_size),
        ):
            place = f"header: capabilities[{number}].{direction}"
            expected = f"one port {{kind: tensor, dtype: f32, shape: [null, {width}]}}"
            if len(ports) != 1 or not _is_rows(ports[0], width):
                yield Problem(
                    place, f"the network takes and gives rows of float32: {expected}.", f"write {expected}."
                )


def _is_rows(port: PortSpec, width: int) -> bool:
    shaped = port.kind == "tensor" and port.dtype == "f32" and port.shape == (None, width)
    return shaped and not port.many and not port.optional


def _training_problems(section: Section, config: NeuralConfig) -> Iterator[Problem]:
    try:
        training = training_from(section)
    except AfRefused as error:
        yield from error.problems
        return
    target_width = training.targets.shape[1]
    if training.inputs.shape[1] != config.input_size:
        message = (
            f"its input rows have {training.inputs.shape[1]} values, the network takes {config.input_size}."
        )
        yield Problem(f"section {TRAINING}", message, "write the training data of this network.")
    if target_width not in (1, config.output_size):
        message = f"its target rows have {target_width} values, not {config.output_size} or 1 (a label)."
        yield Problem(f"section {TRAINING}", message, "write the training data of this network.")


def _python_problems(agent: AgentFile) -> list[Problem]:
    section = agent.section(PYTHON_MODULE)
    if section is None:
        return _needs_section(agent, PYTHON_MODULE)
    place = f"section {PYTHON_MODULE}"
    if len(section.data) > PYTHON_MODULE_BYTES_MAX:
        message = f"it has {len(section.data)} bytes, the most is {PYTHON_MODULE_BYTES_MAX}."
        return [Problem(place, message, "ship a smaller module.")]
    try:
        tree = ast.parse(section.data.decode("utf-8"))
        compile(tree, PYTHON_MODULE, "exec", dont_inherit=True)
    except SyntaxError as error:
        message = f"it is not Python: {error.msg}."
        return [Problem(f"{place}, line {error.lineno}", message, "correct the module's source.")]
    except (ValueError, RecursionError, MemoryError) as error:
        return [Problem(place, f"it is not readable as Python ({error}).", "write the module as UTF-8 text.")]
    for statement in tree.body:
        if isinstance(statement, ast.ClassDef) and statement.name == "Agent":
            methods = {inner.name for inner in statement.body if isinstance(inner, ast.FunctionDef)}
            if "process_input" in methods:
                return []
            message = "its class Agent has no method process_input."
            remedy = "add `def process_input(self, capability, inputs)`."
            return [Problem(f"{place}, line {statement.lineno}", message, remedy)]
    return [Problem(place, "it defines no class Agent.", "define `class Agent` with `process_input`.")]


def _manifest_problems(agent: AgentFile) -> Iterator[Problem]:
    header = agent.header
    source_name = (
        PYTHON_MODULE if header.kind == "python" else WEIGHTS if header.kind == "neural" else WASM_MODULE
    )
    source = agent.section(source_name)
    if source is not None and header.compiled_from not in (None, source_digest(source)):
        message = f"the file was compiled from another {source_name} section."
        yield Problem("header: compiled_from", message, "compile the file again.")
    if header.kind == "python":
        if header.manifest != python_manifest(header):
            message = "it is not the manifest of a Python agent."
            yield Problem("header: manifest", message, "compile the file again.")
        return
    if header.neural_config is not None and learns_through_torch(header.neural_config):
        if header.manifest != torch_manifest(header):
            message = f"it is not the manifest of this network ({TORCH_ABI})."
            yield Problem("header: manifest", message, "compile the file again.")
        return
    yield from _needs_section(agent, WASM_MODULE)
    module = agent.section(WASM_MODULE)
    if header.kind == "wasm" and header.manifest is not None and header.manifest.get("abi") == COMPONENT_ABI:
        yield from _component_problems(header, module)
        return
    if module is not None and not module.data.startswith(MAGIC):
        message = "it does not begin as a WebAssembly module, version 1, does."
        yield Problem(f"section {WASM_MODULE}, byte 0 of its data", message, "compile the file again.")
    yield from _wasm_manifest_problems(agent)


def _component_problems(header: Header, module: Section | None) -> Iterator[Problem]:
    if module is not None and not module.data.startswith(COMPONENT_MAGIC):
        message = "it does not begin as a WebAssembly component does."
        yield Problem(f"section {WASM_MODULE}, byte 0 of its data", message, "bring the component itself.")
    try:
        manifest = ComponentManifest.model_validate(header.manifest)
    except ValidationError as error:
        for details in error.errors(include_url=False):
            place = ".".join(map(str, ("header: manifest", *details["loc"])))
            yield Problem(place, f"{details['msg']}.", "correct the manifest.")
        return
    yield from _binding_problems(header, manifest)


def _wasm_manifest_problems(agent: AgentFile) -> Iterator[Problem]:
    header = agent.header
    try:
        manifest = WasmManifest.model_validate(header.manifest)
    except ValidationError as error:
        for details in error.errors(include_url=False):
            place = ".".join(map(str, ("header: manifest", *details["loc"])))
            yield Problem(place, f"{details['msg']}.", "compile the file again.")
        return
    yield from manifest.problems("header: manifest")
    yield from _binding_problems(header, manifest)


def _binding_problems(header: Header, manifest: WasmManifest | ComponentManifest) -> Iterator[Problem]:
    """What a manifest says that the header says too."""
    if manifest.instance != header.instance:
        message = f"it says {manifest.instance}, the header {header.instance}."
        yield Problem("header: manifest.instance", message, "write the same in both.")
    offered = {capability.name: capability for capability in header.capabilities}
    capability = offered.get(manifest.capability)
    if capability is None:
        message = f"{manifest.capability} is not among the file's capabilities."
        yield Problem("header: manifest.capability", message, "compile the file again.")
    elif [port.name for port in (*capability.inputs, *capability.outputs)] != [
        manifest.input.port,
        manifest.output.port,
    ]:
        message = f"its ports are not those of {capability.name}."
        yield Problem("header: manifest", message, "compile the file again.")
    needed_mb = -(-manifest.pages * WASM_PAGE_BYTES // _MIB)
    if needed_mb > header.resources.limits.memory_mb:
        message = f"the network needs {needed_mb} MiB, the limit is {header.resources.limits.memory_mb}."
        yield Problem("header: resources.limits.memory_mb", message, f"raise it to {needed_mb} or more.")


def python_manifest(header: Header) -> dict[str, JsonValue]:
    """The manifest of a Python agent: what it offers, and which outputs carry many items."""
    return {"abi": PYTHON_ABI, "capabilities": [_offer(capability) for capability in header.capabilities]}


def _offer(capability: Capability) -> JsonValue:
    """A capability by name, with its `many` outputs if it has some: there a list is items, not one value."""
    many: list[JsonValue] = [{"name": port.name, "many": True} for port in capability.outputs if port.many]
    return {"name": capability.name, "outputs": many} if many else capability.name


def source_digest(section: Section) -> str:
    """The SHA-256 of what a file is compiled from, independent of how the section is stored."""
    return hashlib.sha256(section.data).hexdigest()
