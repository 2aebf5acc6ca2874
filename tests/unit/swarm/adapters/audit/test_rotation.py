"""A log gets new keys: whoever has one of them checks all of it, and nobody can slip another one in."""

import json
import threading
from dataclasses import replace

import pytest
from nacl.signing import SigningKey

from swarm.adapters.audit import AuditLog, AuditReader, Retention, read_public_key, rotate_key
from swarm.adapters.audit.files import AuditFiles
from swarm.adapters.audit.keys import ask_for_rotation
from swarm.errors import Conflict, NotFound, NotTrusted, ProtocolBroken
from swarm.trust.audit import Event, Head, read_proof
from swarm.trust.keyring import Handover, KeyRing

HEIGHT = 3  # eight events in a segment


def written(directory, count, **options):
    """So many events more; returns the key that signs now."""
    log = AuditLog.open(directory, "test/n1", height=HEIGHT, **options)
    for _ in range(count):
        log.record(Event(1_000, "ann", f"did-{log.size}"))
        log.flush()
    log.close()
    return log.public_key


def rotated(directory, count=5):
    """A log that had three keys; returns them."""
    first = written(directory, count)
    second = rotate_key(directory).new
    written(directory, count)
    third = rotate_key(directory).new
    assert written(directory, count) == third
    return first, second, third


def sent(proof):
    """A proof as it arrives at a third party."""
    return read_proof(json.dumps(proof.document()).encode())


@pytest.mark.parametrize("count", [0, 1, 5, 6, 7, 8, 15])
def test_a_third_party_with_the_first_key_alone_checks_proofs_across_rotations(tmp_path, count):
    keys = rotated(tmp_path, count)
    reader = AuditReader(tmp_path)
    assert len(set(keys)) == 3
    for key in keys:
        verdict = reader.verify(key)
        assert verdict.events == 3 * count + 2
        for seq in range(verdict.events):
            sent(reader.prove(seq, keys[-1])).check(key)
    with pytest.raises(NotTrusted):
        sent(reader.prove(0, keys[-1])).check(bytes(SigningKey.generate().verify_key).hex())


def test_a_head_of_the_first_key_is_proved_to_be_the_beginning_of_one_of_the_last(tmp_path):
    first = written(tmp_path, 5)
    old = AuditFiles(tmp_path).read_head()
    inclusion = AuditReader(tmp_path).prove(3, first)
    rotate_key(tmp_path)
    last = written(tmp_path, 9)
    proof = sent(AuditReader(tmp_path).prove_consistency(old, last))
    assert (proof.before.key, proof.head.key) == (first, last)
    for key in (first, last):
        proof.check(key)
        assert AuditReader(tmp_path).verify(key, old).events == 15
    inclusion.check(first)  # what was proved before needs no ring


def test_the_change_is_an_event_and_the_key_files_follow(tmp_path):
    first, second, third = rotated(tmp_path)
    found = AuditReader(tmp_path).query(lambda facts: facts["did"] == "audit.key_rotated", 9)
    assert [(facts["context"]["old"], facts["on"]) for facts in found] == [(first, second), (second, third)]
    files = AuditFiles(tmp_path)
    assert read_public_key(str(files.public_key)) == third
    assert files.key.stat().st_mode & 0o777 == 0o600
    assert not files.next_key.exists()


def test_a_log_that_is_being_written_takes_the_new_key_by_itself(tmp_path):
    log = AuditLog.open(tmp_path, "test/n1", height=HEIGHT)
    log.record(Event(1, "ann", "did"))
    first = log.public_key
    with pytest.raises(Conflict):
        AuditLog.open(tmp_path, "test/n1")
    handover = rotate_key(tmp_path)
    log.record(Event(2, "ann", "did"))
    log.close()
    assert log.public_key == handover.new
    assert AuditReader(tmp_path).verify(first).events == 3


def test_a_key_counts_only_in_its_time(tmp_path):
    """The first key is stolen after it was followed: with it no later head is signed that counts."""
    written(tmp_path, 5)
    stolen = SigningKey(bytes.fromhex(AuditFiles(tmp_path).key.read_text()))
    rotate_key(tmp_path)
    last = written(tmp_path, 3)
    proof = AuditReader(tmp_path).prove(7, last)
    head = proof.head
    forged = Head.sign(stolen, head.log, head.size, head.root, head.at_ms)
    for key in (forged.key, last):
        proof.check(key)
        with pytest.raises(NotTrusted):
            replace(proof, head=forged).check(key)


