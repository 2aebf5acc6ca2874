"""Secrets are planted wherever one is configured, and all that a full run leaves behind is searched for them.

Searched are the data directories, logs, audit logs, journals, settings, what commands and daemons said
(errors and what they say when they crash included), and the environments of the cells; each for the secret
as it is, in hexadecimal, and in base64 at every offset. Only the places a secret was put on purpose are left.
"""

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest
import yaml

from swarm import Swarm
from swarm.adapters.tls import IdentityFiles
from swarm.daemons.keeper import SOURCE, Keeper
from swarm.daemons.layout import free_ports
from swarm.errors import SwarmError
from swarm.trust.tokens import JoinToken
from tests.integration.cluster import SLOW_AGENT, failing_graph, processes_about, slow_graph

PATIENCE_S = 100
PASSPHRASE = "planted-passphrase-5e1f0c77a9"
REDIS_PASSWORD = "planted-redis-password-b2d90a41c6"
API_KEY = "sk-planted-api-key-93c04be8d1"
pytestmark = pytest.mark.timeout(400)


def disguises(secret):
    """The ways in which bytes end up in a file."""
    found = {secret, secret.hex().encode(), secret.hex().upper().encode(), secret[::-1]}
    for shift in range(3):  # where in a longer base64 text it begins
        whole = base64.b64encode(b"\0" * shift + secret)
        found.add(whole[(0, 2, 3)[shift] : len(whole) - len(whole) % 4 - 4])
    return {form for form in found if len(form) >= 12} | {secret.decode("latin-1").encode("utf-16-le")}


def hiding_places(root, secrets, left_out=()):
    """(name of the secret, path) of every file under `root` that holds one; `left_out` are not looked at."""
    forms = {name: disguises(secret) for name, secret in secrets.items()}
    found = []
    for path in sorted(root.rglob("*")):
        if path in left_out or not path.is_file() or path.is_symlink():
            continue
        data = path.read_bytes()
        found += [(name, path) for name, some in forms.items() if any(form in data for form in some)]
    return found


def key_body(path):
    """The secret part of a PEM file."""
    lines = path.read_text().splitlines()
    return base64.b64decode("".join(line for line in lines if not line.startswith("-")))[7:39]


class Run:
    """A cluster with secrets in all its settings, used and abused; what commands say is kept beside it."""

    def __init__(self, root):
        self.root, self.keeper, self.home = root, Keeper(), root / "c"
        self.said, self.left_out = root / "said", set()
        self.said.mkdir()
        self.commands = 0
        serving, self.worker_port, joining = free_ports(3)
        self.joining = f"127.0.0.1:{joining}"
        (root / "vault").mkdir()
        self.redis_key = self.put("redis-key", os.urandom(32).hex())
        passphrase, password = self.put("passphrase", PASSPHRASE), self.put("redis-password", REDIS_PASSWORD)
        node = ["--node", f"n1=127.0.0.1:{serving}", "--join", self.joining, "--name", "demo"]
        self.command("init", str(self.home), *node, "--passphrase", f"file:{passphrase}")
        self.settings = self.home / "n1" / "node.yaml"
        document = yaml.safe_load(self.settings.read_text())
        document |= {"trust": {"agents": "any"}, "log_level": "debug"}
        shared = {"redis": "redis://127.0.0.1:1/0", "password": f"file:{password}"}
        document["result_cache"] = {**shared, "key_file": str(self.redis_key)}
        self.settings.write_text(yaml.safe_dump(document))
        self.profile = self.home / "admin.yaml"

    def put(self, name, text):
        path = self.root / "vault" / name
        path.write_text(text + "\n")
        path.chmod(0o600)
        self.left_out.add(path)
        return path

    def command(self, *arguments, given="", code=0, environment=()):
        """A command as people type it; what it says, on both streams, stays."""
        done = subprocess.run(
            [sys.executable, "-m", "swarm", *arguments],
            input=given,
            text=True,
            capture_output=True,
            cwd=SOURCE,
            env={**os.environ, **dict(environment)},
            timeout=PATIENCE_S,
            check=False,
        )
        self.commands += 1
        (self.said / f"{self.commands}-{arguments[0]}").write_text(done.stdout + done.stderr)
        assert code is None or done.returncode == code, done.stderr
        return done.stdout

    def daemon(self, name, settings):
        self.keeper.spawn(name, settings, self.root / f"{name}.log")


def soon(condition):
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        with contextlib.suppress(SwarmError):
            if found := condition():
                return found
        time.sleep(0.2)
    return None


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = Run(tmp_path_factory.mktemp("planted"))
    try:
        yield run
    finally:
        run.keeper.close()


def test_nothing_a_full_run_leaves_behind_holds_a_secret(run):
    os.environ["PLANTED_API_KEY"] = API_KEY  # daemons are given it; cells must not be
    try:
        run.daemon("n1", run.settings)
    finally:
        del os.environ["PLANTED_API_KEY"]
    with Swarm.open(run.profile) as swarm:
        assert soon(lambda: swarm.status().nodes_attached == 1), (run.root / "n1.log").read_text()
        swarm.deploy(SLOW_AGENT)
        text = work(run, swarm)
        fail_at_everything(run, text)
        cells = [pid for pid in processes_about(str(run.root)) if pid != run.keeper.pid("n1")]
        assert all(API_KEY.encode() not in environment(pid) for pid in (*cells, *descendants(run)))
        os.kill(run.keeper.pid("n1"), signal.SIGABRT)  # crashes where it stands
        assert soon(lambda: "n1" not in run.keeper.running())
    secrets = planted(run, text)
    assert all(len(secret) >= 12 for secret in secrets.values())
    assert len(list(run.root.rglob("*"))) > 40
    assert hiding_places(run.root, secrets, run.left_out) == []


