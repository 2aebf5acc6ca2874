import pytest

from af.headertext import read_header
from af.limits import PROBLEMS_MAX, SECTIONS_MAX

GOOD = {"version": "1.0", "name": "a"}


def problems_of(mapping):
    return read_header(mapping)[2]


@pytest.mark.parametrize(
    ("mapping", "place", "remedy"),
    [
        ({"nmae": "b"}, "header: nmae", "did you mean 'name'?"),
        (
            {"resources": {"limits": {"memory": 1}}},
            "header: resources.limits.memory",
            "did you mean 'memory_mb'?",
        ),
        ({"memory_mb": 1}, "header: memory_mb", "belongs under resources.limits"),
        ({"neural_config": {"input_size": 1, "output_size": 1, "zzz": 1}}, "neural_config.zzz", "'x-zzz'"),
        (
            {"capabilities": [{"name": "a:b", "inputs": [], "outputs": [], "efects": "once"}]},
            "header: capabilities[0].efects",
            "did you mean 'effects'?",
        ),
        (
            {"capabilities": [{"name": "a:b", "inputs": [{"name": "x", "knd": "json"}], "outputs": []}]},
            "header: capabilities[0].inputs[0].knd",
            "did you mean 'kind'?",
        ),
    ],
)
def test_an_unknown_key_is_refused_with_the_one_that_was_meant(mapping, place, remedy):
    found = [problem for problem in problems_of(GOOD | mapping) if place in problem.place]
    assert remedy in found[0].remedy


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"version": 1.0}, "version"),
        ({"version": "1.1"}, "version"),
        ({"name": "two words"}, "name"),
        ({"name": ""}, "name"),
        ({"kind": "rust"}, "kind"),
        ({"created": "yesterday"}, "created"),
        ({"neural_config": {"input_size": 0, "output_size": 1}}, "neural_config.input_size"),
        ({"neural_config": {"input_size": True, "output_size": 1}}, "neural_config.input_size"),
        ({"neural_config": {"input_size": "64", "output_size": 1}}, "neural_config.input_size"),
        ({"resources": {"limits": {"cpu_cores": 0}}}, "resources.limits.cpu_cores"),
        ({"resources": {"limits": {"memory_mb": 1.5}}}, "resources.limits.memory_mb"),
        ({"capabilities": [{"name": "nocolon", "inputs": [], "outputs": []}]}, "capabilities[0].name"),
        ({"workflows": {"execution": "receive_input"}}, "workflows.execution"),
        ({"sections": "none"}, "sections"),
    ],
)
def test_a_wrong_value_is_refused_with_its_place(change, place):
    assert [problem.place for problem in problems_of(GOOD | change)] == [f"header: {place}"]


def test_a_good_header_has_no_problems():
    header, index, problems = read_header(GOOD)
    assert header is not None
    assert index is None
    assert not problems


def test_more_sections_than_allowed_are_refused():
    entry = {"name": "a", "codec": "none", "stored_bytes": 0, "raw_bytes": 0, "sha256": "0" * 64}
    (problem,) = problems_of(GOOD | {"sections": [entry] * (SECTIONS_MAX + 1)})
    assert "the most is 32" in problem.message


def test_a_header_of_nothing_but_mistakes_gets_a_bounded_answer():
    assert len(problems_of(GOOD | {f"key{number}": 1 for number in range(5000)})) == PROBLEMS_MAX
