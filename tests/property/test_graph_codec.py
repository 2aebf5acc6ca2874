"""One encoding per graph, whatever is in it."""

import contextlib
import dataclasses
import json

from hypothesis import given
from hypothesis import strategies as st

from swarm.errors import GraphRefused
from swarm.graph import decode, digest, encode
from tests.property.graphs import texts, wild_graphs


def shuffled(value, rng):
    """The same JSON with the keys of every object in another order."""
    if isinstance(value, dict):
        pairs = [(key, shuffled(inner, rng)) for key, inner in value.items()]
        rng.shuffle(pairs)
        return dict(pairs)
    return [shuffled(inner, rng) for inner in value] if isinstance(value, list) else value


@given(wild_graphs)
def test_what_is_encoded_is_decoded_again(graph):
    assert decode(encode(graph)) == graph


@given(wild_graphs, st.randoms(use_true_random=False))
def test_neither_the_order_of_keys_nor_spaces_matter(graph, rng):
    data = encode(graph)
    other = json.dumps(shuffled(json.loads(data), rng), indent=1).encode()
    assert decode(other) == graph
    assert encode(decode(other)) == data


@given(wild_graphs, wild_graphs)
def test_graphs_have_equal_bytes_exactly_if_they_are_equal(one, other):
    assert (encode(one) == encode(other)) == (one == other)


@given(wild_graphs, st.dictionaries(texts, texts, max_size=3))
def test_annotations_travel_but_do_not_change_the_name(graph, annotations):
    other = dataclasses.replace(graph, annotations=annotations)
    assert digest(other) == digest(graph)
    assert decode(encode(other)).annotations == annotations


@given(st.data())
def test_a_damaged_encoding_is_refused_or_still_a_graph(data):
    whole = encode(data.draw(wild_graphs))
    at = data.draw(st.integers(0, len(whole) - 1))
    cut = data.draw(st.integers(0, 4))
    damaged = whole[:at] + data.draw(st.binary(max_size=4)) + whole[at + cut :]
    with contextlib.suppress(GraphRefused):
        graph = decode(damaged)
        assert decode(encode(graph)) == graph
