"""Other formats of small networks and agents: read into an agent file, and written from one.

    agent = import_agent(Path("network.net"), header=None)       # an AgentFile, by what the file holds
    data = export_network(agent, "onnx")                         # or "fann"

| format | in | out | needs |
|---|---|---|---|
| FANN `.net` | yes | dense layers | |
| ONNX | chains of layers, with ways around | every layer | the extra `onnx` |
| safetensors | with a header that lists the layers | | the extra `safetensors` |
| torch state_dict | with a header that lists the layers | | the extra `torch` |
| Letta Agent File | name, description, prompt, tools' descriptions | | |

A foreign file is a stranger's: its size is bounded, claims about sizes are held against it before memory is
taken, and nothing in it is run.
"""

from pathlib import Path
from typing import Literal, assert_never

from af.agentfile import AgentFile
from af.errors import AfNotReady, AfRefused, Problem, refused
from af.header import NeuralConfig
from af.headertext import read_header
from af.interchange.fann import MAGIC as FANN_MAGIC
from af.interchange.fann import read_fann, write_fann
from af.interchange.imported import FOREIGN_BYTES_MAX, Imported, agent_of
from af.interchange.letta import looks_like_letta, read_letta
from af.interchange.statedict import (
    SAFETENSORS_HEAD_BYTES,
    network_with,
    read_safetensors,
    read_state_dict,
)
from af.source import read_mapping
from af.weights import WEIGHTS, network_from

Format = Literal["fann", "onnx", "safetensors", "torch", "letta"]
Target = Literal["fann", "onnx"]

TENSORS_KEY = "tensors"

_ZIP = b"PK\x03\x04"
_ONNX_FIRST = b"\x08"  # field 1 of the model, its version: every exporter writes it first
_WHAT_OURS_IS = (
    "an agent file brings something to run: a network's weights or a Python module. Write a YAML source "
    "(kind: python, capabilities, sources: {module: agent.py}) and import both: "
    "af-compile agent.yaml --from FILE -o agent.af"
)

__all__ = ["Format", "Imported", "Target", "export_network", "format_of", "import_agent", "read_foreign"]


def import_agent(path: Path, header: Path | None = None) -> AgentFile:
    """The agent in a foreign file, not yet checked or compiled. `header` is the YAML source beside it."""
    data = _read(path)
    given = {} if header is None else read_mapping(header)
    prefixes = _prefixes(given.pop(TENSORS_KEY, None))
    imported = read_foreign(data, given.get("neural_config"), prefixes)
    if imported.network is None and header is None:
        message = f"it is {imported.origin}: a prompt for a language model, without a program."
        raise refused("file", message, f"{_WHAT_OURS_IS}.")
    return agent_of(imported, path.stem, given, path.parent if header is None else header.parent)


def read_foreign(data: bytes, config: object = None, prefixes: tuple[str, ...] | None = None) -> Imported:
    """What a foreign file holds. Files of bare weights need the `neural_config` they belong to."""
    found = format_of(data)
    match found:
        case "fann":
            return read_fann(data)
        case "letta":
            return read_letta(data)
        case "onnx":
            return _read_onnx(data)
        case "safetensors":
            network = network_with(_config(config), read_safetensors(data), prefixes, ordered=False)
            return Imported("a safetensors file", network, names_layers=False)
        case "torch":
            network = network_with(_config(config), read_state_dict(data), prefixes, ordered=True)
            return Imported("a torch state_dict", network, names_layers=False)
        case _:
            assert_never(found)


def format_of(data: bytes) -> Format:
    """The format of a file by what it begins with; AfRefused if it is none that can be read."""
    if data.startswith(FANN_MAGIC):
        return "fann"
    if data.startswith(_ZIP):
        return "torch"
    head = data[:SAFETENSORS_HEAD_BYTES]
    if data[SAFETENSORS_HEAD_BYTES : SAFETENSORS_HEAD_BYTES + 1] == b"{":
        if int.from_bytes(head, "little") <= len(data) - SAFETENSORS_HEAD_BYTES:
            return "safetensors"
        raise refused("safetensors file", "it is cut off.", "fetch or write it again.")
    if looks_like_letta(data):
        return "letta"
    if data.startswith(_ONNX_FIRST):
        return "onnx"
    if b"\nversion:" in data[:4096] or data.startswith(b"version:"):
        message = "it is an agent file or its source already."
        raise refused("file", message, "give it to af-compile without --from.")
    message = "it is in none of the formats that can be read."
    remedy = "give FANN .net, ONNX, safetensors, a torch state_dict (.pt) or a Letta agent file."
    raise refused("file", message, remedy)


def export_network(agent: AgentFile, target: Target) -> bytes:
    """An agent's network in another format; AfRefused if that format cannot say it."""
    config, weights = agent.header.neural_config, agent.section(WEIGHTS)
    if agent.header.kind != "neural" or config is None or weights is None:
        message = f"an agent of kind {agent.header.kind} has no network to export."
        raise refused("header: kind", message, "export a neural agent.")
    network = network_from(config, weights)
    match target:
        case "fann":
            parameters = agent.header.extras.get("x-fann")
            kept = parameters if isinstance(parameters, dict) else {}
            return write_fann(network, kept, config.learning_rate)
        case "onnx":
            try:
                from af.interchange.onnx_writer import write_onnx  # noqa: PLC0415 - needs an extra
            except ImportError:
                raise _missing_onnx() from None
            return write_onnx(network, agent.header.name)
        case _:
            assert_never(target)


def _read_onnx(data: bytes) -> Imported:
    try:
        from af.interchange.onnx_reader import read_onnx  # noqa: PLC0415 - needs an extra
    except ImportError:
        raise _missing_onnx() from None
    return read_onnx(data)


def _missing_onnx() -> AfNotReady:
    message = "ONNX needs the package onnx, which is not installed."
    return AfNotReady([Problem("ONNX model", message, "run `pip install 'neural-swarm[onnx]'`.")])


def _config(value: object) -> NeuralConfig:
    """The neural_config of the source beside a file of weights."""
    if value is None:
        message = "the file holds weights, but not what is computed with them."
        remedy = "describe the layers in a YAML source: af-compile agent.yaml --from FILE -o agent.af."
        raise refused("header: neural_config", message, remedy)
    header, _, problems = read_header({"version": "1.0", "name": "import", "neural_config": value})
    if header is None or header.neural_config is None:
        raise AfRefused(problems)
    return header.neural_config


def _prefixes(value: object) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        message = "it is not a list of names."
        raise refused(
            "header: tensors", message, "write `tensors: [conv1, fc1]`, one for each layer's weights."
        )
    return tuple(value)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(FOREIGN_BYTES_MAX + 1)
    except OSError as error:
        raise refused(str(path), f"it is not readable ({error.strerror}).", "correct the path.") from None
    if len(data) > FOREIGN_BYTES_MAX:
        raise refused(str(path), f"it has more than {FOREIGN_BYTES_MAX} bytes.", "import a smaller model.")
    return data
