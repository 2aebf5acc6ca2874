"""A cluster of Raft replicas on one thread, with a clock, a network and disks made of a seed.

Links are like TCP: in order, nothing lost while they last; cutting one loses what is under way. A disk
keeps what was synced and, at a power cut, any part of what was not. Replicas crash before a sync, after
it, and half way through sending. `World.run` raises `Violation` as soon as something happens that must
never happen.
"""

import argparse
import contextlib
import heapq
import logging
import random
import sys
import tempfile
import zlib
from collections import Counter, defaultdict, deque
from functools import partial
from pathlib import Path

import pysyncobj.syncobj as library
from pysyncobj.node import Node

from swarm.errors import Bug
from swarm.ports import Voters
from tests.simulation.raft_disk import PerfectDisk, SimulatedDisk
from tests.simulation.raft_replicas import Crashed, OurReplica, StockReplica, Violation

PASS_S = (0.001, 0.02)
DELAY_S = (0.0005, 0.004)
SLOW_DELAY_S = (0.01, 0.08)
SETTLE_S = 15
NEVER = float("inf")


class World:
    """One run from one seed."""

    def __init__(
        self,
        seed,
        *,
        replica=OurReplica,
        disk=SimulatedDisk,
        count=3,
        voters=None,
        faults=("crash", "pause", "cut"),
    ):
        self.seed, self.count, self.faults = seed, count, faults
        self.voters = voters or count
        self.started = set(range(self.voters))  # the others run from when they are asked in
        self.newcomers = set()
        self.removed = set()
        self.incarnations = {}
        self.chance = random.Random(seed)
        self.now = 0.0
        self.make_replica = replica
        self.make_disk = disk
        self.disks = [disk() for _ in range(count)]
        self.replicas = [None] * count
        self.paused_until = [0.0] * count
        self.links = defaultdict(deque)
        self.link_times = {}
        self.epochs = Counter()
        self.cuts = set()
        self.events = []
        self.event_count = 0
        self.by_index = {}
        self.acks = {}
        self.moments = {}  # of each entry: when it was proposed, and when it was acknowledged
        self.leaders = {}
        self.stats = Counter()
        self.proposed = 0
        self.healing = False

    def founders(self, number):
        """Who takes part at first; others only learn until they are asked in."""
        names = [str(other) for other in range(self.voters)]
        if number < self.voters and number not in self.newcomers:
            return Voters(0, dict.fromkeys(names, ""), {})
        return Voters(0, {name: "" for name in names if name != str(number)}, {str(number): ""})

    # -- what replicas tell ------------------------------------------------------------------

    def applied(self, number, index, data):
        known = self.by_index.setdefault(index, data)
        if known != data:
            raise Violation(f"entry {index} is {data!r} on {number} and {known!r} elsewhere")

    def acknowledged(self, data, term):
        self.acks[data.decode()] = term
        self.moments[data][1] = self.event_count

    def changed(self, change):
        """A change of voters is committed. Who was removed may run on, or come back with nothing."""
        self.stats["changes"] += 1
        number = int(change.node)
        if change.address is not None and number in self.removed:
            raise Violation(f"{number} was removed and takes part again")
        if change.address is None:
            self.removed.add(number)
            if self.chance.random() < 0.5:
                self.later(0.0, "wipe", number)

    def send(self, sender, receiver, message):
        if self.replicas[receiver] is None or receiver not in self.replicas[sender].connected:
            return
        link = (sender, receiver)
        self.links[link].append(message)
        slow = self.chance.random() < 0.05
        delay = self.chance.uniform(*(SLOW_DELAY_S if slow else DELAY_S))
        at = max(self.link_times.get(link, 0), self.now + delay)
        self.link_times[link] = at
        self.later(at - self.now, "deliver", *link, self.epochs[link])

    def later(self, delay, *event):
        self.event_count += 1
        heapq.heappush(self.events, (self.now + delay, self.event_count, event))

    # -- the run -----------------------------------------------------------------------------

    def run(self, duration_s=15.0):
        with self._patched(), tempfile.TemporaryDirectory(dir=_fast_folder()) as folder:
            self.folders = [Path(folder) / str(number) for number in range(self.count)]
            for number in range(self.count):
                self.folders[number].mkdir()
            for number in sorted(self.started):
                self._boot(number)
            self.later(0.5, "propose")
            self.later(self.chance.uniform(0.5, 2), "fault")
            self._until(duration_s)
            self._heal()
            self._until(duration_s + SETTLE_S)
            self._check_end()
            for number in self.started:
                self.replicas[number].crash(self.chance)
        return self.stats

    @contextlib.contextmanager
    def _patched(self):
        saved = library.monotonicTime, library.random, Node.__hash__
        library.monotonicTime, library.random = (lambda: self.now), random.Random(self.seed + 1)
        # The library keeps nodes in sets: their order must not depend on Python's hash seed.
        Node.__hash__ = lambda node: zlib.crc32(node.id.encode())
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            library.monotonicTime, library.random, Node.__hash__ = saved
            logging.disable(logging.NOTSET)

    def _until(self, end):
        while self.events and self.events[0][0] <= end:
            at, _, (kind, *args) = heapq.heappop(self.events)
            self.now = max(at, self.now)
            getattr(self, f"_on_{kind}")(*args)

    def _guard(self, number, action):
        replica = self.replicas[number]
        try:
            action()
        except Crashed:
            self._kill(number)
        except (Bug, AssertionError) as error:
            raise Violation(f"{number} stops: {error}") from error
        if self.replicas[number] is replica and replica.leads:
            self._check_leader(number, replica)

    def _check_leader(self, number, replica):
        known = self.leaders.setdefault(replica.term, number)
        if known != number:
            raise Violation(f"{known} and {number} both lead in term {replica.term}")
        if (replica.term, number) in self.stats:
            return
        self.stats[replica.term, number] = 1
        held = replica.holds()
        lost = [data for data, term in self.acks.items() if term < replica.term and data not in held]
        if lost:
            raise Violation(
                f"the leader of term {replica.term} lacks {len(lost)} acknowledged, e.g. {lost[0]}"
            )

    def _on_work(self, number, identity):
        replica = self.replicas[number]
        if replica is None or id(replica) != identity:
            return
        if self.paused_until[number] > self.now:
            self.later(self.paused_until[number] - self.now, "work", number, identity)
            return
        self._guard(number, replica.work)
        self.later(self.chance.uniform(*PASS_S), "work", number, identity)

    def _on_deliver(self, sender, receiver, epoch):
        link = (sender, receiver)
        if self.epochs[link] != epoch or not self.links[link] or self.replicas[receiver] is None:
            return
        if self.paused_until[receiver] > self.now:
            self.later(self.paused_until[receiver] - self.now, "deliver", sender, receiver, epoch)
            return
        message = self.links[link].popleft()
        self._guard(receiver, lambda: self.replicas[receiver].deliver(sender, message))

    def _on_call(self, number, identity, action):
        if self.replicas[number] is not None and id(self.replicas[number]) == identity:
            self._guard(number, action)

    def _on_propose(self):
        leaders = [replica for replica in self.replicas if replica is not None and replica.leads]
        if leaders:
            replica = self.chance.choice(leaders)
            for _ in range(self.chance.choice((1, 1, 1, 5, 20))):
                self.proposed += 1
                padding = "." * self.chance.choice((0, 10, 60))
                data = f"c{self.proposed:06d}{padding}".encode()
                self.moments[data] = [self.event_count, NEVER]
                replica.propose(data)
        if not self.healing:
            self.later(self.chance.expovariate(60), "propose")

    # -- faults ------------------------------------------------------------------------------

    def _on_fault(self):
        if self.healing:
            return
        kind = self.chance.choice(self.faults)
        up = [number for number in range(self.count) if self.replicas[number] is not None]
        started = len(self.started)
        if kind == "crash" and started - len(up) < (started - 1) // 2:
            leading = [number for number in up if self.replicas[number].leads]
            victim = self.chance.choice(leading if leading and self.chance.random() < 0.6 else up)
            if self.chance.random() < 0.6:
                self.replicas[victim].budget = self.chance.randint(0, 6)
                self.later(0.3, "call", victim, id(self.replicas[victim]), _crash)
            else:
                self._kill(victim)
        elif kind == "change":
            self._change()
        elif kind == "crash all":
            for number in up:
                self._kill(number)
        elif kind == "pause" and up:
            self.paused_until[self.chance.choice(up)] = self.now + self.chance.uniform(0.1, 2)
        elif kind == "cut":
            pair = tuple(sorted(self.chance.sample(sorted(self.started), 2)))
            self.cuts.add(pair)
            self._disconnect(*pair, gone=False)
            self.later(self.chance.uniform(0.2, 3), "mend", pair)
        self.later(self.chance.uniform(0.2, 2), "fault")

    def _change(self):
        leading = [replica for replica in self.replicas if replica is not None and replica.leads]
        if leading:
            leader = max(leading, key=lambda replica: replica.term)
            inside = leader.roll()
            outside = {str(number) for number in range(self.count)} - inside
            if self.chance.random() < 0.7:  # otherwise somebody who was removed may be asked in, in vain
                outside -= {str(number) for number in self.removed}
            add = outside and (len(inside) < 3 or self.chance.random() < 0.6)
            node = self.chance.choice(sorted(outside if add else inside))
            if int(node) not in self.started:
                self.started.add(int(node))
                self._boot(int(node))
            leader.change(node, "" if add else None)

    def _on_wipe(self, number):
        leading = [replica for replica in self.replicas if replica is not None and replica.leads]
        inside = any(str(number) in replica.roll() for replica in leading)
        if self.replicas[number] is not None and not inside:
            self._kill(number)
            self.disks[number] = self.make_disk()
            self.folders[number] = self.folders[number].with_name(f"{number}-{self.event_count}")
            self.folders[number].mkdir()
            self.newcomers.add(number)
            self.stats["wiped"] += 1

    def _on_mend(self, pair):
        self.cuts.discard(pair)
        self._connect(*pair)

    def _on_boot(self, number):
        if self.replicas[number] is None:
            self._boot(number)

    def _on_reconnect(self, one, other):
        self._connect(one, other)

    def _boot(self, number):
        self.replicas[number] = self.make_replica(self, number, self.disks[number], self.folders[number])
        self.later(self.chance.uniform(*PASS_S), "work", number, id(self.replicas[number]))
        for other in range(self.count):
            if other != number:
                self._connect(number, other)

    def _connect(self, one, other):
        first, second = self.replicas[one], self.replicas[other]
        pair = (min(one, other), max(one, other))
        if first is None or second is None or pair in self.cuts or other in first.connected:
            return
        for sender, receiver in ((one, other), (other, one)):
            self.links[sender, receiver].clear()
            self.epochs[sender, receiver] += 1
            self.replicas[sender].connect(receiver)

    def _disconnect(self, one, other, *, gone):
        for sender, receiver in ((one, other), (other, one)):
            self.links[sender, receiver].clear()
            self.epochs[sender, receiver] += 1
            replica = self.replicas[sender]
            if replica is not None and receiver in replica.connected:
                replica.disconnect(receiver, gone)

    def _kill(self, number):
        replica, self.replicas[number] = self.replicas[number], None
        self.stats["kills"] += 1
        replica.crash(self.chance)
        self.disks[number].lose_power(self.chance)
        for other in range(self.count):
            if other == number:
                continue
            # The kernel may still deliver some of what was already sent.
            kept = list(self.links[number, other])[: self.chance.randint(0, len(self.links[number, other]))]
            if self.replicas[other] is not None:
                for message in kept:
                    self._guard(other, lambda o=other, m=message: self.replicas[o].deliver(number, m))
            self._disconnect(number, other, gone=True)
        self.later(self.chance.uniform(0.05, 2.5), "boot", number)

    # -- the end -----------------------------------------------------------------------------

    def _heal(self):
        self.healing = True
        self.cuts.clear()
        self.paused_until = [0.0] * self.count
        for number in sorted(self.started):
            if self.replicas[number] is None:
                self._boot(number)
            self.replicas[number].budget = None
        for one in range(self.count):
            for other in range(one):
                self._connect(one, other)

    def _check_end(self):
        leaders = [replica.number for replica in self.replicas if replica is not None and replica.leads]
        inside = self.replicas[leaders[0]].roll() if leaders else set()
        applied = {
            replica.last_applied()
            for replica in self.replicas
            if replica is not None and str(replica.number) in inside
        }
        if len(leaders) != 1 or len(applied) != 1:
            raise Violation(f"no agreement after all faults ended: leaders {leaders}, applied {applied}")
        known = {data.decode() for data in self.by_index.values()}
        lost = [data for data in self.acks if data not in known]
        if lost:
            raise Violation(f"{len(lost)} acknowledged and never applied, e.g. {lost[0]}")
        self._check_order()
        self.stats["acknowledged"] = len(self.acks)

    def _check_order(self):
        """The log is linearizable: every entry is there once, and after all that were acknowledged before."""
        order = [data for _, data in sorted(self.by_index.items()) if data in self.moments]
        if len(order) != len(set(order)):
            raise Violation("an entry is in the log twice")
        soonest = NEVER
        for data in reversed(order):
            proposed, acknowledged = self.moments[data]
            if soonest < proposed:
                raise Violation(f"{data!r} was proposed after the acknowledgement of one that follows it")
            soonest = min(soonest, acknowledged)


def _crash():
    raise Crashed


def _main():
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.raft_world")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--world", choices=WORLDS, default="three")
    options = parser.parse_args()
    failed, total = 0, Counter()
    for seed in range(options.start, options.start + options.seeds):
        try:
            stats = WORLDS[options.world](seed).run()
            total.update({name: count for name, count in stats.items() if isinstance(name, str)})
        except Violation as violation:
            failed += 1
            replay = f"python -m tests.simulation.raft_world --world {options.world} --start {seed} --seeds 1"
            print(f"seed {seed}: {violation}\n  replay: {replay}")
    print(f"{options.world}: {failed} of {options.seeds} seeds fail; {dict(total)}")
    return 1 if failed else 0


def _fast_folder():
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


WORLDS = {
    "three": World,
    "five": partial(World, count=5),
    "power": partial(World, faults=("crash", "pause", "cut", "crash all")),
    "changes": partial(World, count=9, voters=3, faults=("crash", "pause", "cut", "change", "change")),
    "forgetful": partial(
        World, disk=partial(SimulatedDisk, forgets=True), faults=("crash", "pause", "cut", "crash all")
    ),
    "stock": partial(World, replica=StockReplica, disk=PerfectDisk),
}

if __name__ == "__main__":
    sys.exit(_main())
