"""Where a layer cannot be had nothing runs, and the operator is told which one and what would mend it."""

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from sandbox import Broken, Refused, Warden
from sandbox.attempts import ATTEMPTS
from sandbox.spec import PROFILES, Profile
from tests.security.battery import ALLOW_ALL
from tests.security.support import spec
from tests.security.unprivileged import REPOSITORY

SOURCE = """
class Agent:
    def process_input(self, capability, inputs):
        return {}
"""
START = """
import asyncio, sys
{before}
from sandbox import Refused, Warden
async def main():
    try:
        async with await Warden.start({tier!r}):
            print("started")
    except Refused as error:
        print("REFUSED", error.place, "|", error)
asyncio.run(main())
"""


def start(before: str, tier: str = "auto", *, unprivileged: bool = False) -> str:
    """What a daemon says that starts under the given circumstances."""
    wrapper = ["-m", "tests.security.unprivileged"] if unprivileged else []
    done = subprocess.run(
        [sys.executable, *wrapper, "-c", START.format(before=before, tier=tier)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_a_warden_whose_filter_allows_everything_refuses_to_serve() -> None:
    async def main() -> None:
        async with await Warden.open(programs=dict.fromkeys(PROFILES, (ALLOW_ALL, b""))) as warden:
            with pytest.raises(Refused, match="cells do not hold") as caught:
                await warden.attest()
            for hole in ("make_a_socket_of_any_family", "fork", "make_memory_executable", "use_io_uring"):
                assert hole in str(caught.value)

    asyncio.run(main())


def test_a_cell_whose_filter_does_not_load_never_sees_its_agent() -> None:
    async def main() -> None:
        async with await Warden.open(programs={"strict": (b"\xff" * 8, b"")}) as warden:
            with pytest.raises(Refused, match="seccomp") as caught:
                await warden.spawn(spec("import os; os._exit(99)"))
            assert caught.value.place == "seccomp"

    asyncio.run(main())


def test_a_warden_makes_a_new_zygote_when_one_has_died() -> None:
    async def main() -> None:
        async with await Warden.open() as warden:
            cell = await warden.spawn(spec(SOURCE))
            warden._nurseries["strict"]._process.kill()
            assert isinstance(await cell.closed, Broken)
            async with await warden.spawn(spec(SOURCE)) as cell:
                assert await cell.process_input("x", {}) == {}

    asyncio.run(main())


# A filter as a container has one: it answers some calls with an errno and allows the rest.
CONTAINER = """
import struct
from sandbox import linux
def refuse(*calls):
    code = [(0x20, 0, 0, 0)]
    for number, errno in calls:
        code += [(0x15, 0, 1, number), (0x06, 0, 0, 0x00050000 | errno)]
    code.append((0x06, 0, 0, 0x7FFF0000))
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    linux.load_seccomp(b"".join(struct.pack("<HBBI", *step) for step in code))
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="call numbers of x86-64")
@pytest.mark.parametrize(
    ("refused", "words"),
    [
        pytest.param("(272, 1)", ["unshare", "under a seccomp filter"], id="a container without unshare"),
        pytest.param("(428, 1)", ["open_tree", "under a seccomp filter"], id="a container without mounts"),
        pytest.param("(444, 38)", ["landlock"], id="a kernel without landlock"),
        pytest.param("(317, 38)", ["seccomp"], id="a kernel without seccomp"),
    ],
)
def test_a_refused_layer_is_named(refused: str, words: list[str]) -> None:
    said = start(f"{CONTAINER}\nrefuse({refused})")
    assert said.startswith("REFUSED")
    for word in words:
        assert word in said


def test_switched_off_user_namespaces_are_named_with_their_sysctl() -> None:
    before = """
import os
from sandbox import linux, lockdown
user, group = os.getuid(), os.getgid()
linux.unshare(linux.CLONE_NEWUSER)
proc = os.open("/proc", os.O_RDONLY)
lockdown.map_ids(proc, 1000, user, group)
lockdown.write_proc(proc, "sys/user/max_user_namespaces", "0")
"""
    said = start(before, unprivileged=True)
    assert said.startswith("REFUSED")
    assert "user.max_user_namespaces" in said


def test_a_tier_is_never_swapped_for_another() -> None:
    other = "user" if os.geteuid() == 0 else "root"
    assert start("", other).startswith(f"REFUSED tier | tier: tier {other}")


def test_the_self_test_prints_a_line_for_each_attempt() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sandbox.selftest", "--json"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stdout
    assert len(lines) == 3 * len(
        [a for a in ATTEMPTS.values() if a.name in {line["attempt"] for line in lines}]
    )
    assert all(line["held"] is True and {"attempt", "layer", "outcome"} <= set(line) for line in lines)


@pytest.mark.parametrize("tier", ["auto", "reduced"])
def test_a_daemon_without_privileges_can_serve(tier: str) -> None:
    assert start("", tier, unprivileged=True) == "started\n"


def test_a_reduced_tier_says_what_it_lacks() -> None:
    before = """
import sandbox.warden
start = sandbox.warden.Warden.start
async def tell(tier):
    warden = await start(tier)
    print(warden.attestation.tier, *[missing.layer for missing in warden.attestation.missing])
    return warden
sandbox.warden.Warden.start = tell
"""
    first, _ = start(before, "reduced", unprivileged=True).splitlines()
    tier, *layers = first.split()
    assert tier == "reduced"
    assert {"namespaces", "scratch", "threads"} <= set(layers)


def test_an_agent_that_requires_a_layer_is_not_run_without_it() -> None:
    async def main() -> None:
        async with await Warden.start() as warden:
            async with await warden.spawn(replace(spec(SOURCE), requires=("network", "syscalls"))) as cell:
                assert await cell.process_input("x", {}) == {}
            with pytest.raises(Refused, match="requires this layer") as caught:
                await warden.spawn(replace(spec(SOURCE), requires=("network", "moat")))
            assert caught.value.place == "moat"

    asyncio.run(main())


@pytest.mark.parametrize("profile", ["native", "wasm"])
def test_a_profile_that_was_not_attacked_at_start_is_attacked_before_its_first_agent(
    profile: Profile,
) -> None:
    async def main() -> None:
        async with await Warden.open(programs={profile: (ALLOW_ALL, b"")}) as warden:
            await warden.attest()
            with pytest.raises(Refused, match="cells do not hold"):
                await warden.spawn(replace(spec(SOURCE), profile=profile))
            async with await warden.spawn(spec(SOURCE)) as cell:
                assert await cell.process_input("x", {}) == {}

    asyncio.run(main())
