"""Cells: locked-down processes that host agents nobody has to trust.

    async with await Warden.start() as warden:
        cell = await warden.spawn(CellSpec(AgentImage("hello", "python", source)))
        answer = await cell.process_input("text:greet", {"name": ("json", b'"Ada"')})

Names are loaded when first used, so a cell that imports one module of this package does not load the
others.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sandbox.broker import Broker as Broker
    from sandbox.broker import Connection as Connection
    from sandbox.broker import Destination as Destination
    from sandbox.cell import Cell as Cell
    from sandbox.cell import State as State
    from sandbox.contract import Agent as Agent
    from sandbox.edge import EdgeCell as EdgeCell
    from sandbox.edge import EdgeWarden as EdgeWarden
    from sandbox.errors import AgentFailed as AgentFailed
    from sandbox.errors import Broken as Broken
    from sandbox.errors import CellError as CellError
    from sandbox.errors import Exceeded as Exceeded
    from sandbox.errors import Refused as Refused
    from sandbox.outside import Held as Held
    from sandbox.outside import Stored as Stored
    from sandbox.payload import Items as Items
    from sandbox.payload import Payload as Payload
    from sandbox.payload import Ports as Ports
    from sandbox.pool import Pool as Pool
    from sandbox.spec import AgentImage as AgentImage
    from sandbox.spec import Attestation as Attestation
    from sandbox.spec import CellLimits as CellLimits
    from sandbox.spec import CellSpec as CellSpec
    from sandbox.spec import Missing as Missing
    from sandbox.spec import Usage as Usage
    from sandbox.warden import Warden as Warden

_HOMES = {
    "Agent": "contract",
    "AgentFailed": "errors",
    "AgentImage": "spec",
    "Attestation": "spec",
    "Broken": "errors",
    "Broker": "broker",
    "Cell": "cell",
    "CellError": "errors",
    "CellLimits": "spec",
    "CellSpec": "spec",
    "Connection": "broker",
    "Destination": "broker",
    "EdgeCell": "edge",
    "EdgeWarden": "edge",
    "Exceeded": "errors",
    "Held": "outside",
    "Items": "payload",
    "Missing": "spec",
    "Payload": "payload",
    "Pool": "pool",
    "Ports": "payload",
    "Refused": "errors",
    "State": "cell",
    "Stored": "outside",
    "Usage": "spec",
    "Warden": "warden",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605  (a list of names, built from the table)


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    found = globals()[name] = getattr(importlib.import_module(f"{__name__}.{home}"), name)  # asked once
    return found
