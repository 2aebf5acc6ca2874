"""What can happen to a cluster of real daemons. Each scenario is one blow and the recovery from it."""

import asyncio

PAUSE_S = (2.0, 5.0)
LONG_PAUSE_S = 30.0
PARTITION_S = (2.0, 5.0)
FULL_S = 3.0
JUMP_S = 3600
SLOW_S = 4.0
SLOW_SYNC_S = 0.25
ENDS_S_MAX = 60.0
DELAY_S = 0.1  # one way; with it a heartbeat still arrives well within an election


async def kill_leader(stage, load, dice):
    await _kill(stage, load, await stage.leader())


async def kill_worker(stage, load, dice):
    leader = await stage.leader()
    await _kill(stage, load, dice.choice([node for node in stage.running() if node != leader]))


async def _kill(stage, load, node):
    stage.kill(node)
    await load.flowing()
    stage.restart(node)
    await stage.ready()


async def kill_all(stage, load, dice):
    for node in stage.running():
        stage.kill(node)
    for node in stage.nodes:
        stage.restart(node)
    await stage.ready()
    await load.flowing()


async def pause(stage, load, dice):
    """Stopped, not dead: connections stand, and it wakes up in another world."""
    node = dice.choice([await stage.leader(), *stage.running()])
    stage.pause(node)
    await asyncio.sleep(dice.uniform(*PAUSE_S))
    stage.resume(node)
    await stage.ready()
    await load.flowing()


async def long_pause(stage, load, dice):
    """Stopped for so long that everybody has gone on without it."""
    node = dice.choice([await stage.leader(), *stage.running()])
    stage.pause(node)
    await asyncio.sleep(LONG_PAUSE_S)
    await load.flowing()
    stage.resume(node)
    await stage.ready()
    await load.flowing()


async def partition(stage, load, dice):
    """One node hears nobody, is heard by nobody, or both; half the time it is the leader."""
    leader = await stage.leader()
    node = leader if dice.random() < 0.5 else dice.choice(stage.nodes)
    deaf, mute = dice.choice([(True, True), (True, False), (False, True)])
    for other in stage.nodes:
        if deaf and other != node:
            stage.wires.hold(other, node)
        if mute and other != node:
            stage.wires.hold(node, other)
    await asyncio.sleep(dice.uniform(*PARTITION_S))
    stage.wires.release()
    await stage.ready()
    await load.flowing()


async def slow_network(stage, load, dice):
    """Everything between daemons takes its time, and the leader stays in office."""
    stage.wires.delay_s = DELAY_S
    await asyncio.sleep(SLOW_S)
    await load.flowing()
    stage.wires.delay_s = 0.0
    await stage.ready()


async def disk_full(stage, load, dice):
    """A node without room on its disk stops by itself, or goes on; with room it works again."""
    node = dice.choice([await stage.leader(), *stage.running()])
    stage.fill_disk(node)
    await asyncio.sleep(FULL_S)
    await load.flowing()
    stage.empty_disk(node)
    if node not in stage.running():
        stage.restart(node)
    await stage.ready()


async def disk_read_only(stage, load, dice):
    """A node that can write no more stops at once and says so; writable again, it works again."""
    node = dice.choice([await stage.leader(), *stage.running()])
    stage.set_disk(node, "readonly")
    await load.flowing()
    async with asyncio.timeout(ENDS_S_MAX):
        while node in stage.running():
            await load.flowing()
    if "the replicated log cannot go on" not in (said := stage.log_path(node).read_text()[-20_000:]):
        raise AssertionError(f"{node} ended and did not say that its disk failed: {said[-1_000:]}")
    stage.set_disk(node, "")
    stage.restart(node)
    await stage.ready()


async def slow_disk(stage, load, dice):
    """One node's disk takes its time for every sync; half the time it is the leader's."""
    node = dice.choice([await stage.leader(), dice.choice(stage.nodes)])
    stage.set_disk(node, str(SLOW_SYNC_S))
    await asyncio.sleep(SLOW_S)
    await load.flowing()
    stage.set_disk(node, "")
    await stage.ready()


async def clock(stage, load, dice):
    """The time of day jumps an hour ahead, back, and home."""
    for offset_s in (JUMP_S, -JUMP_S, 0):
        stage.set_calendar(offset_s)
        await load.flowing()


async def drain(stage, load, dice):
    """A rolling restart: every node is told to end, finishes what it has, and comes back."""
    for node in stage.nodes:
        code = await asyncio.to_thread(stage.terminate, node)
        if code != 0:
            raise AssertionError(f"{node} ended with exit code {code}, see {stage.log_path(node)}")
        stage.restart(node)
        await stage.ready()


async def mixed(stage, load, dice):
    await dice.choice([kill_leader, kill_worker, kill_all, pause, partition, slow_network, drain])(
        stage, load, dice
    )


SCENARIOS = {
    "kill-leader": kill_leader,
    "kill-worker": kill_worker,
    "kill-all": kill_all,
    "pause": pause,
    "long-pause": long_pause,
    "partition": partition,
    "slow-network": slow_network,
    "disk-full": disk_full,
    "disk-read-only": disk_read_only,
    "slow-disk": slow_disk,
    "clock": clock,
    "drain": drain,
    "mixed": mixed,
}

TAMPERED = frozenset({"clock", "disk-read-only", "slow-disk"})  # these need daemons that are tampered with
