"""Whatever bytes come, the reader answers with an agent or a refusal; what it accepts it can write."""

from functools import cache

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import af
from af.agentfile import header_end
from af.headertext import read_header
from af.schema import header_schema
from af.yamltext import dump_mapping, load_mapping
from tests.fuzz.targets import TARGETS, run, seeds, variations
from tests.unit.af.samples import neural_agent, python_agent

KEYS = [b"version: '1.0'\n", b"name: a\n", b"kind: python\n", b"sections: [", b"x-a: ", b"codec: lz4\n"]
SIZES = [b"raw_bytes: ", b"stored_bytes: ", b"99999999999", b"1e309", b"0x", b".nan", b"~"]
MARKS = [
    b"---\n",
    b"---BINARY_SECTION:",
    b"one---\n",
    b"&a ",
    b"*a",
    b"!!int ",
    b"? ",
    b"%YAML 9.9\n",
    b"<<: ",
]
BREAKS = [
    b"{",
    b"}",
    b"]\n",
    b"- ",
    b": ",
    b"\n",
    b"  ",
    b"'",
    b'"',
    b"|\n",
    b"#",
    b"\t",
    b"\x00",
    b"\xff",
    b"\xe2\x80\xa8",
]
FRAGMENTS = KEYS + SIZES + MARKS + BREAKS


@cache
def good_files():
    packed = af.encode_section("payload", bytes(200), codec="lz4", shuffle=True, dtype="f32", shapes=((50,),))
    agents = [af.compile_agent(neural_agent()), python_agent().with_section(packed)]
    return [af.write(agent) for agent in agents]


def answer(data):
    try:
        agent = af.parse(data)
    except af.AfRefused as error:
        refusal = error
    else:
        again = af.write(agent)
        assert af.write(af.parse(again)) == again
        af.check(agent)
        return
    assert all(problem.place and problem.message and problem.remedy for problem in refusal.problems)
    assert len(str(refusal)) < 1_000_000


@settings(max_examples=300, deadline=2000)
@given(st.binary(max_size=400))
def test_any_bytes(data):
    answer(data)


@settings(max_examples=300, deadline=2000)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=40))
def test_pieces_of_the_format_in_any_order(pieces):
    answer(b"".join(pieces))


@settings(max_examples=400, deadline=2000)
@given(st.integers(0, 1), st.data())
def test_a_good_file_with_bytes_changed_cut_or_added(number, data):
    file = bytearray(good_files()[number])
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(file)))
        stop = data.draw(st.integers(start, min(len(file), start + 20)))
        file[start:stop] = data.draw(st.one_of(st.binary(max_size=8), st.sampled_from(FRAGMENTS)))
    answer(bytes(file))


@settings(max_examples=200, deadline=2000)
@given(
    st.dictionaries(
        st.sampled_from(
            ["version", "name", "kind", "sections", "capabilities", "resources", "manifest", "x-a", "b"]
        ),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
            ),
            max_leaves=8,
        ),
    )
)
def test_any_values_under_the_formats_keys(mapping):
    answer(dump_mapping({"version": "1.0", "name": "a"} | mapping))


@settings(max_examples=100, deadline=2000)
@given(
    st.lists(
        st.tuples(st.binary(max_size=300), st.sampled_from(["none", "lz4"]), st.booleans()),
        min_size=1,
        max_size=5,
    )
)
def test_any_sections_come_back(contents):
    agent = python_agent()
    for number, (data, codec, shuffle) in enumerate(contents):
        section = af.encode_section(
            f"part_{number}", data, codec=codec, shuffle=shuffle, dtype="u8" if shuffle else None
        )
        agent = agent.with_section(section)
    assert af.parse(af.write(agent)) == agent


@pytest.mark.parametrize("name", sorted(set(TARGETS) - {"agent"}))
@settings(max_examples=120, deadline=5000)
@given(st.data())
def test_a_good_file_of_another_kind_with_bytes_changed(name, data):
    run(name, data.draw(variations(name)))


@settings(max_examples=200, deadline=2000)
@given(st.data())
def test_a_signed_file_is_refused_or_means_what_its_author_signed(data):
    signed = seeds("agent")[2]
    changed = bytearray(signed)
    start = data.draw(st.integers(0, len(signed) - 1))
    changed[start : start + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    try:
        found = af.parse(bytes(changed))
    except af.AfRefused:
        return
    # What is left of the signature's own key may have become another key, and the file an unsigned one.
    assert found == af.parse(signed) or found.header.signature is None


VALIDATOR = jsonschema.Draft202012Validator(header_schema())
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 2**40),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(["relu", "1.0", "a:b", "2026-01-05T00:00:00Z", [], {}, {"x-own": 1}, [1, None]]),
)


@settings(max_examples=300, deadline=2000)
@given(st.integers(0, 2), st.data())
def test_what_the_reader_takes_the_schema_takes(number, data):
    content = seeds("agent")[number]
    mapping = load_mapping(content[: header_end(content)])
    place = mapping
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(LEAVES)
    header, _, problems = read_header(mapping)
    if header is not None and not problems:
        assert not list(VALIDATOR.iter_errors(mapping))
