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


PEGASUS = """<?xml version="1.0"?><adag xmlns="http://pegasus.isi.edu/schema/DAX">
<job id="j1" name="split"/><job id="j2" name="count"/><job id="j3" name="join"/>
<child ref="j3"><parent ref="j1"/><parent ref="j2"/></child></adag>"""
PLAIN = """<flow><steps><step id="a" action="load"/><step id="b"><action>save</action>
<depends_on>a</depends_on></step></steps></flow>"""


def test_xml_gives_what_json_would():
    assert set(parse_structured(PEGASUS).edges) == {("j1", "j3"), ("j2", "j3")}
    found = parse_structured(PLAIN)
    assert [(step.name, step.action, step.needs) for step in found.steps] == [
        ("a", "load", ()),
        ("b", "save", ("a",)),
    ]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("<a><b></a>", "not XML"),
        ("<a/>", "no steps"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><a><step/></a>', "DOCTYPE"),
        ("<a>" * 40 + "<step/>" + "</a>" * 40, "nested too deeply"),
    ],
)
def test_xml_that_is_broken_or_a_trap_is_refused(source, reason):
    with pytest.raises(Mistake, match=reason):
        parse_structured(source)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table_has_a_step_in_each_row(separator):
    needs = "load clean" if separator != "," else '"load, clean"'
    rows = [
        ["id", "action", "depends_on"],
        ["load", "fetch", ""],
        ["clean", "tidy", "load"],
        ["z", "send", needs],
    ]
    found = parse_structured("\n".join(separator.join(row) for row in rows), "csv")
    assert [step.action for step in found.steps] == ["fetch", "tidy", "send"]
    assert found.edges == (("load", "clean"), ("load", "z"), ("clean", "z"))


@pytest.mark.parametrize("source", ["", "id,action", "id,action\na,b,c"])
def test_a_table_that_is_none_is_refused(source):
    with pytest.raises(Mistake):
        parse_structured(source, "csv")


def test_arguments_are_kept_as_constants_and_references():
    calls = [
        {"name": "add", "label": "var1", "arguments": {"x": 1, "deep": {"b": 2, "a": [1]}}},
        {
            "name": "scale",
            "label": "var2",
            "arguments": {"by": "$var1.result$", "text": "about $var1.result$"},
        },
    ]
    first, second = parse_structured(json.dumps(calls)).steps
    assert [(one.port, one.json) for one in first.given] == [("x", "1"), ("deep", '{"a":[1],"b":2}')]
    assert [(one.port, one.source, one.field) for one in second.given] == [("by", "var1", "result")]


def test_references_in_double_braces_are_edges():
    tasks = [
        {"name": "a", "template": "load"},
        {
            "name": "b",
            "template": "save",
            "arguments": {"parameters": [{"name": "text", "value": "{{tasks.a.outputs.parameters.page}}"}]},
        },
    ]
    found = parse_structured(json.dumps({"spec": {"templates": [{"dag": {"tasks": tasks}}]}}))
    assert found.edges == (("a", "b"),)
    assert [(one.port, one.source, one.field) for one in found.steps[1].given] == [("text", "a", "page")]
