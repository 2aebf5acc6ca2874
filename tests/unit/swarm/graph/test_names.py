"""Names, quoting, and suggestions that stay cheap in a report of a hundred thousand mistakes."""

import time

import pytest

from swarm.graph.names import Suggester, is_capability, is_name, is_title, listed, shown, spoken


@pytest.mark.parametrize("name", ["a", "_", "0", "classify.0", "in.read", "A-b_c", "a" * 128])
def test_good_names_are_taken(name):
    assert is_name(name)
    assert spoken(name) == name


@pytest.mark.parametrize("name", ["", "a" * 129, "a b", "a\n", "é", "-", ".a", "a:b", "a*"])
def test_other_names_are_not(name):
    assert not is_name(name)


def test_capabilities_have_a_group_and_an_element():
    assert is_capability("vision:digit")
    assert not any(map(is_capability, ["", "digit", "a:", ":a", "a:b:c", "A:b", "a: b", "a:b\n"]))


def test_titles_are_for_people():
    assert is_title("read, then judge twice")
    assert not any(map(is_title, ["", " ", "a ", "a\tb", "a\x1b[31m", "x" * 129]))


def test_what_is_shown_is_short_and_plain():
    assert shown("é\x1b") == "'\\xe9\\x1b'"
    assert len(shown("x" * 10_000_000)) < 80
    assert len(shown(10**400)) < 80


def test_listing_stops():
    assert listed([]) == "none"
    assert listed(["a", "b"]) == "a, b"
    assert listed(f"n{at}" for at in range(100)).endswith("n11, ...")


def test_only_close_names_are_suggested():
    suggester = Suggester()
    assert suggester.did_you_mean("sorces", ["scores", "images"]) == "did you mean 'scores'?"
    assert suggester.did_you_mean("zzz", ["scores", "images"]) == ""
    assert suggester.did_you_mean("x" * 10_000, ["x" * 10_000]) == ""


def test_suggestions_end_before_they_cost_time():
    suggester, known = Suggester(), [f"name.{at}" for at in range(100_000)]
    started = time.process_time()
    given = [suggester.did_you_mean(f"nome.{at}", known) for at in range(10_000)]
    assert given[0]
    assert not given[-1]
    assert time.process_time() - started < 10