def work(run, swarm):
    """Ordinary work, a newcomer, a renewal; returns the token."""
    assert swarm.submit(slow_graph(3, 0)).result()
    swarm.submit(failing_graph()).wait()
    swarm.submit(slow_graph(1, 30)).cancel()
    cluster = ["--cluster", str(run.profile)]
    text = swarm.create_token("worker", 600_000)
    where = ["--name", "w1", "--listen", f"127.0.0.1:{run.worker_port}", "--dir", str(run.home / "w1")]
    (run.home / "w1").mkdir()
    run.command("join", "-", run.joining, *where, given=text)
    run.daemon("w1", run.home / "w1" / "node.yaml")
    assert soon(lambda: swarm.status().nodes_attached == 2)
    run.command("certs", "rotate", "--all", "--json", *cluster)
    for listing in (["certs", "list"], ["token", "list"], ["nodes"], ["runs", "list"], ["status"]):
        run.command(*listing, "--json", *cluster)
    run.command("certs", "revoke", "w1", *cluster)
    assert soon(lambda: "w1" not in run.keeper.running())
    return text


def fail_at_everything(run, text):
    """What people get wrong, secrets in hand."""
    elsewhere = run.root / "elsewhere"
    elsewhere.mkdir()
    run.command("join", "-", run.joining, "--dir", str(elsewhere), given=text, code=None)
    run.command("join", "-", run.joining, "--dir", str(elsewhere), given=text[:-3], code=None)
    wrong = run.put("wrong", "planted-but-not-the-passphrase")
    document = yaml.safe_load(run.settings.read_text())
    changes = (
        {"passphrase": f"file:{wrong}"},
        {"passphrase": "env:NOT_SET"},
        {"passphrase": PASSPHRASE},  # the secret itself where a reference belongs
    )
    for number, change in enumerate(changes):
        path = run.settings.with_name(f"broken-{number}.yaml")
        path.write_text(
            yaml.safe_dump({**document, "data_dir": "other", "join": {**document["join"], **change}})
        )
        run.left_out.add(path)
        run.command("node", "--config", str(path), "--json", code=None)
    result_cache = {**document["result_cache"], "redis": f"redis://:{REDIS_PASSWORD}@127.0.0.1:1/0"}
    path = run.settings.with_name("broken-redis.yaml")
    path.write_text(yaml.safe_dump({**document, "data_dir": "other", "result_cache": result_cache}))
    run.left_out.add(path)
    run.command("node", "--config", str(path), code=2)


def planted(run, text):
    """Every secret there is by now."""
    authority = IdentityFiles.within(run.home / "n1" / "identity")
    keys = {path: key_body(path) for path in run.home.rglob("key.pem") if path.is_file()}
    run.left_out |= set(keys)
    assert authority.key in keys
    return {
        "passphrase": PASSPHRASE.encode(),
        "password of the Redis": REDIS_PASSWORD.encode(),
        "key of the Redis": run.redis_key.read_bytes().strip(),
        "API key": API_KEY.encode(),
        "token": JoinToken.read(text).secret,
        "whole token": text.encode()[20:60],
        **{f"key of {path.parent.parent.name}/{path.parent.name}": body for path, body in keys.items()},
    }


def environment(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/environ").read_bytes()
    return b""


def descendants(run):
    """Cells and their zygotes: they have no environment that would name them."""
    parents = {}
    for directory in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            fields = (directory / "stat").read_text().rpartition(")")[2].split()
            parents[int(directory.name)] = int(fields[1])
    found, todo = [], [run.keeper.pid("n1")]
    while todo:
        parent = todo.pop()
        children = [pid for pid, above in parents.items() if above == parent]
        found += children
        todo += children
    assert found, "there are no cells to look at"
    return found


# -- the search itself -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "hide",
    [
        lambda secret: secret,
        lambda secret: b"log line: " + secret.hex().encode(),
        base64.b64encode,
        lambda secret: base64.b64encode(b"a" + secret + b"tail"),
        lambda secret: base64.b64encode(b"ab" + secret + b"tail"),
        lambda secret: json.dumps({"error": secret.decode()}).encode(),
        lambda secret: secret.decode().encode("utf-16-le"),
    ],
)
def test_the_search_finds_what_is_hidden(tmp_path, hide):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    path = tmp_path / "deep" / "er" / "segment.bin"
    path.write_bytes(zlib.crc32(b"x").to_bytes(4, "big") * 100 + hide(API_KEY.encode()) + b"\0" * 9)
    (tmp_path / "innocent").write_text("planted nothing")
    assert hiding_places(tmp_path, {"it": API_KEY.encode(), "other": PASSPHRASE.encode()}) == [("it", path)]
    assert hiding_places(tmp_path, {"it": API_KEY.encode()}, {path}) == []
