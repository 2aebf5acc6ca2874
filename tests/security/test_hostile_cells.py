"""Agents that own their cell completely and turn on the daemon: its parser, its memory, its patience."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sandbox import (
    AgentFailed,
    AgentImage,
    Broken,
    Cell,
    CellLimits,
    CellSpec,
    Exceeded,
    Warden,
    tensors,
)
from sandbox.frames import HEADER, Kind
from sandbox.spec import PROFILES, Profile
from tests.security.support import MIB, House, open_house, spec, value


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with open_house() as opened:
        yield opened


# An agent may find its end of the channel; from then on it can say anything.
SPEAKER = """
import os, socket, stat, time

def channel():
    return next(fd for fd in range(3, 64) if _is_socket(fd))

def _is_socket(fd):
    try:
        return stat.S_ISSOCK(os.fstat(fd).st_mode)
    except OSError:
        return False

class Agent:
    def process_input(self, capability, inputs):
        return getattr(self, capability)(**inputs)

    def say(self, raw, then="sleep"):
        os.write(channel(), raw)
        time.sleep(60 if then == "sleep" else 0)
        return {}

    def flood(self):
        while True:
            os.write(channel(), bytes(1 << 16))

    def hang_up(self):
        os.close(channel())
        time.sleep(60)

    def pass_descriptors(self):
        with socket.socket(fileno=os.dup(channel())) as stream:
            socket.send_fds(stream, [bytes(1)], [0, 1, 2, 0, 1, 2])
        time.sleep(60)

    def deafen(self):
        import signal
        for number in signal.valid_signals():
            try:
                signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError):
                pass
        while True:
            try:
                time.sleep(60)
            except BaseException:
                pass

    def spin(self):
        while True:
            pass

    def recurse(self):
        nested = []
        for _ in range(10**6):
            nested = [nested]
        repr(nested)
        return {}

    def crash(self):
        import ctypes
        ctypes.string_at(0)

    def hello(self):
        return {"hello": os.getpid()}
