"""One voter as a process of its own, for the tests that kill it: a log, a server, a list for a state machine.

Takes one JSON configuration as argument and commands on standard input; says what happens on standard output,
one JSON object per line, each written at once so that nothing said is lost when the process is killed.
"""

import swarm.adapters.tls  # noqa: F401  # isort: skip  # before grpc

import asyncio
import json
import logging
import os
import sys
import time
from pathlib import Path

import grpc.aio

from swarm.adapters.raft import PysyncobjLog, RaftSettings
from swarm.adapters.tls import SERVER_OPTIONS, IdentityFiles, TlsIdentity
from swarm.errors import NotLeader, OutcomeUnknown
from swarm.wire.gen.raft_pb2_grpc import add_RaftServicer_to_server


def say(**fields):
    os.write(1, json.dumps({"at": time.monotonic(), **fields}).encode() + b"\n")


class Ids:
    """Remembers the id at the head of every payload."""

    def __init__(self, *, counts_only=False):
        self.counts_only = counts_only
        self.ids = [0] if counts_only else []

    def apply(self, entries):
        if self.counts_only:
            self.ids[0] += len(entries)
        else:
            self.ids += [entry.data.split(b" ", 1)[0].decode() for entry in entries]

    def snapshot(self):
        ids = list(self.ids)
        return lambda: json.dumps(ids).encode()

    def restore(self, data, index):
        self.ids = json.loads(data)
        say(said="restored", index=index, count=len(self.ids))


class Voter:
    def __init__(self, configuration):
        self.me = configuration["node"]
        self.identity = TlsIdentity.load(IdentityFiles.within(Path(configuration["identity"])))
        self.log = PysyncobjLog(
            self.me,
            configuration["voters"],
            Path(configuration["data_dir"]),
            self.identity.channel,
            cluster="demo",
            settings=RaftSettings(**configuration.get("settings", {})),
        )
        self.address = configuration["voters"][self.me]
        self.machine = Ids(counts_only=configuration.get("counts_only", False))
        self.leading = asyncio.Event()
        self.load = []
        self.count = 0

    async def serve(self):
        server = grpc.aio.server(options=SERVER_OPTIONS)
        add_RaftServicer_to_server(self.log.servicer, server)
        server.add_secure_port(self.address, self.identity.server_credentials())
        await server.start()
        await self.log.start(self.machine, self.on_leadership)
        say(said="started")
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
        )
        while line := await reader.readline():
            await self.obey(json.loads(line))
        await self.log.stop()
        await server.stop(0)

    def on_leadership(self, leadership):
        if leadership.leader == self.me:
            self.leading.set()
        else:
            self.leading.clear()
        say(said="leadership", term=leadership.term, leader=leadership.leader)

    async def obey(self, command):
        match command["do"]:
            case "load":
                padding = bytes(command["bytes"])
                self.load = [
                    asyncio.create_task(self.keep_proposing(worker, padding))
                    for worker in range(command["window"])
                ]
            case "rest":
                for task in self.load:
                    task.cancel()
                say(said="resting")
            case "propose":
                started = time.monotonic()
                index = await self.log.propose(b"big " + bytes(command["bytes"]))
                say(said="proposed", index=index, took_s=time.monotonic() - started)
            case "measure":
                await self.measure(command["window"], bytes(command["bytes"]), command["seconds"])
            case "dump":
                say(said="dump", ids=self.machine.ids, applied=self.log.applied_index())
            case "status":
                status = self.log.status()
                say(said="status", snapshot=status.snapshot_index, connected=len(status.connected))

    async def measure(self, window, data, seconds):
        """As many proposals at a time as `window`, for a while: how many, and how long each took."""
        took, until = [], time.monotonic() + seconds

        async def propose():
            while (began := time.monotonic()) < until:
                await self.log.propose(data)
                took.append(time.monotonic() - began)

        began = time.monotonic()
        await asyncio.gather(*(propose() for _ in range(window)))
        spent = time.monotonic() - began
        took.sort()
        say(
            said="measured",
            per_s=len(took) / spent,
            p50_ms=1000 * took[len(took) // 2],
            p99_ms=1000 * took[len(took) * 99 // 100],
        )

    async def keep_proposing(self, worker, padding):
        run = os.urandom(4).hex()
        number = 0
        while True:
            await self.leading.wait()
            number += 1
            name = f"{self.me}-{run}-{worker}-{number}"
            try:
                await self.log.propose(name.encode() + b" " + padding)
            except (NotLeader, OutcomeUnknown):
                await asyncio.sleep(0.01)
            else:
                say(said="acknowledged", id=name)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    asyncio.run(Voter(json.loads(sys.argv[1])).serve())
