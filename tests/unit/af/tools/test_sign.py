import json

import pytest
from typer.testing import CliRunner

import af
from af.tools import sign, verify
from tests.unit.af.samples import neural_agent, python_agent

TIME = "2026-01-05T00:00:00Z"


def run(tool, *arguments):
    return CliRunner().invoke(tool.app, [str(argument) for argument in arguments])


@pytest.fixture
def place(tmp_path):
    (tmp_path / "agent.af").write_bytes(af.write(neural_agent()))
    assert run(sign, "--new-key", tmp_path / "ada.key").exit_code == 0
    return tmp_path


def test_a_new_key_signs_a_file_in_place_and_its_public_half_verifies_it(place):
    plain = (place / "agent.af").read_bytes()
    result = run(sign, place / "agent.af", "--key", place / "ada.key", "--created", TIME)
    assert result.exit_code == 0, result.stderr
    signed = (place / "agent.af").read_bytes()
    assert len(signed) > len(plain)
    assert af.parse(signed).sections == af.parse(plain).sections
    for option in (("--key", place / "ada.key.pub"), ("--trust", place / "ada.key.pub")):
        result = run(verify, place / "agent.af", *option)
        assert (result.exit_code, "signed by ada (" in result.stdout) == (0, True)
    public = (place / "ada.key.pub").read_text().split()[0]
    facts = json.loads(run(verify, place / "agent.af", "--key", public, "--json").stdout)
    assert (facts["ok"], facts["key"], facts["created"], facts["asked"]) == (True, public, TIME, True)
    assert sorted(path.name for path in place.iterdir()) == ["ada.key", "ada.key.pub", "agent.af"]


def test_a_copy_is_signed_and_the_original_stays(place):
    plain = (place / "agent.af").read_bytes()
    result = run(sign, place / "agent.af", "--key", place / "ada.key", "-o", place / "out.af", "--json")
    assert json.loads(result.stdout)["out"] == str(place / "out.af")
    assert (place / "agent.af").read_bytes() == plain
    assert af.parse((place / "out.af").read_bytes()).header.signature


def test_without_a_key_to_compare_with_the_answer_says_so(place):
    run(sign, place / "agent.af", "--key", place / "ada.key")
    result = run(verify, place / "agent.af")
    assert result.exit_code == 0
    assert "nobody has vouched for" in result.stdout
    assert json.loads(run(verify, place / "agent.af", "--json").stdout)["trusted_as"] is None


def test_unsigned_damaged_and_strangers_files_do_not_verify(place):
    assert "nobody signed this file" in run(verify, place / "agent.af").stderr
    run(sign, place / "agent.af", "--key", place / "ada.key")
    run(sign, "--new-key", place / "eve.key")
    result = run(verify, place / "agent.af", "--trust", place / "eve.key.pub")
    assert (result.exit_code, "not a key you trust" in result.stderr) == (1, True)
    data = (place / "agent.af").read_bytes()
    (place / "agent.af").write_bytes(data.replace(b"name: sample", b"name: simple"))
    result = run(verify, place / "agent.af", "--json")
    assert result.exit_code == 1
    assert "does not fit the file" in json.loads(result.stdout)["problems"][0]["message"]


def test_a_file_that_is_no_agent_file_is_not_signed(place):
    (place / "agent.af").write_bytes(b"hello")
    result = run(sign, place / "agent.af", "--key", place / "ada.key")
    assert result.exit_code == 1
    assert (place / "agent.af").read_bytes() == b"hello"


@pytest.mark.parametrize("created", ["yesterday", "2026-01-05", "2026-01-05T00:00:00Z\nx: 1"])
def test_a_time_that_is_none_is_refused(place, created):
    plain = (place / "agent.af").read_bytes()
    assert run(sign, place / "agent.af", "--key", place / "ada.key", "--created", created).exit_code == 1
    assert (place / "agent.af").read_bytes() == plain


def test_wrong_usage_has_its_own_exit_code(place):
    (place / "agent.af").write_bytes(af.write(python_agent()))
    assert run(sign, place / "agent.af").exit_code == 2
    assert run(sign, place / "agent.af", "--new-key", place / "x").exit_code == 2
    assert not (place / "x").exists()
