"""An input and an agent's answer to it, for agents that are no network: recorded from a cell, to the bit.

Whether the answer is the same again depends on the agent: one that looks at the time or draws lots differs,
and a capability that calls itself deterministic should not.
"""

import asyncio
import base64
import binascii
import hashlib
import json
from typing import Any

import numpy as np

from af.agentfile import AgentFile
from af.compiler import compile_agent, executable
from af.errors import AfError, refused
from af.records import Capability
from af.tools.hosts import Answer
from af.tools.life import Life

FORMAT = "af-answers-1"

_DTYPE_KINDS = "fiub"


def record_answer(agent: AgentFile, capability: Capability, inputs: dict[str, object]) -> bytes:
    """Ask the agent in a cell; the recording holds its name, its code's digest, the input and the answer."""
    agent = _runnable(agent)
    document = {
        "format": FORMAT,
        "agent": agent.header.name,
        "code_sha256": _code_digest(agent),
        "capability": capability.name,
        "inputs": {name: _packed(value) for name, value in inputs.items()},
        "outputs": {name: _packed(value) for name, value in _ask(agent, capability, inputs).items()},
    }
    return (json.dumps(document, indent=1) + "\n").encode()


def is_answer_recording(data: bytes) -> bool:
    return FORMAT.encode() in data[:200]


def replay_answer(agent: AgentFile, data: bytes) -> tuple[list[str], bool]:
    """The ports whose answer is not the recorded one, and whether the code is the recorded one."""
    agent = _runnable(agent)
    try:
        document = json.loads(data)
        name, code = document["capability"], document["code_sha256"]
        inputs = {str(port): _unpacked(value) for port, value in document["inputs"].items()}
        expected = dict(document["outputs"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error) as error:
        message = f"it is not a recording of format {FORMAT} ({error!r:.200})."
        raise refused("recording", message, "make one with `af-debug record`.") from None
    offered = {capability.name: capability for capability in agent.header.capabilities}
    if name not in offered:
        raise refused("recording", f"it asks for {name!r:.80}.", "replay it with the agent it was made with.")
    found = {port: _packed(value) for port, value in _ask(agent, offered[name], inputs).items()}
    ports = dict.fromkeys((*expected, *found))
    return [port for port in ports if expected.get(port) != found.get(port)], code == _code_digest(agent)


def _runnable(agent: AgentFile) -> AgentFile:
    return compile_agent(agent) if agent.header.manifest is None else agent


def _code_digest(agent: AgentFile) -> str:
    return hashlib.sha256(executable(agent).code).hexdigest()


def _ask(agent: AgentFile, capability: Capability, inputs: dict[str, object]) -> dict[str, object]:
    answers: list[Answer] = []
    life = Life(agent, None, None, lambda _: None)
    asyncio.run(life.run(capability, [[inputs]], answers.extend))
    (answer,) = answers
    if isinstance(answer, AfError):
        raise answer
    return answer


def _packed(value: object) -> Any:
    """A port's value as JSON that keeps every bit."""
    if isinstance(value, np.ndarray):
        data = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode("ascii")
        return {"tensor": data, "dtype": value.dtype.newbyteorder("<").str, "shape": list(value.shape)}
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode("ascii")}
    if isinstance(value, list) and any(isinstance(item, np.ndarray | bytes) for item in value):
        return {"many": [_packed(item) for item in value]}
    return {"json": value}


def _unpacked(facts: dict[str, Any]) -> object:
    if "tensor" in facts:
        dtype = np.dtype(facts["dtype"])
        if dtype.kind not in _DTYPE_KINDS:
            message = f"dtype {dtype}"
            raise ValueError(message)
        return np.frombuffer(base64.b64decode(facts["tensor"], validate=True), dtype).reshape(facts["shape"])
    if "bytes" in facts:
        return base64.b64decode(facts["bytes"], validate=True)
    if "many" in facts:
        return [_unpacked(item) for item in facts["many"]]
    return facts["json"]
