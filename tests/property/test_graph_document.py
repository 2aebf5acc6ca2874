"""Whatever graph is written as a document is read back, and no text breaks the reader."""

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from swarm.doors.document import dump, load
from swarm.errors import SwarmError
from tests.property.graphs import sound_graphs

KEYS = ("graph", "nodes", "edges", "inputs", "outputs", "capability", "with", "times", "from", "to", "bond")
VALUES = ("a", "b", "a:b", "1", "~", "true", "a.x -> b.y", "a.*.x")
MARKS = ("\n  ", "\n", ": ", "- ", "{", "}", "[", "]", ", ", "&a ", "*a", "!x ", "'", '"')
WORDS = st.sampled_from([*KEYS, *VALUES, *MARKS])


@given(sound_graphs())
def test_a_graph_that_is_written_is_read_again(graph):
    assert load(dump(graph)) == graph


@given(
    st.lists(WORDS, max_size=40).map("".join) | st.text(max_size=80), st.sampled_from([None, "yaml", "json"])
)
def test_any_text_is_a_graph_or_refused(text, form):
    with contextlib.suppress(SwarmError):
        assert load(dump(load(text, form=form))) == load(text, form=form)


@given(st.data())
def test_a_damaged_document_is_a_graph_or_refused(data):
    whole = dump(data.draw(sound_graphs()))
    at = data.draw(st.integers(0, len(whole)))
    damaged = whole[:at] + data.draw(WORDS) + whole[at + data.draw(st.integers(0, 5)) :]
    with contextlib.suppress(SwarmError):
        load(damaged)
