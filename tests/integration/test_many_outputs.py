"""A list on a `many` port of a Python agent is items, whatever is in it; elsewhere it is one JSON value."""

from __future__ import annotations

import af
from sandbox.cell import Cell
from sandbox.payload import json_payload
from sandbox.spec import AgentImage, CellSpec
from tests.security.support import open_house
from tests.unit.af.samples import python_agent

SOURCE = b"""class Agent:
    def process_input(self, capability, inputs):
        items = list(range(inputs["count"]))
        return {"parts": items, "whole": items}
"""
CAPABILITY = {
    "name": "test:cut",
    "inputs": [{"name": "count", "kind": "json"}],
    "outputs": [{"name": "parts", "kind": "json", "many": True}, {"name": "whole", "kind": "json"}],
}


def test_an_empty_list_and_a_list_of_numbers_are_items_on_a_many_port() -> None:
    run = af.executable(af.compile_agent(python_agent(SOURCE, capabilities=[CAPABILITY])))

    async def body(cell: Cell) -> None:
        for count, items in ((0, []), (1, [0]), (3, [0, 1, 2])):
            answer = await cell.process_input("test:cut", {"count": json_payload(count)})
            assert answer == {"parts": [json_payload(item) for item in items], "whole": json_payload(items)}
        assert (await cell.get_metadata())["capabilities"] == ["test:cut"]

    with open_house() as house:
        house.with_cell(CellSpec(AgentImage(run.name, "python", run.code, run.manifest)), body)
