"""Make every attempt in one mode, and print what came of it, one JSON object per line.

    python -m tests.security.battery MODE

Modes: `root`, `user`, `reduced` are the tiers; `open` is the tier of this user with a filter that
allows every call, which shows what the other layers hold alone; `bare` has no sandbox at all, which
shows that an attempt can succeed. Attempts aim only at what this program made for them: its own
listeners, its own secret, its own decoy process.
"""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tests.security.attempts_common
import tests.security.attempts_kernel
import tests.security.attempts_limits
import tests.security.attempts_reach
from sandbox import AgentImage, Warden, linux, lockdown, trials
from sandbox.attempts import ATTEMPTS, ESCAPED, Table
from sandbox.spec import PROFILES

SOURCES = (
    tests.security.attempts_common,
    tests.security.attempts_reach,
    tests.security.attempts_kernel,
    tests.security.attempts_limits,
)
ALLOW_ALL = struct.pack("<HBBI", 0x06, 0, 0, 0x7FFF0000)  # one instruction: return SECCOMP_RET_ALLOW
BARE_S = 20
ALL = Table({**ATTEMPTS, **tests.security.attempts_common.MORE})


def image() -> AgentImage:
    """The agent that makes all attempts: the modules as they are, without the files of this repository."""
    texts = [(module.__name__, Path(module.__file__ or "").read_text()) for module in SOURCES]
    code = f"""
import sys, types
for name, text in {texts!r}:
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(text, name, "exec"), module.__dict__)
from sandbox.attempts import ATTEMPTS, Agent
from tests.security.attempts_common import MORE
Agent.table = ATTEMPTS | MORE
"""
    return AgentImage("battery", "python", code.encode())


@contextlib.contextmanager
def targets() -> Iterator[dict[str, Any]]:
    """Things worth reaching, and where they are."""
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        scratch.chmod(0o755)
        secret = scratch / "secret"
        secret.write_text("the secret")
        secret.chmod(0o644)
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        abstract = f"swarm-{secrets.token_hex(4)}"
        for name, kind in (
            ("\0" + abstract, socket.SOCK_STREAM),
            (str(scratch / "socket"), socket.SOCK_STREAM),
            (str(scratch / "datagram"), socket.SOCK_DGRAM),
        ):
            server = stack.enter_context(socket.socket(socket.AF_UNIX, kind))
            server.bind(name)
            if kind == socket.SOCK_STREAM:
                server.listen()
        for path in scratch.iterdir():
            path.chmod(0o666 if path.is_socket() else 0o644)
        with subprocess.Popen([sys.executable, "-I", "-S", "-c", _DECOY], stdout=subprocess.PIPE) as decoy:
            try:
                assert decoy.stdout is not None
                yield trials.targets() | {
                    "pid": decoy.pid,
                    "port": listener.getsockname()[1],
                    "secret": str(secret),
                    "abstract": abstract,
                    "socket": str(scratch / "socket"),
                    "socket_datagram": str(scratch / "datagram"),
                    "decoy": decoy.pid,
                    "decoy_address": int(decoy.stdout.readline()),
                    "inodes": 256,
                }
            finally:
                decoy.kill()


# Lets itself be traced, as any process of the same user may be where the kernel is not hardened.
_DECOY = """
import ctypes, time
memory = ctypes.create_string_buffer(64)
ctypes.CDLL(None).prctl(0x59616d61, ctypes.c_ulong(-1), 0, 0, 0)
print(ctypes.addressof(memory), flush=True)
time.sleep(600)
"""


def bare(aims: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every attempt in a plain child process, with no sandbox.

    What a user may not do is tried again as the root of a user namespace, with every capability in there.
    """
    for attempt in ALL.values():
        said = _alone(attempt.name, aims, as_root_of_its_own=False)
        if not said.startswith(ESCAPED):
            again = _alone(attempt.name, aims, as_root_of_its_own=True)
            said = again if again.startswith(ESCAPED) else said
        yield {"profile": "bare", "attempt": attempt.name, "layer": attempt.layer, "outcome": said}


def _alone(name: str, aims: dict[str, Any], *, as_root_of_its_own: bool) -> str:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        _bare_child(name, aims, writing, as_root_of_its_own=as_root_of_its_own)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode()
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if not said:
        said = f"{ESCAPED} the program ran" if code in {0, 1} else f"killed {signal.Signals(-code).name}"
    return said


def _bare_child(name: str, aims: dict[str, Any], writing: int, *, as_root_of_its_own: bool) -> None:
    said = f"{ESCAPED} and broke the harness"
    try:
        signal.alarm(BARE_S)
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        os.chdir(tempfile.mkdtemp())
        if as_root_of_its_own:
            _become_root_of_its_own()
        said = ALL[name].act(aims)
    except BaseException as error:  # noqa: BLE001  (whatever it is, it is the result)
        said = f"failed {type(error).__name__}: {error}"
    finally:
        os.write(writing, said.encode())
        os._exit(2)


def _become_root_of_its_own() -> None:
    user, group = os.getuid(), os.getgid()
    proc = os.open("/proc", os.O_RDONLY)
    linux.unshare(linux.CLONE_NEWUSER)
    lockdown.map_ids(proc, 0, user, group)
    os.close(proc)
    spaces = linux.CLONE_NEWNS | linux.CLONE_NEWIPC | linux.CLONE_NEWUTS | linux.CLONE_NEWNET
    linux.unshare(spaces | linux.CLONE_NEWCGROUP)


async def sandboxed(mode: str, aims: dict[str, Any]) -> list[dict[str, Any]]:
    """Every attempt in cells."""
    tier = ("root" if os.geteuid() == 0 else "user") if mode == "open" else mode
    programs = dict.fromkeys(PROFILES, (ALLOW_ALL, b"")) if mode == "open" else None
    found = []
    async with await Warden.open(tier, programs) as warden:  # type: ignore[arg-type]
        for profile in ("strict",) if mode == "open" else PROFILES:
            made = await trials.run(warden.spawn, profile, warden.tier, ALL, image(), aims)
            found += [
                {
                    "profile": profile,
                    "attempt": t.attempt,
                    "layer": t.layer,
                    "outcome": t.outcome,
                    "held": t.held,
                }
                for t in made
            ]
    return found


def main(mode: str) -> None:
    """Print a line for each attempt."""
    with targets() as aims:
        for line in bare(aims) if mode == "bare" else asyncio.run(sandboxed(mode, aims)):
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
