"""One trial: a cluster, its load, blows for a while, and then the books."""

import asyncio
import random
import time
from contextlib import asynccontextmanager

from swarm.daemons.local import Observer
from tests.faults.load import Load, attempts_begun
from tests.faults.scenarios import SCENARIOS, TAMPERED
from tests.faults.stage import Stage

WATCH_S = 0.1
REST_S = (0.1, 1.0)


async def trial(data_dir, *, scenario, seed, seconds, nodes=3, say=lambda _: None):
    """One scenario again and again on a cluster of its own; the figures of the whole."""
    small_disks, tampered = scenario == "disk-full", scenario in TAMPERED
    async with Stage(data_dir, nodes, small_disks=small_disks, tampered=tampered) as stage:
        figures = await strike(stage, SCENARIOS[scenario], seed=seed, seconds=seconds, say=say)
    return {"scenario": scenario, **figures}


async def strike(stage, *blows, seed, seconds, say=lambda _: None):
    """Blow after blow on a cluster under load, until time is up; what became of the work, in figures.

    Every blow is struck at least once.
    """
    dice = random.Random(seed)
    begun_before = attempts_begun(stage)
    async with Load(stage.profile_path, f"seed{seed}-{time.time_ns()}") as load, watched(stage) as leaders:
        await load.flowing()
        until = time.monotonic() + seconds
        rounds = 0
        while rounds < len(blows) or time.monotonic() < until:
            began = time.monotonic()
            await blows[rounds % len(blows)](stage, load, dice)
            rounds += 1
            say(f"round {rounds}: {time.monotonic() - began:.1f} s, {len(load.acknowledged)} acknowledged")
            await asyncio.sleep(dice.uniform(*REST_S))
        await load.settle()
        await load.look_again()
        begun = attempts_begun(stage) - begun_before
    return {
        "seed": seed,
        "nodes": len(stage.nodes),
        "rounds": rounds,
        "acknowledged": len(load.acknowledged),
        "lost": len(load.lost),
        "duplicated_results": len(load.duplicated),
        "reexecuted": sum(count - 1 for count in begun.values()),
        "failovers": len(leaders) - 1,
        "unavailable_ms": load.unavailable_ms(),
        "details": [f"{run}: {what}" for run, what in [*load.lost, *load.duplicated]][:20],
    }


@asynccontextmanager
async def watched(stage):
    """Every (term, leader) that is seen while the block runs."""
    leaders = []

    async def watch(observer):
        while True:
            for node, answer in (await observer.ask(stage.nodes)).items():
                if answer.leader == node and (answer.term, node) not in leaders:
                    leaders.append((answer.term, node))
            await asyncio.sleep(WATCH_S)

    async with Observer(stage) as observer:
        task = asyncio.create_task(watch(observer))
        try:
            yield leaders
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
