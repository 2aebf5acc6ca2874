"""A language model's answer is believed as far as the catalogue confirms it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.decompose.records import Capability
from swarm.decompose.strategies.llm import LlmEngine, read_answer
from swarm.errors import PeerFault, TooLarge
from tests.unit.swarm.decompose.catalogues import CATALOGUE

NAMES = [each.name for each in CATALOGUE]


class Saying:
    def __init__(self, answer):
        self.answer, self.asked = answer, []

    def complete(self, system, user):
        self.asked.append((system, user))
        return self.answer


def test_its_answer_becomes_a_decomposition():
    answer = {
        "steps": [
            {"capability": "Translator", "words": "into English"},
            {"capability": "Audio-to-Text", "words": "transcribe"},
        ],
        "links": [["Audio-to-Text", "Translator"]],
        "unmapped": ["book a table"],
    }
    chat = Saying(f"Here you are:\n```json\n{json.dumps(answer)}\n```")
    found = LlmEngine(CATALOGUE, chat).decompose("Transcribe it into English and book a table")
    assert [step.capability for step in found.subtasks] == ["Audio-to-Text", "Translator"]
    assert found.links == {("Audio-to-Text", "Translator")}
    assert found.unmapped == ("book a table",)
    ((system, user),) = chat.asked
    assert all(name in system for name in NAMES)
    assert user.startswith("Transcribe")


def test_what_does_not_exist_is_told_and_circles_are_cut():
    answer = {
        "steps": ["Translator", {"capability": "rm -rf", "words": "erase\x1b[2J all"}, "Summarizer", 7],
        "links": [
            ["Translator", "Summarizer"],
            ["Summarizer", "Translator"],
            ["Translator", "Translator"],
            ["x"],
            3,
        ],
    }
    found = read_answer(json.dumps(answer), "x", CATALOGUE)
    assert found.nodes == {"Translator", "Summarizer"}
    assert len(found.links) == 1
    assert found.unmapped == ("erase [2J all",)


@pytest.mark.parametrize("answer", ["", "no", "[]", '{"steps": 3}', "{" * 5000, '{"steps": ' + "[" * 100_000])
def test_an_answer_of_another_shape_is_its_fault(answer):
    with pytest.raises(PeerFault):
        read_answer(answer, "x", CATALOGUE)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(NAMES) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["capability", "words", "steps", "links"]), inner, max_size=3)
    ),
    max_leaves=20,
)


@given(st.fixed_dictionaries({"steps": st.lists(values, max_size=6), "links": values, "unmapped": values}))
def test_whatever_it_answers_only_what_exists_comes_out_without_circles(answer):
    found = read_answer(json.dumps(answer), "x", CATALOGUE)
    assert found.nodes <= set(NAMES)
    order = [step.capability for step in found.subtasks]
    assert len(order) == len(set(order))
    assert all(order.index(a) < order.index(b) for a, b in found.links)
    assert all(text.isprintable() for text in found.unmapped)


def test_bounds_hold_before_anything_is_asked():
    chat = Saying("{}")
    with pytest.raises(TooLarge):
        LlmEngine([Capability(f"c{at}", "x" * 200) for at in range(1_000)], chat)
    with pytest.raises(TooLarge):
        LlmEngine(CATALOGUE, chat).decompose("x" * 30_000)
    assert not chat.asked
