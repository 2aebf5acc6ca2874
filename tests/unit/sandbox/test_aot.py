import os
import stat

import pytest
import wasmtime

from sandbox import aot
from sandbox.aot import NativeCache
from sandbox.errors import Refused
from sandbox.wasm import WasmAgent
from sandbox.wasmcalls import engine
from tests.unit.sandbox.test_wasm import CODE, MANIFEST, numbers, row


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "native"


def entry(folder):
    (found,) = folder.glob("*.native")
    return found


def answers(compiler):
    subject = WasmAgent("double", bytes(bytearray(CODE)), MANIFEST, deadline_ms=5000, compiler=compiler)
    return numbers(subject.process_input("math:double", {"x": row(3)})["y"])


def other_code(number):
    return bytes(wasmtime.wat2wasm(f'(module (func (export "f") (result i32) (i32.const {number})))'))


def test_a_module_is_compiled_once_and_loaded_by_the_next_process(folder):
    first = NativeCache(folder)
    assert answers(first.module) == [6]
    second = NativeCache(folder)
    assert answers(second.module) == [6]
    assert (first.counts.compiled, first.counts.hits) == (1, 0)
    assert (second.counts.compiled, second.counts.hits) == (0, 1)


def test_directory_key_and_entries_are_their_owners_alone(folder):
    NativeCache(folder).module(engine(), CODE)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())}
    assert modes.pop("native") == 0o700
    assert set(modes.values()) == {0o600}
    assert len(modes) == 2


@pytest.mark.parametrize("place", [0, 4, 35, 36, -1, "middle"])
def test_an_entry_with_one_changed_bit_is_compiled_anew(folder, place):
    NativeCache(folder).module(engine(), CODE)
    data = bytearray(entry(folder).read_bytes())
    intact = bytes(data)
    data[len(data) // 2 if place == "middle" else place] ^= 1
    entry(folder).write_bytes(data)
    cache = NativeCache(folder)
    assert answers(cache.module) == [6]
    assert (cache.counts.refused, cache.counts.compiled, cache.counts.hits) == (1, 1, 0)
    assert entry(folder).read_bytes() == intact


@pytest.mark.parametrize("length", [0, 3, 36, 1000, -1])
def test_a_truncated_entry_is_compiled_anew(folder, length):
    NativeCache(folder).module(engine(), CODE)
    entry(folder).write_bytes(entry(folder).read_bytes()[:length])
    cache = NativeCache(folder)
    cache.module(engine(), CODE)
    assert (cache.counts.refused, cache.counts.compiled) == (1, 1)


def test_native_code_of_another_node_or_another_module_is_never_loaded(folder, tmp_path):
    """Whole, valid entries: under this node's name for the module, and under another module's name."""
    mine, theirs = NativeCache(folder), NativeCache(tmp_path / "theirs")
    mine.module(engine(), CODE)
    theirs.module(engine(), CODE)
    assert entry(folder).name != entry(tmp_path / "theirs").name
    entry(folder).write_bytes(entry(tmp_path / "theirs").read_bytes())
    mine.module(engine(), CODE)
    assert (mine.counts.hits, mine.counts.refused) == (0, 1)
    first = entry(folder)
    mine.module(engine(), other_code(1))
    (second,) = (path for path in folder.glob("*.native") if path != first)
    first.write_bytes(second.read_bytes())
    mine.module(engine(), CODE)
    assert (mine.counts.hits, mine.counts.refused) == (0, 2)


def test_another_version_or_configuration_does_not_see_the_entry(folder, monkeypatch):
    NativeCache(folder).module(engine(), CODE)
    other = NativeCache(folder, b"fuel")
    other.module(engine(), CODE)
    assert (other.counts.hits, other.counts.compiled) == (0, 1)
    monkeypatch.setattr(aot, "_wasmtime_version", lambda: b"0.0.0")
    newer = NativeCache(folder)
    newer.module(engine(), CODE)
    assert (newer.counts.hits, newer.counts.compiled) == (0, 1)


def test_the_entries_used_longest_ago_go_first(folder):
    probe = NativeCache(folder)
    probe.module(engine(), other_code(0))
    size = entry(folder).stat().st_size
    entry(folder).unlink()
    cache = NativeCache(folder, bytes_max=2 * size + size // 2)
    for number in (1, 2):
        cache.module(engine(), other_code(number))
        for path in folder.glob("*.native"):  # time passes between the uses
            about = path.stat()
            os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns - 10**9))
    cache.module(engine(), other_code(1))
    assert cache.counts.hits == 1
    cache.module(engine(), other_code(3))
    assert cache.counts.evicted == 1
    assert sum(path.stat().st_size for path in folder.glob("*.native")) <= 2 * size + size // 2
    cache.module(engine(), other_code(1))
    assert cache.counts.hits == 2
    cache.module(engine(), other_code(2))
    assert cache.counts.compiled == 4


def test_what_is_too_large_is_compiled_and_not_kept(folder, monkeypatch):
    monkeypatch.setattr(aot, "ENTRY_BYTES_MAX", 100)
    cache = NativeCache(folder)
    assert answers(cache.module) == [6]
    assert not list(folder.glob("*.native"))


def test_a_directory_or_key_that_others_may_use_is_refused(folder, tmp_path):
    NativeCache(folder)
    (folder / "key").chmod(0o640)
    with pytest.raises(Refused, match="mode 640"):
        NativeCache(folder)
    (folder / "key").chmod(0o600)
    (folder / "key").write_bytes(b"short")
    with pytest.raises(Refused, match="32 bytes, this one 5"):
        NativeCache(folder)
    folder.chmod(0o755)
    with pytest.raises(Refused, match="mode 755"):
        NativeCache(folder)
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(Refused, match="not a directory"):
        NativeCache(tmp_path / "link")


def test_an_entry_that_is_a_link_is_not_followed(folder, tmp_path):
    cache = NativeCache(folder)
    cache.module(engine(), CODE)
    kept = entry(folder).rename(tmp_path / entry(folder).name)
    (folder / kept.name).symlink_to(kept)
    cache.module(engine(), CODE)
    assert (cache.counts.hits, cache.counts.refused, cache.counts.compiled) == (0, 1, 2)
    assert not entry(folder).is_symlink()


def test_a_module_that_is_refused_leaves_nothing_behind(folder):
    cache = NativeCache(folder)
    with pytest.raises(wasmtime.WasmtimeError):
        cache.module(engine(), b"\0asm\x01\0\0\0garbage")
    assert [path.name for path in folder.iterdir()] == ["key"]
