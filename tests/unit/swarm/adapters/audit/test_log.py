"""The audit log on disk: what is recorded can be proved, and whatever is done to the files shows."""

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
from nacl.signing import SigningKey

from swarm.adapters.audit import AuditLog, AuditReader, Retention, read_public_key
from swarm.adapters.audit.files import AuditFiles
from swarm.adapters.audit.writer import ROOM_BYTES_MIN
from swarm.errors import ConfigRefused, NotFound, NotTrusted, QueueFull
from swarm.trust.audit import Event, Head, read_proof

HEIGHT = 3  # eight events in a segment


def event(number):
    return Event(1_000 + number, "spiffe://test/client/client/ann", f"did-{number}", on=f"run-{number}")


def written(directory, count, *, one_by_one=False, **options):
    """A log of so many events; returns its public key."""
    log = AuditLog.open(directory, "test/n1", height=HEIGHT, **options)
    for number in range(log.size, log.size + count):
        log.record(event(number))
        if one_by_one:
            log.flush()
    log.close()
    return log.public_key


def newest_head(directory):
    head = AuditFiles(directory).read_head()
    assert head is not None
    return head


def segment(directory, first=0):
    return AuditFiles(directory).segment(first)


# -- what it does -----------------------------------------------------------------------------------


def test_everything_recorded_is_there_in_order_and_signed(tmp_path):
    key = written(tmp_path, 21)
    verdict = AuditReader(tmp_path).verify(key)
    assert (verdict.events, verdict.kept_from, verdict.unsigned, verdict.torn_bytes) == (21, 0, 0, 0)
    found = AuditReader(tmp_path).query(lambda _: True, 100)
    assert [facts["did"] for facts in found] == [f"did-{number}" for number in range(21)]
    assert [facts["seq"] for facts in found] == list(range(21))


def test_a_log_is_continued_where_it_ended(tmp_path):
    for count in (3, 0, 5, 1, 8, 7):
        key = written(tmp_path, count)
    assert AuditReader(tmp_path).verify(key).events == 24


def test_a_query_gives_the_latest_that_are_wanted(tmp_path):
    written(tmp_path, 20)
    reader = AuditReader(tmp_path)
    assert [facts["seq"] for facts in reader.query(lambda facts: facts["seq"] % 2 == 0, 3)] == [14, 16, 18]
    assert reader.query(lambda facts: facts["who"] == "nobody", 3) == []


def test_payloads_are_hashed_and_never_written(tmp_path):
    log = AuditLog.open(tmp_path, "test/n1", height=HEIGHT)
    log.record(event(0), {"graph": [b"the secret graph"], "inputs": [b"a secret", b"another"]})
    log.close()
    text = segment(tmp_path).read_bytes()
    assert b"secret" not in text
    payloads = AuditReader(tmp_path).query(lambda _: True, 1)[0]["payloads"]
    assert payloads["graph"] == hashlib.sha256(b"the secret graph").hexdigest()
    assert len(payloads["inputs"]) == 64


def test_a_line_stays_within_its_bound_whatever_a_caller_sends(tmp_path):
    log = AuditLog.open(tmp_path, "test/n1", height=HEIGHT)
    wild = "\U0001f600\x00" * 100_000
    log.record(Event(0, wild, wild, wild, wild, wild, wild, 1.0, {wild: wild}, {wild: wild}))
    log.close()
    assert AuditReader(tmp_path).verify(log.public_key).events == 1


def test_the_private_key_is_for_its_owner_alone_and_the_public_one_beside_it(tmp_path):
    key = written(tmp_path, 1)
    assert AuditFiles(tmp_path).key.stat().st_mode & 0o777 == 0o600
    assert read_public_key(str(AuditFiles(tmp_path).public_key)) == key == read_public_key(key)
    with pytest.raises(ConfigRefused):
        read_public_key(str(tmp_path / "nothing"))


def test_where_there_is_no_log_that_is_said(tmp_path):
    with pytest.raises(NotFound):
        AuditReader(tmp_path)


def test_a_disk_that_fails_is_noticed_and_nothing_more_is_taken(tmp_path, monkeypatch):
    async def scenario():
        log = AuditLog.open(tmp_path, "test/n1", height=HEIGHT)
        failure = log.failure()
        monkeypatch.setattr(os, "fdatasync", lambda _: (_ for _ in ()).throw(OSError(28, "full")))
        log.record(event(0))
        with pytest.raises(QueueFull, match="full") as told:
            await asyncio.wait_for(failure, 10)
        assert told.value.place == str(tmp_path)
        with pytest.raises(QueueFull):
            log.record(event(1))
        with pytest.raises(QueueFull):
            log.flush()
        log.close()

    asyncio.run(scenario())


