import pytest

import af
from af.sections import decode_section, encode_section, index_problems
from tests.unit.af.samples import texts


def test_shuffling_puts_bytes_of_equal_rank_together():
    section = encode_section("a", bytes(range(8)), shuffle=True, dtype="f32")
    assert section.stored == bytes([0, 4, 1, 5, 2, 6, 3, 7])
    assert decode_section(section.entry, section.stored, 0).data == bytes(range(8))


def test_shuffling_without_a_dtype_is_refused():
    with pytest.raises(af.AfRefused, match="name the dtype"):
        encode_section("a", b"1234", shuffle=True)


def test_a_broken_lz4_block_with_a_matching_digest_is_refused():
    good = encode_section("a", bytes(1000), codec="lz4")
    broken = encode_section("a", b"\xff" * len(good.stored))
    entry = good.entry.model_copy(update={"sha256": broken.entry.sha256})
    with pytest.raises(af.AfRefused, match="section a, byte 77: its LZ4 block is not readable"):
        decode_section(entry, broken.stored, 77)


def test_a_block_that_inflates_to_another_size_is_refused():
    good = encode_section("a", bytes(1000), codec="lz4")
    entry = good.entry.model_copy(update={"raw_bytes": 1001})
    with pytest.raises(af.AfRefused, match="it holds 1000 bytes, the index says raw_bytes 1001"):
        decode_section(entry, good.stored, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stored_bytes": 7}, "stored_bytes 7 and raw_bytes 8 differ"),
        ({"codec": "lz4", "stored_bytes": 1, "raw_bytes": 400}, "1 LZ4 bytes cannot hold 400 bytes"),
        ({"dtype": None}, "shuffle and shapes need a dtype"),
        ({"dtype": "f64", "shapes": ()}, None),
        ({"raw_bytes": 6, "stored_bytes": 6, "shapes": ()}, "is not a multiple of f32's 4 bytes"),
        ({"shapes": ((3,),)}, "its shapes make 12 bytes, raw_bytes says 8"),
    ],
)
def test_an_index_entry_that_contradicts_itself_is_refused(change, message):
    entry = encode_section("a", bytes(8), shuffle=True, dtype="f32", shapes=((2,),)).entry
    found = index_problems((entry.model_copy(update=change),))
    assert message in texts(found) if message else not found


def test_all_sections_together_are_bounded():
    entry = encode_section("a", b"").entry.model_copy(update={"raw_bytes": 2**28, "stored_bytes": 2**28})
    entries = tuple(entry.model_copy(update={"name": name}) for name in "abc")
    assert "all sections together" in texts(index_problems(entries))
