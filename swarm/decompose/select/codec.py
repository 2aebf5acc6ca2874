"""What a selector has learnt, as bytes and back, so that it goes on where an earlier process stopped."""

from __future__ import annotations

from typing import Final

from swarm.decompose.learn.arrays import BROKEN, Arrays, pack, refused, unpack
from swarm.decompose.select.selector import StrategySelector

MAGIC: Final = b"SWSE1\0\0\0"


def encode_selector(selector: StrategySelector) -> bytes:
    """The selector as bytes; raises TooLarge."""
    head, arrays = selector.remembered()
    kept: Arrays = dict(arrays)
    return pack(MAGIC, head, kept)


def recall_selector(selector: StrategySelector, data: bytes) -> None:
    """Lets a fresh selector go on from `data`; raises Mistake where that is something else."""
    try:
        selector.recall(*unpack(MAGIC, data))
    except BROKEN as error:
        raise refused(error) from None