def test_a_disk_that_is_nearly_full_takes_no_new_calls_until_there_is_room(tmp_path, monkeypatch):
    """Those that were let in have their lines all the same."""
    left = [ROOM_BYTES_MIN - 1]
    monkeypatch.setattr("swarm.adapters.audit.writer.free_bytes", lambda _: left[0])
    log = AuditLog.open(tmp_path, "test/n1", height=HEIGHT)
    with pytest.raises(QueueFull, match=f"the disk of the audit log has {left[0]} bytes left") as told:
        log.ready()
    assert "make room" in told.value.remedy
    log.record(event(0))
    left[0] = ROOM_BYTES_MIN
    log.flush()
    log.flush()  # the room is looked at behind the batch
    log.ready()
    log.close()
    assert AuditReader(tmp_path).verify(log.public_key).events == 1


# -- proofs -----------------------------------------------------------------------------------------


def test_every_event_has_a_proof_that_needs_only_the_key(tmp_path):
    key = written(tmp_path, 19)
    for seq in range(19):
        document = json.dumps(AuditReader(tmp_path).prove(seq, key).document()).encode()
        proof = read_proof(document)
        proof.check(key)
        assert json.loads(proof.entry)["did"] == f"did-{seq}"
        with pytest.raises(NotTrusted):
            replace(proof, entry=proof.entry.replace("ann", "bob")).check(key)
        with pytest.raises(NotTrusted):
            replace(proof, index=(seq + 1) % 19).check(key)
        with pytest.raises(NotTrusted):
            proof.check(bytes(SigningKey.generate().verify_key).hex())


def test_an_older_head_is_proved_to_be_the_beginning_of_a_newer_one(tmp_path):
    written(tmp_path, 5)
    before = newest_head(tmp_path)
    key = written(tmp_path, 16)
    proof = read_proof(json.dumps(AuditReader(tmp_path).prove_consistency(before, key).document()).encode())
    proof.check(key)
    with pytest.raises(NotTrusted):
        replace(proof, path=proof.path[1:]).check(key)
    with pytest.raises(NotTrusted):
        replace(proof, before=replace(before, root=bytes(32))).check(key)


def test_an_event_that_is_not_there_has_no_proof(tmp_path):
    key = written(tmp_path, 3)
    with pytest.raises(NotFound):
        AuditReader(tmp_path).prove(3, key)


# -- what is done to the files ------------------------------------------------------------------------


def edited(path):
    path.write_bytes(path.read_bytes().replace(b"did-2", b"did-7"))


def reordered(path):
    lines = path.read_bytes().splitlines(keepends=True)
    events = [at for at, line in enumerate(lines) if line.startswith(b'{"seq"')]
    lines[events[1]], lines[events[2]] = lines[events[2]], lines[events[1]]
    path.write_bytes(b"".join(lines))


def renumbered(path):
    """Two events exchanged, and their numbers made to fit."""
    text = path.read_bytes()
    text = text.replace(b"did-1", b"did-X").replace(b"did-2", b"did-1").replace(b"did-X", b"did-2")
    path.write_bytes(text)


def shortened(path):
    """One event in the middle is taken out."""
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(line for line in lines if b"did-1" not in line))


def signed_by_another(path):
    other = SigningKey.generate()
    lines = path.read_bytes().splitlines(keepends=True)
    head = Head.read(json.loads(lines[-1])["head"])
    forged = Head.sign(other, head.log, head.size, head.root, head.at_ms)
    path.write_bytes(b"".join([*lines[:-1], forged.line(), b"\n"]))


@pytest.mark.parametrize("alter", [edited, reordered, renumbered, shortened, signed_by_another])
def test_what_is_altered_is_found_with_its_place(tmp_path, alter):
    key = written(tmp_path, 14, one_by_one=True)
    path = segment(tmp_path)
    alter(path)
    with pytest.raises(NotTrusted) as caught:
        AuditReader(tmp_path).verify(key)
    assert path.name in caught.value.place


@pytest.mark.parametrize("alter", [edited, renumbered, signed_by_another])
def test_a_daemon_does_not_go_on_with_an_altered_log(tmp_path, alter):
    written(tmp_path, 5, one_by_one=True)
    alter(segment(tmp_path))
    with pytest.raises(NotTrusted):
        AuditLog.open(tmp_path, "test/n1", height=HEIGHT)


def test_a_log_that_was_cut_short_is_found_by_the_head_beside_it(tmp_path):
    key = written(tmp_path, 6, one_by_one=True)
    path = segment(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:6]))  # three events, each with its head: whole and signed
    with pytest.raises(NotTrusted, match="cut to 3"):
        AuditReader(tmp_path).verify(key)
    with pytest.raises(NotTrusted):
        AuditLog.open(tmp_path, "test/n1", height=HEIGHT)


def test_a_log_that_was_cut_short_with_its_head_is_found_by_a_head_kept_elsewhere(tmp_path):
    key = written(tmp_path, 3)
    old = AuditFiles(tmp_path).head.read_bytes()
    length = segment(tmp_path).stat().st_size
    written(tmp_path, 3)
    kept = newest_head(tmp_path)
    AuditFiles(tmp_path).head.write_bytes(old)
    os.truncate(segment(tmp_path), length)
    assert AuditReader(tmp_path).verify(key).events == 3
    with pytest.raises(NotTrusted, match="cut to 3"):
        AuditReader(tmp_path).verify(key, kept)


