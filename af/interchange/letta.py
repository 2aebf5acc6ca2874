"""Letta's Agent File, the other `.af`: JSON, with a prompt, memory blocks and tools for a language model.

It has no program and no weights, so it cannot become an agent by itself. What maps is its name, its
description and, kept under `x-letta` for a module to read, its prompt, memory and the descriptions of its
tools. Their source code stays behind: code that a model may choose to call is not what an agent file offers.
"""

import json

from pydantic import JsonValue

from af.agentfile import LETTA_MARKS
from af.errors import refused
from af.interchange.imported import Imported, plain_name
from af.limits import HEADER_BYTES_MAX, TEXT_CHARS_MAX

LETTA_BYTES_MAX = 64 * 1024 * 1024

_PLACE = "Letta agent file"
_LEFT_OUT = ("messages", "files", "sources", "mcp_servers", "groups")
_LISTED_MAX = 64  # blocks, and tools
_ITEM_CHARS_MAX = 64 * 1024


def read_letta(data: bytes) -> Imported:
    """What a Letta agent file says of its one agent."""
    if len(data) > LETTA_BYTES_MAX:
        raise refused(_PLACE, f"it has more than {LETTA_BYTES_MAX} bytes.", "export it without its messages.")
    try:
        document: object = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise refused(_PLACE, f"it is not readable JSON ({error}).", "export it again.") from None
    if not isinstance(document, dict):
        raise refused(_PLACE, "it is not a JSON object.", "export it again.")
    agent, blocks = _agent(document)
    left_out = (
        ["what its tools do (their source code)"] if document.get("tools") or agent.get("tools") else []
    )
    left_out += [f"its {key}" for key in _LEFT_OUT if document.get(key) or agent.get(key)]
    kept: dict[str, JsonValue] = {
        "system": _text(agent.get("system"), _ITEM_CHARS_MAX),
        "model": _model(agent),
        "memory": [
            {"label": _text(block.get("label")), "value": _text(block.get("value"), _ITEM_CHARS_MAX)}
            for block in _objects(blocks)
        ],
        "tools": [
            {"name": _text(tool.get("name")), "description": _text(tool.get("description"))}
            for tool in _objects(document.get("tools") or agent.get("tools"))
        ],
    }
    if len(json.dumps(kept)) > HEADER_BYTES_MAX // 2:
        message = "its prompt, memory and tools are longer than a header may be."
        raise refused(_PLACE, message, "shorten its memory blocks.")
    header: dict[str, JsonValue] = {"x-letta": {key: value for key, value in kept.items() if value}}
    name, about = _text(agent.get("name")), _text(agent.get("description"))
    if name:
        header["name"] = plain_name(name)
    if about:
        header["description"] = about
    return Imported("a Letta agent file", header=header, left_out=tuple(left_out))


def looks_like_letta(data: bytes) -> bool:
    """Whether bytes begin like one: an agent file of ours begins with text, this one with a brace."""
    return data[:1] == b"{" and any(mark in data[:HEADER_BYTES_MAX] for mark in LETTA_MARKS)


def _agent(document: dict[str, object]) -> tuple[dict[str, object], object]:
    """The agent, and its memory blocks; newer files list agents, older ones are the agent."""
    agents = document.get("agents")
    if agents is None:
        if not any(key in document for key in ("agent_type", "llm_config", "system")):
            raise refused(_PLACE, "it is JSON, but not a Letta agent file.", "export it from Letta again.")
        return document, document.get("core_memory") or document.get("blocks")
    found = _objects(agents)
    if len(found) != 1:
        raise refused(_PLACE, f"it holds {len(found)} agents.", "export one agent at a time.")
    return found[0], document.get("blocks")


def _objects(value: object) -> list[dict[str, object]]:
    items = value if isinstance(value, list) else []
    return [item for item in items[:_LISTED_MAX] if isinstance(item, dict)]


def _text(value: object, chars_max: int = TEXT_CHARS_MAX) -> str:
    return value[:chars_max] if isinstance(value, str) else ""


def _model(agent: dict[str, object]) -> str:
    config = agent.get("llm_config")
    return _text(config.get("model")) if isinstance(config, dict) else ""
