"""What the demo works with: the built-in agents, and images no agent has seen in training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

import swarm
from swarm.errors import NotFound

AGENTS: Final = ("split", "digits", "doubtful", "report")
IMAGE_SIDE: Final = 8
INK_MAX: Final = 16
GREYS: Final = " .:-=+*#%@"

_PACKAGE = Path(swarm.__file__).resolve().parent
_PLACES: Final = (_PACKAGE / "_agents", _PACKAGE.parent / "agents")  # in a wheel, in the source tree


@dataclass(frozen=True, slots=True)
class Examples:
    """Held-out images, one per row, and the digits they show."""

    images: npt.NDArray[Any]
    labels: npt.NDArray[Any]

    @classmethod
    def load(cls) -> Examples:
        with np.load(_found("digits", "examples.npz"), allow_pickle=False) as arrays:
            return cls(arrays["images"].astype(np.float32), arrays["labels"].astype(np.int64))


def agent_file(name: str) -> Path:
    """A built-in agent's file."""
    return _found(name, f"{name}.af")


def drawing(image: npt.NDArray[Any]) -> list[str]:
    """An image as text, a line per row, two characters per pixel because characters are tall."""
    shades = np.rint(np.clip(image, 0, INK_MAX) * (len(GREYS) - 1) / INK_MAX).astype(int)
    return ["".join(GREYS[shade] * 2 for shade in row) for row in shades.reshape(IMAGE_SIDE, IMAGE_SIDE)]


def _found(*parts: str) -> Path:
    for place in _PLACES:
        path = place.joinpath(*parts)
        if path.exists():
            return path
    raise NotFound(
        f"the built-in file {'/'.join(parts)} is missing",
        place=" or ".join(map(str, _PLACES)),
        remedy="reinstall neural-swarm, or run from a complete source tree",
    )
