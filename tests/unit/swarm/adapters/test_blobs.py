"""The blob store: what is whole is what its name says, what broke goes on, what does not fit is refused."""

import asyncio
import hashlib
import os

import pytest

from swarm import limits
from swarm.adapters.blobs import FileBlobs, is_digest
from swarm.errors import NotFound, OverLimit, ProtocolBroken, StoreFull
from swarm.ids import Digest

ABSENT = Digest("0" * 64)


def sha256(data):
    return Digest(hashlib.sha256(data).hexdigest())


def names(folder):
    return sorted(path.name for path in folder.iterdir())


async def bring(blobs, data, *, kept=True, sender="", pieces=3):
    incoming = await blobs.receive(sha256(data), len(data), kept=kept, sender=sender)
    if incoming is None:
        return False
    try:
        size = max(1, len(data) // pieces)
        for at in range(incoming.at, len(data), size):
            await incoming.write(data[at : at + size])
        await incoming.done()
    finally:
        incoming.close()
    return True


async def whole(blobs, digest, start=0):
    return b"".join([data async for data in blobs.chunks(digest, start)])


def test_a_blob_is_read_back_and_a_damaged_one_is_as_good_as_none(tmp_path):
    async def main():
        blobs = FileBlobs(tmp_path)
        digest = await blobs.put(b"agent")
        assert await blobs.get(digest) == b"agent"
        (tmp_path / digest).write_bytes(b"agenT")
        assert await blobs.get(digest) is None
        assert await blobs.put(b"agent") == digest
        assert await blobs.get(digest) == b"agent"
        assert await blobs.get(ABSENT) is None
        with pytest.raises(NotFound):
            await whole(blobs, ABSENT)

    asyncio.run(main())


def test_a_blob_that_was_damaged_while_the_node_was_down_is_found_out_when_it_is_asked_for(tmp_path):
    async def main():
        digest = await FileBlobs(tmp_path).put(bytes(3 * limits.CHUNK_BYTES))
        file = tmp_path / digest
        file.write_bytes(b"x" + file.read_bytes()[1:])
        blobs = FileBlobs(tmp_path)
        assert await blobs.size(digest) is None
        assert names(tmp_path) == []

    asyncio.run(main())


def test_a_blob_outlives_its_process_and_is_read_from_anywhere(tmp_path):
    async def main():
        data = os.urandom(2 * limits.CHUNK_BYTES + 17)
        assert await bring(FileBlobs(tmp_path), data)
        blobs = FileBlobs(tmp_path)
        for start in (0, 1, limits.CHUNK_BYTES, len(data) - 1, len(data)):
            assert await whole(blobs, sha256(data), start) == data[start:]
        assert await blobs.size(sha256(data)) == len(data)
        assert not await bring(blobs, data)  # it is here: nothing needs to be sent

    asyncio.run(main())


def test_a_transfer_that_broke_off_goes_on_where_it_was_after_a_restart_too(tmp_path):
    async def main():
        data = os.urandom(4_000)
        first = await FileBlobs(tmp_path).receive(sha256(data), len(data), kept=True)
        await first.write(data[:1_500])
        first.close()
        blobs = FileBlobs(tmp_path)
        again = await blobs.receive(sha256(data), len(data), kept=True)
        assert again.at == 1_500
        await again.write(data[1_500:])
        await again.done()
        again.close()
        assert await whole(blobs, sha256(data)) == data
        assert names(tmp_path) == [sha256(data)]

    asyncio.run(main())


def test_what_is_not_what_its_digest_says_is_refused_and_nothing_of_it_is_kept(tmp_path):
    async def main():
        blobs = FileBlobs(tmp_path)
        incoming = await blobs.receive(sha256(b"abc"), 3, kept=True)
        await incoming.write(b"abb")
        with pytest.raises(ProtocolBroken, match="does not match"):
            await incoming.done()
        incoming.close()
        incoming = await blobs.receive(sha256(b"abc"), 3, kept=True)
        assert incoming.at == 0
        with pytest.raises(ProtocolBroken, match="more than the 3"):
            await incoming.write(b"abcd")
        await incoming.write(b"ab")
        with pytest.raises(ProtocolBroken, match="2 of the 3"):
            await incoming.done()
        incoming.close()
        assert await blobs.size(sha256(b"abc")) is None

    asyncio.run(main())


def test_two_who_send_the_same_at_once_do_not_disturb_each_other(tmp_path):
    async def main():
        blobs = FileBlobs(tmp_path)
        data = os.urandom(30_000)
        assert await asyncio.gather(*(bring(blobs, data) for _ in range(3)))
        assert await whole(blobs, sha256(data)) == data
        assert names(tmp_path) == [sha256(data)]

    asyncio.run(main())


def test_a_named_sender_never_learns_what_is_here_and_goes_on_only_with_what_he_sent(tmp_path):
    async def main():
        blobs = FileBlobs(tmp_path)
        data = os.urandom(3_000)
        assert await bring(blobs, data)
        assert await bring(blobs, data, sender="ann")  # although it is here
        part = await blobs.receive(sha256(b"y" * 10), 10, kept=True, sender="ann")
        await part.write(b"y" * 4)
        part.close()
        for sender, at in (("bob", 0), ("ann", 4)):
            part = await blobs.receive(sha256(b"y" * 10), 10, kept=True, sender=sender)
            assert part.at == at
            part.close()

    asyncio.run(main())


def test_a_store_takes_what_fits_and_says_so_before_the_first_byte_comes(tmp_path):
    async def main():
        blobs = FileBlobs(tmp_path, bytes_max=1_000)
        await blobs.put(bytes(600))
        with pytest.raises(StoreFull) as caught:
            await blobs.receive(ABSENT, 500, kept=True)
        assert "600 of 1000" in caught.value.message
        assert caught.value.remedy
        with pytest.raises(StoreFull):
            await blobs.put(bytes(601))
        assert blobs.used_bytes == 600
        assert await bring(blobs, b"z" * 400)

    asyncio.run(main())


def test_for_room_go_broken_transfers_then_copies_the_longest_unused_first_and_never_what_is_kept(tmp_path):
    async def main():
        blobs = FileBlobs(tmp_path, bytes_max=1_000)
        kept, old, new = b"k" * 300, b"o" * 200, b"n" * 200
        await blobs.put(kept)
        assert await bring(blobs, old, kept=False)
        assert await bring(blobs, new, kept=False)
        part = await blobs.receive(ABSENT, 200, kept=True)
        await part.write(bytes(150))
        part.close()
        assert blobs.used_bytes == 850
        assert await bring(blobs, b"1" * 250)
        assert not (tmp_path / f"{ABSENT}.part").exists()
        assert await blobs.size(sha256(old)) == 200
        assert await blobs.size(sha256(new)) == 200
        assert await bring(blobs, b"2" * 200)
        assert await blobs.size(sha256(old)) is None
        assert await blobs.size(sha256(new)) == 200
        assert await blobs.size(sha256(kept)) == 300

    asyncio.run(main())


def test_a_copy_that_is_put_to_stay_stays(tmp_path):
    async def main():
        data = b"c" * 400
        blobs = FileBlobs(tmp_path, bytes_max=1_000)
        assert await bring(blobs, data, kept=False)
        assert names(tmp_path) == [f"{sha256(data)}.copy"]
        assert not await bring(blobs, data, kept=True)
        assert names(tmp_path) == [sha256(data)]
        with pytest.raises(StoreFull):
            await blobs.put(bytes(601))
        assert await FileBlobs(tmp_path).size(sha256(data)) == 400

    asyncio.run(main())


def test_what_is_read_is_not_thrown_away_and_what_is_used_is_not_idle(tmp_path):
    async def main():
        blobs = FileBlobs(tmp_path)
        digest = await blobs.put(b"data")
        assert blobs.idle(0) == [digest]
        assert blobs.idle(60_000) == []
        with await blobs.open(digest) as descriptor:
            await blobs.drop(digest)
            assert os.pread(descriptor, 10, 0) == b"data"
        await blobs.drop(digest)
        assert await blobs.size(digest) is None
        assert names(tmp_path) == []

    asyncio.run(main())


def test_a_piece_of_a_memory_file_is_stored_under_what_was_read(tmp_path):
    async def main():
        blobs = FileBlobs(tmp_path)
        data = os.urandom(limits.CHUNK_BYTES + 1_000)
        memory = os.memfd_create("test")
        os.write(memory, b"....." + data + b"...")
        digest, front = await blobs.take(memory, 5, len(data))
        assert digest == sha256(data)
        assert data.startswith(front)
        assert len(front) >= 80
        assert (await blobs.take(memory, 5, len(data)))[0] == digest
        assert await whole(blobs, digest) == data
        assert names(tmp_path) == [digest]
        with pytest.raises(OverLimit, match="ends at"):
            await blobs.take(memory, 5, len(data) + 1_000)
        os.close(memory)

    asyncio.run(main())


def test_a_store_leaves_alone_what_is_none_of_its_files(tmp_path):
    for name in ("notes.txt", "A" * 64, "0" * 63):
        (tmp_path / name).write_text("mine")
    FileBlobs(tmp_path)
    assert len(names(tmp_path)) == 3
    assert not is_digest("../" + "0" * 61)


def test_whoever_listens_hears_what_comes_goes_and_is_to_stay(tmp_path):
    async def main():
        blobs = FileBlobs(tmp_path, bytes_max=12)
        heard = []
        blobs.changed = heard.append
        kept = await blobs.put(b"kept")
        await bring(blobs, b"passing", kept=False)
        passing = sha256(b"passing")
        assert blobs.held() == {kept: True, passing: False}
        assert blobs.held([passing, ABSENT]) == {passing: False}
        assert heard == [kept, passing]
        assert FileBlobs(tmp_path).held() == {kept: True, passing: False}
        other = await blobs.put(b"1234567")  # there is room for one of the two
        assert blobs.held() == {kept: True, other: True}
        assert heard[2:] == [passing, other]
        await blobs.drop(kept)
        assert heard[4:] == [kept]
        await bring(blobs, b"pass", kept=False)
        await blobs.put(b"pass")
        assert blobs.held([sha256(b"pass")]) == {sha256(b"pass"): True}
        assert heard[-1] == sha256(b"pass")

    asyncio.run(main())


def test_a_damaged_blob_is_said_to_be_gone_when_it_is_found_out(tmp_path):
    async def main():
        digest = await FileBlobs(tmp_path).put(b"agent")
        (tmp_path / digest).write_bytes(b"agenT")
        blobs, heard = FileBlobs(tmp_path), []
        blobs.changed = heard.append
        assert blobs.held() == {digest: True}
        assert await blobs.size(digest) is None
        assert (blobs.held(), heard) == ({}, [digest])

    asyncio.run(main())
