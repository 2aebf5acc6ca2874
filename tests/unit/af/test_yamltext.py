import pytest

import af
from af.limits import HEADER_NODES_MAX
from af.yamltext import dump_mapping, load_mapping

BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        (BOMB, "line 2, column 8", "an alias is not allowed"),
        ("a: 1\nb: 2\na: 3\n", "line 3, column 1", "the key 'a' appears twice"),
        ("a: {b: 1, b: 2}\n", "line 1, column 11", "the key 'b' appears twice"),
        ("1: a\n", "line 1, column 1", "the key 1 is not text"),
        ("yes: a\n", "line 1, column 1", "the key True is not text"),
        ("[a]: b\n", "line 1, column 1", "is not text"),
        ("a: !!python/name:os.system\n", "line 1, column 4", "an explicit tag"),
        ("a: !!binary aGk=\n", "line 1, column 4", "an explicit tag"),
        ("a: .nan\n", "line 1, column 4", "a number that is not finite"),
        ("a: -.inf\n", "line 1, column 4", "a number that is not finite"),
        ("a: 9223372036854775808\n", "line 1, column 4", "beyond 64 bits"),
        ("a: " + "[" * 17 + "]" * 17, "line 1, column 19", "nesting deeper than 16"),
        ("a: [1, 2\n", "line 2, column 1", "did not find expected"),
        ("a: 1\n---\nb: 2\n", "line 2, column 1", "another document"),
        ("a: \x01\n", "character 3", "a character that YAML does not allow"),
        ("a: " + "9" * 5000, "header", "not readable YAML"),
        ("- a\n", "header", "not a mapping"),
        ("", "header", "not a mapping"),
    ],
)
def test_yaml_that_could_surprise_is_refused_with_its_place(text, place, message):
    with pytest.raises(af.AfRefused) as caught:
        load_mapping(text.encode())
    (problem,) = caught.value.problems
    assert place in problem.place
    assert message in problem.message
    assert problem.remedy


def test_text_that_is_not_utf8_is_refused_with_its_byte():
    with pytest.raises(af.AfRefused, match="header, byte 3: it is not UTF-8"):
        load_mapping(b"a: \xff")


def test_more_values_than_allowed_are_refused_before_they_are_built():
    with pytest.raises(af.AfRefused, match=f"more than {HEADER_NODES_MAX} values"):
        load_mapping(b"a: [" + b"1," * HEADER_NODES_MAX + b"]")


def test_dates_and_merge_keys_stay_text():
    assert load_mapping(b"a: 2025-07-13\n'<<': {b: 1}\n<: 2\n") == {"a": "2025-07-13", "<<": {"b": 1}, "<": 2}


def test_a_long_key_is_shortened_in_the_message():
    with pytest.raises(af.AfRefused) as caught:
        load_mapping(b"? [" + b"a," * 5000 + b"]\n: 1\n")
    assert len(str(caught.value)) < 300


def test_a_mapping_survives_its_text():
    mapping = {
        "a": "1.0",
        "b": 1.5,
        "c": [None, 64, "2025-07-13"],
        "d": {"e": True, "f": "yes"},
        "g": "ä\n b",
    }
    assert load_mapping(dump_mapping(mapping)) == mapping


def test_a_value_used_twice_is_written_twice():
    value = [1, 2]
    assert dump_mapping({"a": value, "b": value}) == b"a: [1, 2]\nb: [1, 2]\n"
