"""From probabilities to sets."""

from hypothesis import given
from hypothesis import strategies as st

from swarm.decompose.learn.decode import choose_chain, choose_links, choose_nodes


def test_the_likeliest_are_taken_up_to_the_least_and_never_fewer_than_asked():
    assert choose_nodes([0.2, 0.9, 0.6], 0.5, 0) == [1, 2]
    assert choose_nodes([0.2, 0.3, 0.1], 0.5, 2) == [1, 0]


def test_an_edge_that_would_close_a_circle_is_left_out():
    assert choose_links({(0, 1): 0.9, (1, 2): 0.8, (2, 0): 0.7}, 0.5) == [(0, 1), (1, 2)]


def test_the_chain_follows_the_likeliest_neighbours():
    chances = {(a, b): 0.1 for a in range(3) for b in range(3) if a != b} | {(2, 0): 0.9, (0, 1): 0.8}
    assert choose_chain([0, 1, 2], chances) == [2, 0, 1]


@given(st.integers(1, 9))
def test_a_chain_of_any_length_holds_every_node_once(count):
    chances = {(a, b): (a * 7 + b) % 5 / 5 for a in range(count) for b in range(count) if a != b}
    assert sorted(choose_chain(list(range(count)), chances)) == list(range(count))


@given(st.dictionaries(st.tuples(st.integers(0, 6), st.integers(0, 6)), st.floats(0, 1), max_size=40))
def test_chosen_edges_never_form_a_circle(chances):
    left = choose_links({link: chance for link, chance in chances.items() if link[0] != link[1]}, 0.0)
    while left:
        sources = {source for source, _ in left}
        rest = [link for link in left if link[1] in sources]
        assert len(rest) < len(left), "a circle"
        left = rest