"""


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def header(size: int, kind: int, call: int) -> bytes:
    return HEADER.pack(size, kind, call)


ANSWER = int(Kind.ANSWER)
WANT = int(Kind.WANT)
FIRST_CALL = 2  # loading was the first


def forged(rows: bytes) -> bytes:
    return header(len(rows), ANSWER, FIRST_CALL) + rows


def wanted(*sizes: int) -> bytes:
    return b"".join(header(8, WANT, FIRST_CALL) + size.to_bytes(8, "little") for size in sizes)


def column(kind: int, many: int, payloads: int, rest: bytes) -> bytes:
    """A group of one row with one column, whose port is x."""
    return (
        b"\x00\x01\x01\x00\x00\x00"
        b"\x01\x00" + bytes([kind, many]) + payloads.to_bytes(4, "little") + b"x" + rest
    )


ALL_ONES = b"\xff\xff\xff\xff"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        pytest.param(header(0xFFFFFFFF, ANSWER, FIRST_CALL), "4294967295 bytes", id="a frame of 4 GiB"),
        pytest.param(b"\xff" * 64, "bytes, at most", id="noise"),
        pytest.param(header(0, ANSWER, FIRST_CALL + 1), "not next", id="an answer to a call not made"),
        pytest.param(header(0, ANSWER, 0), "not next", id="a second report of lockdown"),
        pytest.param(header(0, 7, FIRST_CALL), "kind 7", id="a kind that is no answer"),
        pytest.param(
            HEADER.pack(0, ANSWER, FIRST_CALL)[:5] + b"\x01\x00\x00" + bytes(8), "not zero", id="dirty zeros"
        ),
        pytest.param(header(0, ANSWER, FIRST_CALL), "malformed", id="no body"),
        pytest.param(forged(b"\x00\xff\x01\x00\x00\x00"), "malformed", id="255 ports"),
        pytest.param(forged(b"\x00\x00" + ALL_ONES), "malformed", id="4 billion rows"),
        pytest.param(forged(b"\x00\x00\x00\x00\x00\x00" * 99), "malformed", id="groups of no rows"),
        pytest.param(forged(column(1, 0, 0xFFFFFFFF, b"")), "malformed", id="4 billion payloads"),
        pytest.param(
            forged(column(0xFF, 1, 1 << 20, b"\x00\x00\x10\x00")), "malformed", id="a million of many"
        ),
        pytest.param(forged(column(0xFF, 1, 1, ALL_ONES)), "malformed", id="counts that do not add up"),
        pytest.param(forged(column(1, 0, 1, ALL_ONES)), "malformed", id="4 GiB payload"),
        pytest.param(forged(column(9, 0, 1, bytes(4))), "malformed", id="unknown kind"),
        pytest.param(forged(column(0x41, 0, 1, bytes(4))), "malformed", id="shared memory not given"),
        pytest.param(
            wanted(4096) + forged(column(0x41, 0, 1, b"\x00\x00\x10\x00")),
            "malformed",
            id="more than was given",
        ),
        pytest.param(
            wanted(4096) + forged(column(1, 0, 1, bytes(4))), "malformed", id="room asked for and not used"
        ),
        pytest.param(wanted(1 << 62), "room for", id="an exabyte of shared memory"),
        pytest.param(wanted(0), "room for 0", id="no shared memory at all"),
        pytest.param(wanted(4096, 4096), "twice", id="shared memory twice"),
        pytest.param(header(4, WANT, FIRST_CALL) + bytes(4), "twice", id="a wish cut short"),
        pytest.param(
            forged(column(1, 0, 1, b"\x08\x00\x00\x00" + b"T\x01\x63\x00" + bytes(4))),
            "malformed",
            id="a tensor that is none",
        ),
        pytest.param(
            header(9, int(Kind.FAILURE), FIRST_CALL) + bytes(9), "protocol", id="a failure cut short"
        ),
        pytest.param(
            forged(b"\x00\x00\x01\x00\x00\x00") + b"x" * 15,
            None,
            id="the start of something after the answer",
        ),
    ],
)
def test_forged_bytes_end_the_cell_and_nothing_else(house: House, raw: bytes, reason: str | None) -> None:
    async def body(warden: Warden) -> None:
        async with await warden.spawn(spec(SPEAKER)) as cell, await warden.spawn(spec(SPEAKER)) as other:
            call = cell.process_input("say", {"raw": ("bytes", raw)}, wall_ms=5000)
            if reason is None:
                assert await call == {}
            else:
                with pytest.raises(Broken, match=reason):
                    await call
                assert isinstance(await cell.closed, Broken)
            assert "hello" in await other.process_input("hello", {})

    house.run(body)


def test_a_flood_on_the_channel_is_cut_off_without_filling_the_daemon(house: House) -> None:
    async def body(cell: Cell) -> None:
        with pytest.raises(Broken, match="protocol"):
            await cell.process_input("flood", {})

    house.with_cell(spec(SPEAKER, output_bytes=MIB), body)


def test_a_cell_that_hangs_up_but_lives_is_killed(house: House) -> None:
    async def body(cell: Cell) -> None:
        with pytest.raises(Broken, match="SIGKILL"):
            await cell.process_input("hang_up", {})
        assert not is_alive(cell.pid)

    house.with_cell(spec(SPEAKER), body)


def test_descriptors_pushed_at_the_daemon_are_not_taken(house: House) -> None:
    async def body(cell: Cell) -> None:
        before = open_descriptors()
        with pytest.raises((Broken, Exceeded)):
            await cell.process_input("pass_descriptors", {}, wall_ms=300)
        assert open_descriptors() <= before

    house.with_cell(spec(SPEAKER), body)


@pytest.mark.parametrize("capability", ["deafen", "spin"])
def test_a_cell_that_ignores_every_signal_still_ends_at_its_wall_clock(house: House, capability: str) -> None:
    async def body(cell: Cell) -> None:
        began = time.monotonic()
        with pytest.raises(Exceeded) as caught:
            await cell.process_input(capability, {}, wall_ms=200)
        assert caught.value.limit == "wall_ms"
        await cell.closed
        assert time.monotonic() - began < 50  # it would have gone on for a minute

    house.with_cell(spec(SPEAKER), body)


def test_a_cell_that_ignores_every_signal_is_closed_by_force(house: House) -> None:
    async def body(cell: Cell) -> None:
        call = asyncio.ensure_future(cell.process_input("deafen", {}))
        await asyncio.sleep(0)
        await cell.close(grace_ms=50)
        with pytest.raises(Broken):
            await call

    house.with_cell(spec(SPEAKER), body)


def test_a_crash_is_told_by_its_signal(house: House) -> None:
    async def body(cell: Cell) -> None:
        with pytest.raises(Broken, match="SIGSEGV"):
            await cell.process_input("crash", {})

    house.with_cell(spec(SPEAKER), body)


def test_endless_recursion_costs_only_its_call(house: House) -> None:
    async def body(cell: Cell) -> None:
        with pytest.raises(AgentFailed, match="RecursionError"):
            await cell.process_input("recurse", {})
        assert "hello" in await cell.process_input("hello", {})

    house.with_cell(spec(SPEAKER), body)


def test_processor_time_is_shared_as_the_limit_says(house: House) -> None:
    source = """
import time
class Agent:
    def process_input(self, capability, inputs):
        began, used = time.monotonic(), time.process_time()
        while time.monotonic() - began < 1.5:
            pass
        return {"cpu_s": time.process_time() - used, "wall_s": time.monotonic() - began}
