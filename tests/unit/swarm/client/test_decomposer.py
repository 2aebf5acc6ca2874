"""`TaskDecomposer` without a cluster: over a catalogue that is given."""

import asyncio

import pytest

from swarm.client.decomposer import TaskDecomposer
from swarm.decompose.strategies.heuristic import HeuristicEngine
from swarm.errors import NotFound
from swarm.graph import Port, Signature

CATALOGUE = {
    each.name: each
    for each in (
        Signature("text:translate", (Port("text", "json"),), (Port("text", "json"),)),
        Signature(
            "text:count", (Port("text", "json"),), (Port("number", "json"),), description="Counts words."
        ),
    )
}
SENTENCE = "Translate the text, then count the words."


class Counting(HeuristicEngine):
    thought = 0

    def decompose(self, request):
        Counting.thought += 1
        return super().decompose(request)


@pytest.fixture(autouse=True)
def fresh():
    Counting.thought = 0


def test_a_request_is_thought_about_once_also_by_several_at_once():
    with TaskDecomposer(catalogue=CATALOGUE, engine=Counting) as decomposer:
        first = decomposer.decompose(SENTENCE)
        assert decomposer.decompose(SENTENCE).graph == first.graph
    assert Counting.thought == 1

    async def several():
        async with TaskDecomposer(catalogue=CATALOGUE, engine=Counting) as decomposer:
            await decomposer.decompose_async(SENTENCE)
            return await asyncio.gather(*(decomposer.decompose_async(SENTENCE) for _ in range(8)))

    assert {each.graph.name for each in asyncio.run(several())} == {first.graph.name}
    assert Counting.thought == 2


def test_nothing_is_remembered_where_nothing_may_be():
    with TaskDecomposer(catalogue=CATALOGUE, engine=Counting, cache_bytes_max=0) as decomposer:
        decomposer.decompose(SENTENCE)
        decomposer.decompose(SENTENCE)
    assert Counting.thought == 2


def test_code_and_data_are_the_same_graph_through_the_same_door():
    with TaskDecomposer(catalogue=CATALOGUE) as decomposer:
        code = decomposer.decompose("english = translate(text)\ncount(english)", "code")
        data = decomposer.decompose(
            "- {id: translate_1, action: translate}\n- {id: count_2, action: count, needs: translate_1}",
            "data",
        )
        assert (code.engine, data.engine) == ("python", "steps")
        assert [each.capability for each in code.graph.nodes] == [
            each.capability for each in data.graph.nodes
        ]
        assert code.graph.edges == data.graph.edges
        with pytest.raises(NotFound):
            decomposer.decompose("Fly me to the moon")


def test_steps_that_work_row_by_row_are_dealt_out_where_that_is_asked_for():
    catalogue = CATALOGUE | {
        "text:translate": Signature(
            "text:translate", (Port("text", "json"),), (Port("text", "json"),), rows=frozenset({"text"})
        ),
        "rows:split": Signature(
            "rows:split", (Port("rows"), Port("parts_count", "json")), (Port("parts", many=True),)
        ),
        "rows:join": Signature("rows:join", (Port("parts", many=True),), (Port("rows"),)),
    }
    with TaskDecomposer(catalogue=catalogue, parts=3) as decomposer:
        found = decomposer.decompose(SENTENCE)
    kinds = [node.capability for node in found.graph.nodes]
    assert (kinds.count("text:translate"), kinds.count("text:count")) == (3, 1)
    assert [text for text in found.changes if "dealt out to 3" in text]
