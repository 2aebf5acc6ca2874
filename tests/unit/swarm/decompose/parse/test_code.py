"""Programs as steps and edges."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.decompose.parse.code import parse_code
from swarm.decompose.parse.steps import SOURCE_CHARS_MAX
from swarm.errors import Mistake, TooLarge


def edges(source):
    return set(parse_code(source).edges)


def test_a_result_that_is_handed_on_is_an_edge():
    found = parse_code("a = load('x')\nb = clean(a)\nsave(b)")
    assert [step.action for step in found.steps] == ["load", "clean", "save"]
    assert [step.line for step in found.steps] == [1, 2, 3]
    assert found.edges == (("load_1", "clean_2"), ("clean_2", "save_3"))


def test_calls_inside_calls_and_methods_are_followed():
    assert edges("save(load().clean(limit()))") == {
        ("load_1", "clean_3"),
        ("limit_2", "clean_3"),
        ("clean_3", "save_4"),
    }


def test_a_name_given_anew_no_longer_comes_from_the_old_step():
    assert edges("a = f()\na = g()\nh(a)") == {("g_2", "h_3")}


def test_either_branch_may_have_given_a_name():
    assert edges("if c:\n  a = f()\nelse:\n  a = g()\nh(a)") == {("f_1", "h_3"), ("g_2", "h_3")}


def test_a_loop_hands_its_items_on_and_its_results_out():
    assert edges("out = []\nfor x in load():\n  out += work(x)\nsave(out)") == {
        ("load_1", "work_2"),
        ("work_2", "save_3"),
    }


def test_functions_are_read_where_they_are_called():
    source = "def both(x):\n  y = f(x)\n  return g(y)\nz = both(load())\nsave(z)"
    assert edges(source) == {("load_1", "f_2"), ("f_2", "g_3"), ("g_3", "save_4")}


def test_a_function_that_calls_itself_ends():
    assert len(parse_code("def f(x):\n  return f(g(x))\nf(1)").steps) < 100


def test_imports_are_spelt_out():
    found = parse_code("import numpy as np\nfrom json import loads\nnp.sort(loads(x))")
    assert [step.action for step in found.steps] == ["json.loads", "numpy.sort"]


def test_what_is_not_python_is_refused_with_its_line():
    with pytest.raises(Mistake, match="line 2: this is not Python"):
        parse_code("a = 1\nb = = 2")


def test_a_program_without_calls_is_refused():
    with pytest.raises(Mistake, match="no steps"):
        parse_code("a = 1")


def test_an_overlong_program_is_refused():
    with pytest.raises(TooLarge):
        parse_code("a" * (SOURCE_CHARS_MAX + 1))


@pytest.mark.parametrize("source", ["(" * 5000, "-" * 100_000 + "1", "f(" * 150 + ")" * 150])
def test_deep_nesting_is_read_or_refused(source):
    with contextlib.suppress(Mistake):
        assert parse_code(source).steps


@given(st.text("abf()=.,:\n +[]", max_size=80))
def test_whatever_is_given_is_read_or_refused(source):
    try:
        found = parse_code(source)
    except Mistake:
        return
    seen = set()
    for step in found.steps:
        assert seen.issuperset(step.needs)
        seen.add(step.name)
