"""What the trained engines ask of a pretrained encoder; none is needed, and none is part of this package."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


class TextEncoder(Protocol):
    """Turns texts into vectors that lie close where meanings do. Pure: the same text, the same vector."""

    @property
    def name(self) -> str:
        """Of the weights: a model that was trained with one encoder is asked with the same."""
        ...

    @property
    def size(self) -> int: ...

    def states(self, texts: Sequence[str]) -> list[Floats]:
        """One row per token of each text."""
        ...

    def vectors(self, texts: Sequence[str]) -> Floats:
        """One row of length 1 per text."""
        ...
