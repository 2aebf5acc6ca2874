"""The same events give the same actions: in another object, in another process, with other hashes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from swarm.scheduler.machine import Scheduler
from swarm.testing.chaos import Chaos, Odds
from swarm.testing.graphs import CAPABILITIES, model_agent, random_graph
from swarm.testing.scheduling import ModelCluster

ROOT = Path(__file__).parents[2]


def played(seed: int) -> ModelCluster:
    """A cluster after a life that depends on the seed alone."""
    dice = Random(seed)
    cluster = ModelCluster(*(model_agent(name, layers=("wasm", "landlock")) for name in CAPABILITIES))
    for name in ("n0", "n1", "n2"):
        cluster.join(name, dice.randint(1, 3), layers=("wasm", "landlock", "seccomp"))
    chaos = Chaos(cluster, dice, Odds(cancel=1))
    for _ in range(3):
        cluster.submit(random_graph(dice, 12))
        chaos.turn(50)
    chaos.settle()
    return cluster


def transcript(cluster: ModelCluster) -> str:
    """Everything every replica asked for, as one hash."""
    asked = repr([replica.actions for replica in cluster.replicas])
    return hashlib.sha256(asked.encode()).hexdigest()


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32))
def test_replaying_the_events_replays_the_actions(seed):
    for replica in played(seed).replicas:
        again = Scheduler()
        assert [repr(again.apply(event)) for event in replica.events] == [repr(a) for a in replica.actions]


def test_a_process_with_other_hashes_acts_the_same():
    seeds = range(25)
    script = f"""
from tests.property.test_scheduler_replay import played, transcript
print(*(transcript(played(seed)) for seed in {list(seeds)}))
"""
    said = [
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hashes},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout.split()
        for hashes in ("1", "4242")
    ]
    here = [transcript(played(seed)) for seed in seeds]
    assert said == [here, here]
