"""Files every reader of the format must accept, and files it must refuse with these words."""

from pathlib import Path

import pytest

import af

HERE = Path(__file__).parent
VALID = sorted((HERE / "valid").glob("*.af"))
INVALID = sorted((HERE / "invalid").glob("*.af"))
NOT_CANONICAL = {
    "specification_example",
    "header_only",
    "own_keys",
}  # written by hand, without our first line


def problems_of(data):
    try:
        return af.check(af.parse(data))
    except af.AfRefused as error:
        return list(error.problems)


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_a_valid_file_parses_and_survives_writing(path):
    data = path.read_bytes()
    agent = af.parse(data)
    written = af.write(agent)
    assert af.parse(written) == agent
    assert (written == data) == (path.stem not in NOT_CANONICAL)


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_an_invalid_file_is_refused_with_the_expected_words(path):
    expected = path.with_suffix(".txt").read_text()
    assert "\n".join(map(str, problems_of(path.read_bytes()))) + "\n" == expected


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_no_invalid_file_runs(path):
    with pytest.raises(af.AfRefused):
        af.executable(af.parse(path.read_bytes()))


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_an_invalid_file_compiles_only_if_compiling_is_the_remedy(path):
    data = path.read_bytes()
    if all(problem.remedy == "compile the file again." for problem in problems_of(data)):
        assert not af.check(af.compile_agent(af.parse(data)))
    else:
        with pytest.raises(af.AfRefused):
            af.compile_agent(af.parse(data))


def test_the_specifications_own_example_means_what_it_says():
    agent = af.parse((HERE / "valid" / "specification_example.af").read_bytes())
    assert agent.header.name == "classification-agent"
    assert agent.header.neural_config.widths == (784, 128, 64, 32, 10)
    assert agent.header.resources.limits.network_bandwidth_mbps == 10
    assert agent.header.workflows.shutdown == ("save_state", "disconnect_from_swarm", "cleanup_resources")
    assert [section.name for section in agent.sections] == ["neural_weights", "training_data"]


def test_there_is_no_invalid_file_without_its_words():
    assert len(INVALID) >= 20
    assert {path.stem for path in INVALID} == {path.stem for path in (HERE / "invalid").glob("*.txt")}