def test_a_fork_is_found_by_a_head_of_the_other_branch(tmp_path):
    """Whoever holds the key can sign two histories; two heads of it that do not fit are the proof."""
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    key = written(here, 12)
    AuditFiles(there).key.write_bytes(AuditFiles(here).key.read_bytes())
    log = AuditLog.open(there, "test/n1", height=HEIGHT)
    for number in range(12):
        log.record(event(number if number != 4 else 99))
    log.close()
    assert AuditReader(there).verify(key).events == 12
    with pytest.raises(NotTrusted, match="fork"):
        AuditReader(here).verify(key, newest_head(there))
    with pytest.raises(NotTrusted, match="does not begin"):
        AuditReader(here).prove_consistency(newest_head(there), key)


def test_a_segment_that_vanished_without_a_word_is_missed(tmp_path):
    key = written(tmp_path, 20)
    segment(tmp_path, 0).unlink()
    with pytest.raises(NotTrusted, match="no event says why"):
        AuditReader(tmp_path).verify(key)
    written(tmp_path / "b", 20)
    segment(tmp_path / "b", 8).unlink()
    with pytest.raises(NotTrusted, match="missing"):
        AuditReader(tmp_path / "b").verify(read_public_key(str(tmp_path / "b" / "key.pub")))


# -- crashes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("torn", [1, 10, 200, 400, 10_000])
def test_what_a_crash_tore_is_cut_and_said(tmp_path, torn):
    """The last batch is written, but not wholly, and nobody was told that it was durable."""
    written(tmp_path, 4)
    path = segment(tmp_path)
    whole = path.stat().st_size
    before = AuditFiles(tmp_path).head.read_bytes()
    key = written(tmp_path, 3)
    os.truncate(path, max(path.stat().st_size - torn, whole))
    AuditFiles(tmp_path).head.write_bytes(before)
    torn_off = AuditReader(tmp_path).verify(key)
    assert torn_off.events >= 4
    written(tmp_path, 1)
    verdict = AuditReader(tmp_path).verify(key)
    assert (verdict.unsigned, verdict.torn_bytes) == (0, 0)
    said = AuditReader(tmp_path).query(lambda facts: facts["did"] == "audit.recovered", 10)
    assert len(said) == (1 if torn_off.torn_bytes else 0)


def test_a_crash_between_a_full_segment_and_the_next_is_repaired(tmp_path):
    key = written(tmp_path, 8)
    segment(tmp_path, 8).unlink()
    AuditFiles(tmp_path).index.write_text(json.dumps({"log": "test/n1", "height": HEIGHT, "roots": []}))
    written(tmp_path, 4)
    assert AuditReader(tmp_path).verify(key).events == 12


KILLED = """
import sys
from pathlib import Path
from swarm.adapters.audit import AuditLog
from swarm.trust.audit import Event
log = AuditLog.open(Path(sys.argv[1]), "test/n1", height=10)
for number in range(1_000_000):
    log.record(Event(number, "me", f"did-{number}"))
    if number % 100 == 99:
        log.flush()
        print(number + 1, flush=True)
"""


def test_kill_9_loses_nothing_that_was_durable(tmp_path):
    before = 0
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        with process:
            durable = [int(process.stdout.readline()) for _ in range(30)][-1]
            process.send_signal(signal.SIGKILL)
            durable = max([durable, *map(int, process.stdout.read().split())])
        key = read_public_key(str(tmp_path / "key.pub"))
        found = AuditReader(tmp_path).verify(key).events
        assert found >= before + durable
        before = found
    written(tmp_path, 1)
    assert AuditReader(tmp_path).verify(key).unsigned == 0


# -- retention ----------------------------------------------------------------------------------------


def test_dropped_segments_leave_every_later_proof_as_it_was(tmp_path):
    key = written(tmp_path, 27)
    head = newest_head(tmp_path)
    proofs = {seq: AuditReader(tmp_path).prove(seq, key) for seq in (0, 25, 26)}
    small = Retention(days=365, bytes_max=segment(tmp_path, 8).stat().st_size * 2)
    written(tmp_path, 1, retention=small)
    reader = AuditReader(tmp_path)
    verdict = reader.verify(key, head)
    assert verdict.kept_from > 0
    assert verdict.events == 29  # the one, and the one that says what was dropped
    for proof in proofs.values():
        proof.check(key)
    reader.prove_consistency(head, key).check(key)
    reader.prove(25, key).check(key)
    with pytest.raises(NotFound):
        reader.prove(0, key)


def test_what_is_too_old_is_dropped_and_the_rest_stays(tmp_path):
    key = written(tmp_path, 20)
    os.utime(segment(tmp_path, 0), (0, 0))
    written(tmp_path, 1)
    verdict = AuditReader(tmp_path).verify(key)
    assert (verdict.kept_from, verdict.events) == (8, 22)
    said = AuditReader(tmp_path).query(lambda facts: facts["did"] == "audit.dropped", 10)
    assert [facts["on"] for facts in said] == ["events before 8"]
