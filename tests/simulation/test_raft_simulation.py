"""The Raft core under crashes, power cuts, pauses and cut links: a few seeds here, thousands by hand.

    python -m tests.simulation.raft_world --seeds 1000 [--start N] [--world NAME]

A failing seed names the command that replays it.
"""

from dataclasses import replace

import pytest

from swarm.adapters.raft.membership import Membership
from tests.simulation.raft_replicas import Violation
from tests.simulation.raft_world import WORLDS

SEEDS = {"three": 3, "five": 1, "power": 3, "changes": 2}
FORGETFUL_SEED = 4  # four of five are noticed; which ones changes whenever the core does
LET_IN_AGAIN_SEEDS = range(9, 49)  # about every tenth is noticed
STOCK_SEED = 3


@pytest.mark.parametrize(
    ("world", "seed"),
    [(world, seed) for world, seeds in SEEDS.items() for seed in range(seeds)],
)
def test_nothing_acknowledged_is_lost_and_no_two_replicas_differ(world, seed):
    stats = WORLDS[world](seed).run()
    assert stats["acknowledged"] > 500
    assert stats["kills"] or stats["changes"]


def test_a_disk_that_forgets_what_it_synced_is_noticed():
    """The checks have teeth: the same code on disks that lie about a sync loses acknowledged entries."""
    with pytest.raises(Violation, match=r"lacks \d+ acknowledged"):
        WORLDS["forgetful"](FORGETFUL_SEED).run()


def test_the_stock_class_fails_in_the_same_world_on_a_perfect_disk():
    with pytest.raises(Violation, match=r"lacks \d+ acknowledged"):
        WORLDS["stock"](STOCK_SEED).run()


def test_a_removed_name_that_is_let_in_again_is_noticed(monkeypatch):
    """The same code that forgets whom it removed."""
    removal = Membership._without

    def forgetting(self, node):
        return replace(removal(self, node), removed=frozenset())

    monkeypatch.setattr(Membership, "_without", forgetting)

    def look():
        for seed in LET_IN_AGAIN_SEEDS:
            WORLDS["changes"](seed).run()

    with pytest.raises(Violation, match="was removed and takes part again"):
        look()