"""

    async def body(warden: Warden) -> None:
        if "cpu" not in warden.attestation.cgroup_controllers:
            pytest.skip("no cpu controller is delegated here")
        async with await warden.spawn(spec(source, cpu_cores=0.25)) as cell:
            answer = await cell.process_input("spin", {})
            used, wall = value(answer["cpu_s"]), value(answer["wall_s"])
            assert isinstance(used, float)
            assert isinstance(wall, float)
            assert used < 0.25 * wall + 0.2

    house.run(body)


def test_two_cells_draw_different_random_numbers(house: House) -> None:
    source = """
import os, random, secrets, numpy, uuid
class Agent:
    def process_input(self, capability, inputs):
        drawn = [random.random(), secrets.token_hex(8), numpy.random.random(), str(uuid.uuid4())]
        return {"drawn": drawn + [os.urandom(8).hex(), numpy.random.default_rng().random()]}
"""

    async def body(warden: Warden) -> None:
        cells = [await warden.spawn(spec(source)) for _ in range(3)]
        draws = [value((await cell.process_input("draw", {}))["drawn"]) for cell in cells]
        for column in zip(*draws, strict=True):
            assert len(set(column)) == len(cells)
        await asyncio.gather(*(cell.close() for cell in cells))

    house.run(body)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_hundred_megabytes_go_in_and_come_out_in_every_profile(house: House, profile: Profile) -> None:
    source = b"""
class Agent:
    def process_input(self, capability, inputs):
        return {"y": inputs["x"] * 2}
"""
    image = AgentImage("doubler", "python", source)
    array = np.arange(25_000_000, dtype=np.float32)

    async def body(cell: Cell) -> None:
        answer = await cell.process_input("double", {"x": ("tensor", tensors.encode(array))})
        assert isinstance(answer["y"], tuple)
        assert (tensors.decode(answer["y"][1]) == array * 2).all()

    house.with_cell(CellSpec(image, CellLimits(output_bytes=128 * MIB), profile), body)


@pytest.mark.parametrize("profile", PROFILES)
def test_work_with_numpy_lives_in_every_profile(house: House, profile: Profile) -> None:
    source = b"""
import numpy as np

class Agent:
    def process_input(self, capability, inputs):
        a = np.sin(np.arange(10_000, dtype=np.float64)).reshape(100, 100)
        u, s, v = np.linalg.svd(a + np.eye(100))
        assert np.allclose(u @ np.diag(s) @ v, a + np.eye(100))
        assert np.allclose(np.linalg.inv(a + 99 * np.eye(100)) @ (a + 99 * np.eye(100)), np.eye(100))
        return {"y": np.sort(inputs["x"]).astype(np.float32).reshape(2, -1).T.copy()}
"""
    given = np.array([3, 1, 2, 0], np.int64)

    async def body(cell: Cell) -> None:
        answer = await cell.process_input("work", {"x": ("tensor", tensors.encode(given))})
        assert isinstance(answer["y"], tuple)
        assert tensors.decode(answer["y"][1]).tolist() == [[0.0, 2.0], [1.0, 3.0]]

    house.with_cell(CellSpec(AgentImage("numpy", "python", source), CellLimits(), profile), body)


def test_an_honest_agent_lives_under_these_rules(house: House) -> None:
    source = """
import asyncio, collections, csv, dataclasses, decimal, hashlib, io, json, re, sqlite3, statistics, tempfile
import threading, zlib, concurrent.futures
import numpy as np

class Agent:
    def process_input(self, capability, inputs):
        a = np.random.default_rng(1).normal(size=(200, 200))
        u, s, v = np.linalg.svd(a)
        assert np.allclose(u @ np.diag(s) @ v, a)
        np.fft.fft(a)
        with tempfile.TemporaryFile() as file:
            file.write(zlib.compress(b"x" * 10000))
        with open("kept.csv", "w") as file:
            csv.writer(file).writerows([[1, 2], [3, 4]])
        with sqlite3.connect("some.db") as db:
            db.execute("create table t (a)")
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(abs, range(-10, 0))) == 55
        async def nap():
            await asyncio.sleep(0.001)
            return hashlib.sha256(b"x").hexdigest()
        return {"digest": asyncio.run(nap()), "big": inputs["big"] + 1}
"""

    async def body(cell: Cell) -> None:
        big = np.arange(4 * MIB, dtype=np.float32)
        answer = await cell.process_input("work", {"big": ("tensor", tensors.encode(big))})
        assert value(answer["digest"]) == "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
        _, data = answer["big"]
        assert isinstance(data, bytes)
        assert (tensors.decode(data) == big + 1).all()
        json.dumps(await cell.get_metadata())

    house.with_cell(spec(source), body)
