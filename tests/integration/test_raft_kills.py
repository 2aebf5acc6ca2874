"""Three voters in three processes over mutual TLS, killed without warning while they take proposals."""

import contextlib
import json
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from swarm.adapters.tls import Authority

VOTER = Path(__file__).with_name("raft_voter.py")
REPOSITORY = VOTER.parents[2]
VOTERS = ("n1", "n2", "n3")
PATIENCE_S = 20
EXIT_FATAL = 70


class Process:
    """A voter's process and everything it said."""

    def __init__(self, configuration):
        self.configuration = configuration
        self.said = []
        self.news = threading.Condition()
        self.process = subprocess.Popen(
            [sys.executable, str(VOTER), json.dumps(configuration)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=REPOSITORY,
            env={"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin", "GRPC_VERBOSITY": "NONE"},
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            with self.news:
                self.said.append(json.loads(line))
                self.news.notify_all()

    def tell(self, **command):
        self.process.stdin.write(json.dumps(command).encode() + b"\n")
        self.process.stdin.flush()

    def heard(self, said):
        return [fields for fields in self.said if fields["said"] == said]

    def ask(self, said, **command):
        count = len(self.heard(said))
        self.tell(**command)
        self.wait(lambda: len(self.heard(said)) > count, said)
        return self.heard(said)[-1]

    def wait(self, condition, what):
        with self.news:
            assert self.news.wait_for(condition, PATIENCE_S), f"{what}; the last heard: {self.said[-3:]}"

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.close()

    def end(self):
        self.process.stdin.close()
        self.process.wait(PATIENCE_S)
        self.close()
        return self.process.returncode

    def close(self):
        self.reader.join()
        self.process.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()


class Cluster:
    def __init__(self, root, *, counts_only=False, **settings):
        self.root = root
        self.counts_only = counts_only
        authority = Authority.create(root / "ca", "demo")
        self.voters = {}
        for node in VOTERS:
            authority.issue_node(node, ["127.0.0.1"], root / node / "identity")
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.voters[node] = f"127.0.0.1:{probe.getsockname()[1]}"
        self.settings = settings
        self.running = {}
        self.past = []

    def boot(self, *nodes):
        for node in nodes:
            home = self.root / node
            self.running[node] = Process(
                {
                    "node": node,
                    "voters": self.voters,
                    "data_dir": str(home / "log"),
                    "identity": str(home / "identity"),
                    "settings": self.settings,
                    "counts_only": self.counts_only,
                }
            )
        for node in nodes:
            process = self.running[node]
            process.wait(lambda process=process: process.heard("started"), f"{node} starts")

    def kill(self, *nodes):
        """All at the same moment, as far as this is possible."""
        processes = [self.running.pop(node) for node in nodes]
        for process in processes:
            process.process.send_signal(signal.SIGKILL)
        for process in processes:
            process.kill()
        self.past += processes

    def leader(self):
        """Who leads by the newest news that anybody has told."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            news = [fields for p in self.running.values() for fields in p.heard("leadership")]
            newest = max(news, key=lambda fields: (fields["term"], fields["at"]), default={"leader": None})
            if newest["leader"] in self.running:
                return newest["leader"]
            time.sleep(0.005)
        raise AssertionError("no leader")

    def joined_up(self):
        """Wait until everybody is connected with everybody."""
        for process in self.running.values():
            deadline = time.monotonic() + PATIENCE_S
            while process.ask("status", do="status")["connected"] < len(VOTERS) - 1:
                assert time.monotonic() < deadline, "voters do not find each other"

    def acknowledged(self):
        processes = [*self.past, *self.running.values()]
        return [fields for process in processes for fields in process.heard("acknowledged")]

    def first_acknowledged_after(self, moment):
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            times = [
                fields["at"]
                for process in self.running.values()
                for fields in process.heard("acknowledged")[-2_000:]
                if fields["at"] > moment
            ]
            if times:
                return min(times)
            time.sleep(0.005)
        raise AssertionError("nothing acknowledged any more")

    def settled(self):
        """Everybody's ids, once all say the same."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            dumps = [process.ask("dump", do="dump") for process in self.running.values()]
            if len({dump["applied"] for dump in dumps}) == 1:
                return [dump["ids"] for dump in dumps]
        raise AssertionError("the replicas never agreed")

    def close(self):
        for process in self.running.values():
            process.kill()


@pytest.fixture
def cluster(tmp_path):
    made = []

    def make(**settings):
        made.append(Cluster(tmp_path, **settings))
        made[0].boot(*VOTERS)
        return made[0]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize("relaxed", [False, True], ids=["synced", "relaxed"])
def test_nothing_acknowledged_is_lost_when_leaders_and_then_everybody_are_killed(cluster, relaxed):
    swarm = cluster(compact_entries=1_000, relaxed=relaxed)
    failovers = []
    for process in swarm.running.values():
        process.tell(do="load", window=16, bytes=100)
    for _ in range(3):
        swarm.joined_up()
        leader = swarm.leader()
        process = swarm.running[leader]
        process.wait(lambda process=process: len(process.heard("acknowledged")) > 600, "acknowledgements")
        moment = time.monotonic()
        swarm.kill(leader)
        failovers.append(swarm.first_acknowledged_after(moment) - moment)
        swarm.boot(leader)
        swarm.running[leader].tell(do="load", window=16, bytes=100)
    swarm.first_acknowledged_after(time.monotonic())
    swarm.kill(*VOTERS)
    swarm.boot(*VOTERS)
    swarm.leader()
    ids = swarm.settled()
    acknowledged = [fields["id"] for fields in swarm.acknowledged()]
    print(f"acknowledged {len(acknowledged)}, first acknowledged write after killing the leader: ", end="")
    print(
        ", ".join(f"{1000 * s:.0f} ms" for s in failovers),
        f"(median {1000 * statistics.median(failovers):.0f})",
    )
    assert ids[0] == ids[1] == ids[2]
    assert len(ids[0]) == len(set(ids[0])), "an entry was applied twice"
    assert not set(acknowledged) - set(ids[0]), "acknowledged, and gone"
    assert max(failovers) < 5
    assert all(process.end() == 0 for process in swarm.running.values())
    swarm.running.clear()


def test_entries_near_the_bound_do_not_depose_the_leader(cluster):
    # Patient voters, because the machine may be busy with other tests.
    swarm = cluster(election_ms_min=1_000, election_ms_max=2_000, heartbeat_ms=100)
    leader = swarm.leader()
    process = swarm.running[leader]
    for size in (1 << 20, 8 << 20, 40 << 20):
        told = process.ask("proposed", do="propose", bytes=size)
        print(f"{size >> 20} MiB committed in {1000 * told['took_s']:.0f} ms")
    assert swarm.settled() == [["big", "big", "big"]] * 3
    assert [news["leader"] for news in process.heard("leadership") if news["leader"]] == [leader]
