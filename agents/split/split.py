"""Cuts rows of images into parts of even length, in order: the first step of a parallel classification."""

import numpy as np

CAPABILITY = "data:split"
PARTS_COUNT_MAX = 1024


class Agent:
    """Stateless: the same input always gives the same parts."""

    def process_input(self, capability: str, inputs: dict) -> dict:
        if capability != CAPABILITY:
            raise ValueError(f"capability {capability!r} is not offered; ask for {CAPABILITY!r}")
        images = inputs["images"]
        parts_count = inputs["parts_count"]
        if (
            not isinstance(parts_count, int)
            or isinstance(parts_count, bool)
            or not 1 <= parts_count <= PARTS_COUNT_MAX
        ):
            raise ValueError(
                f"parts_count: {parts_count!r} is not a whole number from 1 to {PARTS_COUNT_MAX}"
            )
        if images.ndim != 2:
            raise ValueError(f"images: shape {images.shape} is not [rows, values]")
        return {"parts": [np.ascontiguousarray(part) for part in np.array_split(images, parts_count)]}

    def get_metadata(self) -> dict:
        return {"capabilities": [CAPABILITY], "parts_count_max": PARTS_COUNT_MAX}
