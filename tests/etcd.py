"""A real etcd for tests: one member over mutual TLS, whose process can be paused and killed."""

import json
import shutil
import signal
import socket
import ssl
import subprocess
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

from swarm.adapters.etcd import EtcdClient

PATIENCE_S = 20
START_S = 0.02
STOPPED = ("T", "t", "X", "Z")
MISSING = "etcd is not installed: its tests are skipped (apt-get install etcd-server, or `make extras`)"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class EtcdServer:
    """`etcd` with a certificate of `authority`, which vouches for its clients too."""

    def __init__(self, directory, authority, *, name="only", peers=None, cluster=None, wait=True):
        program = shutil.which("etcd")
        if program is None:
            pytest.skip(MISSING)
        self.directory = directory
        self.tls = authority.issue_node("etcd", ["127.0.0.1"], directory / "identity")
        self.endpoint = f"127.0.0.1:{free_port()}"
        peers = peers or f"https://127.0.0.1:{free_port()}"
        proof = [str(self.tls.certificate), str(self.tls.key), str(self.tls.authority)]
        self._command = [
            program, "--name", name, "--data-dir", str(directory / "data"), "--logger", "zap",
            "--listen-client-urls", f"https://{self.endpoint}",
            "--advertise-client-urls", f"https://{self.endpoint}",
            "--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers,
            "--initial-cluster", cluster or f"{name}={peers}",
            "--cert-file", proof[0], "--key-file", proof[1], "--trusted-ca-file", proof[2],
            "--peer-cert-file", proof[0], "--peer-key-file", proof[1], "--peer-trusted-ca-file", proof[2],
            "--client-cert-auth", "--peer-client-cert-auth", "--log-level", "error",
        ]  # fmt: skip
        self._process = None
        self.start(wait=wait)

    def client(self, timeout_s=2.0):
        return EtcdClient([self.endpoint], self.tls, timeout_s=timeout_s)

    def start(self, *, wait=True):
        with (self.directory / "etcd.log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        if wait:
            self.wait()

    def wait(self):
        until = time.monotonic() + PATIENCE_S
        while not self._healthy():
            assert self._process.poll() is None, (self.directory / "etcd.log").read_text()[-2000:]
            assert time.monotonic() < until, "etcd is not healthy"
            time.sleep(START_S)

    def _healthy(self):
        context = ssl.create_default_context(cafile=self.tls.authority)
        context.load_cert_chain(self.tls.certificate, self.tls.key)
        try:
            with urllib.request.urlopen(
                f"https://{self.endpoint}/health", context=context, timeout=5
            ) as reply:
                return json.load(reply)["health"] == "true"
        except OSError:
            return False

    def pause(self):
        """Returns when it stands still: its threads stop one by one, each when it has its turn."""
        self._process.send_signal(signal.SIGSTOP)
        until = time.monotonic() + PATIENCE_S
        while any(state not in STOPPED for state in self._states()):
            assert time.monotonic() < until, "etcd does not stand still"
            time.sleep(START_S)

    def _states(self):
        for thread in Path(f"/proc/{self._process.pid}/task").iterdir():
            with suppress(OSError):  # it has ended meanwhile
                yield (thread / "stat").read_text().rpartition(")")[2].split()[0]

    def resume(self):
        self._process.send_signal(signal.SIGCONT)

    def stop(self):
        if self._process is not None:
            self.resume()
            self._process.kill()
            self._process.wait()
            self._process = None
