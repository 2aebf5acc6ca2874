"""Finds the images whose best score is low: those a person should look at."""

import numpy as np

CAPABILITY = "vision:doubtful"
THRESHOLD_DEFAULT = 0.6


class Agent:
    """Stateless. Indices count images across all parts, in the order the parts arrive."""

    def process_input(self, capability: str, inputs: dict) -> dict:
        if capability != CAPABILITY:
            raise ValueError(f"capability {capability!r} is not offered; ask for {CAPABILITY!r}")
        threshold = inputs.get("threshold", THRESHOLD_DEFAULT)
        if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 <= threshold <= 1:
            raise ValueError(f"threshold: {threshold!r} is not a number from 0 to 1")
        if not inputs["scores"]:
            return {"doubtful": []}
        scores = np.concatenate(inputs["scores"]).astype(np.float64)
        if scores.ndim != 2 or scores.shape[1] < 2:
            raise ValueError(f"scores: shape {scores.shape} is not [images, at least two classes]")
        # A stable sort breaks ties towards the lower class, as argmax does.
        best_first = np.argsort(-scores, axis=1, kind="stable")
        entries = []
        for index in np.flatnonzero(scores.max(axis=1, initial=0) < threshold):
            guess, runner_up = best_first[index, :2]
            confidence = scores[index, guess]
            entries.append(
                {
                    "index": int(index),
                    "guess": int(guess),
                    "confidence": round(float(confidence), 6),
                    "runner_up": int(runner_up),
                    "margin": round(float(confidence - scores[index, runner_up]), 6),
                }
            )
        return {"doubtful": entries}

    def get_metadata(self) -> dict:
        return {"capabilities": [CAPABILITY], "threshold_default": THRESHOLD_DEFAULT}
