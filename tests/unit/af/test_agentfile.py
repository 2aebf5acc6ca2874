import hashlib

import numpy as np
import pytest

import af
from af.limits import FILE_BYTES_MAX, HEADER_BYTES_MAX
from tests.unit.af.samples import neural_agent, python_agent, texts

WITHOUT_INDEX = (
    b"version: '1.0'\nname: a\n---BINARY_SECTION:one---\nfirst\n---BINARY_SECTION:two---\nsecond\n"
)


def refusal(data):
    with pytest.raises(af.AfRefused) as caught:
        af.parse(data)
    return texts(caught.value.problems)


@pytest.mark.parametrize("agent", [neural_agent(), python_agent(), af.compile_agent(neural_agent())])
def test_what_is_written_parses_to_the_same_agent_and_writes_to_the_same_bytes(agent):
    data = af.write(agent)
    parsed = af.parse(data)
    assert parsed == agent
    assert af.write(parsed) == data


def test_the_digest_is_of_the_bytes_that_were_read():
    data = WITHOUT_INDEX
    assert af.parse(data).digest == hashlib.sha256(data).hexdigest()


def test_own_keys_are_carried_along_at_every_level():
    data = b"version: '1.0'\nname: a\nx-team: {id: 7}\nresources:\n  limits: {memory_mb: 8, x-tier: gold}\n"
    agent = af.parse(data)
    assert agent.header.extras == {"x-team": {"id": 7}}
    assert agent.header.resources.limits.extras == {"x-tier": "gold"}
    assert af.parse(af.write(agent)) == agent


def test_what_a_file_does_not_say_is_not_written():
    assert af.write(af.parse(b"version: '1.0'\nname: a\n")) == (
        b"# Agent File Format v1.0\nversion: '1.0'\nname: a\n"
    )


def test_sections_without_an_index_run_to_the_next_delimiter():
    agent = af.parse(WITHOUT_INDEX)
    assert [(section.name, section.data) for section in agent.sections] == [
        ("one", b"first"),
        ("two", b"second"),
    ]


def test_a_section_may_contain_delimiters():
    data = b"\n---BINARY_SECTION:python_module---\n" * 3
    agent = python_agent().with_section(af.encode_section("payload", data))
    section = af.parse(af.write(agent)).section("payload")
    assert section is not None
    assert section.data == data


def test_a_compressed_and_shuffled_section_comes_back():
    values = np.linspace(0, 1, 1000, dtype="<f4").tobytes()
    section = af.encode_section("payload", values, codec="lz4", shuffle=True, dtype="f32", shapes=((1000,),))
    assert len(section.stored) < len(values)
    assert af.parse(af.write(python_agent().with_section(section))).section("payload") == section


@pytest.mark.parametrize("lost_bytes", [1, 2, 30, 60])
def test_a_truncated_section_is_refused_with_its_place(lost_bytes):
    data = af.write(neural_agent())
    text = refusal(data[:-lost_bytes])
    assert "section neural_weights, byte " in text
    assert "fetch the file again" in text


def test_every_flipped_bit_of_a_section_is_refused_with_its_place():
    data = bytearray(af.write(neural_agent()))
    start = data.index(b"---\n") + len(b"---\n")
    for position in range(start, len(data) - 1):
        data[position] ^= 0x10
        assert f"section neural_weights, byte {start}: its bytes are damaged" in refusal(bytes(data))
        data[position] ^= 0x10


def test_damage_in_two_sections_is_reported_twice():
    data = af.write(af.compile_agent(neural_agent()))
    for name in (b"neural_weights", b"wasm_module"):
        at = data.index(b"---BINARY_SECTION:" + name) + 60
        data = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    text = refusal(data)
    assert "section neural_weights" in text
    assert "section wasm_module" in text


def test_bytes_after_the_last_section_are_refused():
    assert "4 bytes follow the last section" in refusal(af.write(neural_agent()) + b"more")


def test_a_section_the_index_does_not_name_is_refused():
    extra = b"---BINARY_SECTION:extra---\nbytes\n"
    assert f"{len(extra)} bytes follow the last section" in refusal(af.write(neural_agent()) + extra)


def test_a_false_size_is_refused_before_anything_is_inflated():
    data = af.write(python_agent().with_section(af.encode_section("payload", bytes(5000), codec="lz4")))
    text = refusal(data.replace(b"raw_bytes: 5000", b"raw_bytes: 268435456"))
    assert "cannot hold 268435456 bytes" in text


def test_a_section_larger_than_allowed_is_refused_by_its_index():
    data = af.write(python_agent().with_section(af.encode_section("payload", bytes(5000), codec="lz4")))
    assert "sections[1].raw_bytes" in refusal(data.replace(b"raw_bytes: 5000", b"raw_bytes: 268435457"))


def test_a_malformed_delimiter_is_refused_with_its_place():
    text = refusal(b"version: '1.0'\nname: a\n---BINARY_SECTION:Bad Name---\nx\n")
    assert "file, byte 23: this delimiter line is not of the form" in text


def test_two_sections_of_one_name_are_refused():
    assert "the name appears twice" in refusal(WITHOUT_INDEX.replace(b"two", b"one"))


def test_a_header_that_is_too_long_is_refused_unread():
    data = b"version: '1.0'\nname: a\nx-long: " + b"a" * HEADER_BYTES_MAX
    assert f"the most is {HEADER_BYTES_MAX}" in refusal(data)


def test_a_file_that_is_too_long_is_refused_unread():
    assert f"the most is {FILE_BYTES_MAX}" in refusal(bytes(FILE_BYTES_MAX + 1))


def test_mistakes_in_header_and_index_are_reported_together():
    text = refusal(b"version: '2.0'\nname: a\nsections: [{name: one, codec: zip}]\n")
    assert "header: version" in text
    assert "header: sections[0].codec" in text
    assert "header: sections[0].sha256" in text
