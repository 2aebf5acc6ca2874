"""Settings files: read strictly, every problem told at once with its line."""

from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field

from swarm.adapters.settings import SETTINGS_BYTES_MAX, Address, FilePath, Section, host_of, load_settings
from swarm.errors import ConfigRefused


class Inner(Section):
    depth: int = 1


class Outer(Section):
    name: str
    where: Address = "127.0.0.1:1"
    path: FilePath = Path("x")
    inner: Inner = Inner()
    sizes: Annotated[list[int], Field(max_length=2)] = Field(default_factory=list)


def read(tmp_path, text):
    path = tmp_path / "some.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_settings(path, Outer, "test file")


def refusal(tmp_path, text):
    with pytest.raises(ConfigRefused) as caught:
        read(tmp_path, text)
    return caught.value


def places(tmp_path, error):
    return [problem.place.removeprefix(f"{tmp_path}/some.yaml:") for problem in error.problems]


def test_a_good_file_is_read_with_paths_relative_to_it(tmp_path):
    found = read(tmp_path, "name: a\npath: sub/file\ninner: {depth: 3}\n")
    assert (found.path, found.inner.depth) == (tmp_path / "sub" / "file", 3)


def test_every_problem_is_told_in_the_order_of_the_lines(tmp_path):
    error = refusal(tmp_path, 'wheer: 1\ninner:\n  dept: 2\nsizes: [1, "x"]\nwhere: nowhere\n')
    assert places(tmp_path, error) == ["1: name", "1: wheer", "3: inner.dept", "4: sizes.1", "5: where"]


def test_an_unknown_key_is_answered_with_the_closest_known_one(tmp_path):
    error = refusal(tmp_path, "name: a\ninner: {dept: 2}\nzzz: 1\n")
    assert [problem.remedy for problem in error.problems] == ["did you mean 'depth'?", "remove it"]


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ("name: [", "not readable YAML", ":1:8"),
        ("name: a\nname: b", "appears twice", ":2:1"),
        ("a: &x 1\nname: *x", "an alias", ":2:9"),
        ("name: !!python/object:os.system a", "could not determine a constructor", ":1:7"),
        ("1: a", "is not text", ":1:1"),
        (b"name: \xff", "not readable YAML", ""),
        ("[" * 2000, "", ""),
        ("x" * (SETTINGS_BYTES_MAX + 1), f"larger than {SETTINGS_BYTES_MAX} bytes", ""),
    ],
    ids=["cut off", "twice", "alias", "tag", "number key", "not text", "deep", "large"],
)
def test_text_that_is_no_settings_file_is_refused_with_its_place(tmp_path, text, message, place):
    error = refusal(tmp_path, text)
    assert message in error.message
    assert error.place.endswith(f"some.yaml{place}")
    assert error.remedy


@pytest.mark.parametrize("text", ["- 1", "7", "name:\n  deep: 1", "inner: 3\nname: a"])
def test_a_value_of_another_type_is_refused(tmp_path, text):
    assert refusal(tmp_path, text).problems


def test_an_empty_file_lacks_what_has_no_default(tmp_path):
    assert places(tmp_path, refusal(tmp_path, "")) == ["1: name"]


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigRefused, match="No such file"):
        load_settings(tmp_path / "none.yaml", Outer, "test file")


@pytest.mark.parametrize(
    ("address", "host"), [("127.0.0.1:7101", "127.0.0.1"), ("[::1]:1", "::1"), ("a.b-c:65535", "a.b-c")]
)
def test_addresses_are_hosts_with_ports(tmp_path, address, host):
    assert host_of(read(tmp_path, f"name: a\nwhere: '{address}'").where) == host


@pytest.mark.parametrize(
    "address",
    [
        "a",
        "a:",
        ":1",
        "a:0",
        "a:65536",
        "a:1x",
        "a b:1",
        "::1:1",
        "[1.2.3.4]:1",
        "[x]:1",
        "a:²",
        "a:" + "9" * 99,
    ],
)
def test_what_is_no_address_is_refused_with_the_form_of_one(tmp_path, address):
    error = refusal(tmp_path, f"name: a\nwhere: '{address}'")
    assert "HOST:PORT" in error.problems[0].remedy