def forgeries(ring):
    """What somebody without the old key, or without the new one, could make of a log's keys."""
    thief, [good] = SigningKey.generate(), ring
    theirs = bytes(thief.verify_key).hex()
    mine = Handover.sign(thief, thief, good["log"], good["size"], good["at_ms"]).document()
    return {
        "signed by the new key alone": [{**mine, "old": good["old"]}],
        "with the signature of another handover": [{**good, "new": theirs}],
        "earlier": [{**good, "size": good["size"] - 1}],
        "later": [{**good, "size": good["size"] + 1}],
        "of another log": [{**good, "log": "test/n2"}],
        "appended by a stranger": [good, mine],
        "twice": [good, good],
        "a stranger's alone": [{**mine, "new": good["new"], "by_new": good["by_new"]}],
        "no list": {"good": good},
        "no handover": [{}],
        "too many": [good] * 65,
    }


@pytest.mark.parametrize("how", sorted(forgeries([Handover("l", 1, "a", "b", 1, b"", b"").document()])))
def test_a_forged_rotation_is_refused_in_a_proof_and_in_the_log(tmp_path, how):
    first = written(tmp_path, 5)
    rotate_key(tmp_path)
    last = written(tmp_path, 3)
    good = AuditReader(tmp_path).ring.document()
    document = AuditReader(tmp_path).prove(7, last).document()
    forged = forgeries(good)[how]
    with pytest.raises((NotTrusted, ProtocolBroken)):
        read_proof(json.dumps({**document, "keys": forged}).encode()).check(first)
    AuditFiles(tmp_path).keys.write_text(json.dumps(forged))
    with pytest.raises(NotTrusted):
        AuditReader(tmp_path).verify(first)
    with pytest.raises(NotTrusted):
        AuditLog.open(tmp_path, "test/n1")


def test_keys_that_are_gone_are_missed(tmp_path):
    first, _, last = rotated(tmp_path)
    AuditFiles(tmp_path).keys.unlink()
    for key in (first, last):
        with pytest.raises(NotTrusted):
            AuditReader(tmp_path).verify(key)


def test_a_rotation_no_event_tells_of_is_found(tmp_path):
    """Both keys signed it, but the log does not say it: it was made behind the log's back."""
    key = written(tmp_path, 5)
    files = AuditFiles(tmp_path)
    old, new = SigningKey(bytes.fromhex(files.key.read_text())), SigningKey.generate()
    files.keys.write_text(json.dumps([Handover.sign(old, new, "test/n1", 5, 1).document()]))
    with pytest.raises(NotTrusted, match="no event says"):
        AuditReader(tmp_path).verify(key)


@pytest.mark.parametrize("step", ["write_whole", "replace", "sync_directory"])
def test_a_crash_in_the_middle_is_made_good(tmp_path, monkeypatch, step):
    """Whatever was durable by then: the log opens, has one key, and holds for whoever has the first."""
    first = written(tmp_path, 5)
    ask_for_rotation(tmp_path)

    class CrashError(Exception):
        pass

    def crash(*_):
        raise CrashError

    with monkeypatch.context() as patched:
        if step == "replace":
            patched.setattr("swarm.adapters.audit.keys.LogKeys._take", crash)
        else:
            patched.setattr(f"swarm.adapters.audit.keys.{step}", crash)
        with pytest.raises(CrashError):
            AuditLog.open(tmp_path, "test/n1")
    last = written(tmp_path, 3)
    assert last != first
    reader = AuditReader(tmp_path)
    assert len(reader.ring.handovers) == 1
    sent(reader.prove(2, last)).check(first)
    assert reader.verify(first).unsigned == 0


def test_dropped_segments_take_the_event_with_them_but_not_the_keys(tmp_path):
    first = written(tmp_path, 7)
    rotate_key(tmp_path)
    small = Retention(days=365, bytes_max=1)
    last = written(tmp_path, 12, retention=small)
    reader = AuditReader(tmp_path)
    verdict = reader.verify(first)
    assert verdict.kept_from >= 8
    sent(reader.prove(verdict.events - 1, last)).check(first)


def test_what_is_no_log_gets_no_key(tmp_path):
    with pytest.raises(NotFound):
        rotate_key(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_events_are_recorded_without_a_gap_while_keys_change(tmp_path):
    log = AuditLog.open(tmp_path, "test/n1", height=HEIGHT)
    first, stop = log.public_key, threading.Event()

    def busy():
        while not stop.is_set():
            log.record(Event(1, "ann", "did"))
            log.flush()

    thread = threading.Thread(target=busy)
    thread.start()
    try:
        for _ in range(3):
            rotate_key(tmp_path)
    finally:
        stop.set()
        thread.join()
        log.close()
    assert len(AuditReader(tmp_path).ring.handovers) == 3
    assert AuditReader(tmp_path).verify(first).events == log.size


def test_an_empty_ring_trusts_the_one_key_alone():
    assert KeyRing().covers("a", "log", "a", 5)
    assert not KeyRing().covers("a", "log", "b", 5)
