"""From probabilities to sets."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from swarm.decompose.learn.decode import Taste, choose_chain, choose_links, choose_nodes

NOBODY = np.zeros((3, 3))


def unseen(_):
    return 0.0


def test_the_likeliest_are_taken_up_to_the_least_and_never_fewer_than_asked():
    plain = Taste(0.5, 0.0, 0.0)
    assert choose_nodes(np.array([0.2, 0.9, 0.6]), NOBODY, unseen, plain, 0) == [1, 2]
    assert choose_nodes(np.array([0.2, 0.3, 0.1]), NOBODY, unseen, plain, 2) == [1, 0]
    assert choose_nodes(np.array([0.2]), NOBODY[:1, :1], unseen, plain, 2) == [0]


def test_of_two_that_never_go_together_the_likelier_is_taken():
    rivals = np.array([[0.0, -3.0, 0.0], [-3.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    chances = np.array([0.6, 0.55, 0.9])
    assert choose_nodes(chances, rivals, unseen, Taste(0.5, 0.0, 0.0), 1) == [2, 0, 1]
    assert choose_nodes(chances, rivals, unseen, Taste(0.5, 1.0, 0.0), 1) == [2, 0]


def test_a_set_that_was_often_the_answer_is_preferred():
    def seen(answer):
        return 2.0 if answer == {1, 2} else 0.0

    chances = np.array([0.1, 0.45, 0.9])
    assert choose_nodes(chances, NOBODY, seen, Taste(0.5, 0.0, 0.0), 1) == [2]
    assert choose_nodes(chances, NOBODY, seen, Taste(0.5, 0.0, 0.5), 1) == [2, 1]


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
