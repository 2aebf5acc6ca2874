import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.frames import FRAME_BYTES_MAX, HEADER, FrameError, FrameReader, pack

BODY_MAX = 1 << 20

bodies = st.one_of(st.binary(max_size=300), st.integers(60_000, 700_000).map(bytes))
frames = st.lists(st.tuples(st.integers(0, 255), st.integers(0, 2**64 - 1), bodies), max_size=5)


def feed(reader: FrameReader, data: bytes, sizes: list[int]) -> list[tuple[int, int, bytes]]:
    """Give data to a reader in pieces, as a socket would."""
    found, at, turn = [], 0, 0
    while at < len(data):
        space = reader.space()
        assert len(space) > 0
        count = min(sizes[turn % len(sizes)], len(space), len(data) - at)
        space[:count] = data[at : at + count]
        del space
        found += [(frame.kind, frame.call, bytes(frame.body)) for frame in reader.filled(count)]
        at += count
        turn += 1
    return found


@settings(deadline=None)
@given(frames, st.lists(st.integers(1, 100_000), min_size=1, max_size=5))
def test_frames_come_back_however_the_stream_is_cut(
    sent: list[tuple[int, int, bytes]], sizes: list[int]
) -> None:
    reader = FrameReader(BODY_MAX)
    stream = b"".join(pack(kind, call, [body[:7], body[7:]]) for kind, call, body in sent)
    if len(stream) > 1000:
        sizes = [max(size, 500) for size in sizes]
    assert feed(reader, stream, sizes) == sent
    assert reader.is_between_frames


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=2000), st.lists(st.integers(1, 500), min_size=1, max_size=5))
def test_noise_never_breaks_the_reader_itself(noise: bytes, sizes: list[int]) -> None:
    try:
        for _, _, body in feed(FrameReader(1000), noise, sizes):
            assert len(body) <= 1000
    except FrameError:
        pass


def test_a_length_over_the_cap_is_refused_at_its_header() -> None:
    with pytest.raises(FrameError, match="1001 bytes, at most 1000"):
        feed(FrameReader(1000), HEADER.pack(1001, 1, 1), [16])


def test_a_cap_over_the_cap_of_all_frames_is_no_cap() -> None:
    with pytest.raises(FrameError):
        feed(FrameReader(1 << 40), HEADER.pack(FRAME_BYTES_MAX + 1, 1, 1), [16])


def test_a_header_alone_costs_no_memory() -> None:
    reader = FrameReader(FRAME_BYTES_MAX)
    feed(reader, HEADER.pack(FRAME_BYTES_MAX, 1, 1), [16])
    assert len(reader.space()) <= 256 << 10


def test_the_end_of_the_stream_inside_a_frame_can_be_told() -> None:
    reader = FrameReader(BODY_MAX)
    feed(reader, pack(1, 1, [b"abc"])[:-1], [100])
    assert not reader.is_between_frames


def test_a_frame_too_long_to_send_is_refused() -> None:
    with pytest.raises(FrameError):
        pack(1, 1, [bytes(FRAME_BYTES_MAX), b"x"])
