"""Documents of steps in the forms people have."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.decompose.parse.structured import parse_structured
from swarm.errors import Mistake


def edges(source):
    return set(parse_structured(source).edges)


def test_steps_with_depends_on_are_read_from_yaml_and_json():
    document = {"steps": [{"id": "a", "action": "load"}, {"id": "b", "action": "save", "depends_on": ["a"]}]}
    for source in (
        json.dumps(document),
        "steps:\n- {id: a, action: load}\n- {id: b, action: save, depends_on: a}",
    ):
        found = parse_structured(source)
        assert [(step.name, step.action) for step in found.steps] == [("a", "load"), ("b", "save")]
        assert found.edges == (("a", "b"),)


def test_references_to_earlier_results_are_edges():
    calls = [
        {"name": "add", "label": "var1", "arguments": {"x": 1}},
        {"name": "scale", "label": "var2", "arguments": {"by": "$var1.result$", "deep": ["${var1.x}"]}},
    ]
    found = parse_structured(json.dumps(calls))
    assert (found.form, found.edges) == ("calls", (("var1", "var2"),))


def test_github_actions_jobs_wait_for_the_last_step_they_need():
    source = """
jobs:
  build: {steps: [{uses: checkout}, {run: make}]}
  test: {needs: build, steps: [{run: make test}]}
"""
    found = parse_structured(source)
    assert found.form == "actions"
    assert set(found.edges) == {("build.1", "build.2"), ("build.2", "test.1")}
    assert [step.action for step in found.steps] == ["checkout", "make", "make test"]


def test_argo_and_wfformat_are_known():
    tasks = [{"name": "a", "template": "echo"}, {"name": "b", "template": "echo", "dependencies": ["a"]}]
    argo = {"spec": {"templates": [{"dag": {"tasks": tasks}}]}}
    assert parse_structured(json.dumps(argo)).edges == (("a", "b"),)
    tasks = [{"id": "x", "name": "split", "parents": []}, {"id": "y", "name": "join", "parents": ["x"]}]
    found = parse_structured(json.dumps({"workflow": {"specification": {"tasks": tasks}}}))
    assert (found.form, found.edges) == ("wfformat", (("x", "y"),))


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("steps: [{id: a, needs: b}]", "no step"),
        ("steps: [{id: a}, {id: a}]", "this name"),
        ("steps: 7", "neither a list"),
        ("steps: [[a]]", "no mapping"),
        ("steps: []", "no steps"),
        ("just a text", "no list of steps"),
        ("a: [", "line"),
        ('{"a": ', "neither JSON nor YAML"),
        ("&a [*a]", "refers to itself"),
        ("jobs: {a: {needs: b, steps: [x]}}", "no job"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(source, reason):
    with pytest.raises(Mistake, match=reason):
        parse_structured(source)


KEYS = st.sampled_from(["steps", "id", "needs", "jobs", "a"])
LEAVES = st.none() | st.integers() | st.text(max_size=5)


@given(
    st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3))
)
def test_whatever_is_given_is_read_or_refused(document):
    try:
        found = parse_structured(json.dumps(document))
    except Mistake:
        return
    assert found.steps
