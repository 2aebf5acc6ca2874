"""Per-digit accuracy and the confusion matrix of a classification run."""

import numpy as np

CAPABILITY = "report:per-digit"
DIGITS = 10


class Agent:
    """Stateless. Scores arrive in parts, whose rows together belong to the labels in order."""

    def process_input(self, capability: str, inputs: dict) -> dict:
        if capability != CAPABILITY:
            raise ValueError(f"capability {capability!r} is not offered; ask for {CAPABILITY!r}")
        labels = read_labels(inputs["labels"])
        doubtful = inputs["doubtful"]
        if not isinstance(doubtful, list):
            raise ValueError("doubtful: it is not a list")  # noqa: TRY004 - one kind of error for bad input
        parts = [np.asarray(part).reshape(-1, DIGITS) for part in inputs["scores"]]
        guesses = np.concatenate([part.argmax(axis=1) for part in parts]) if parts else np.empty(0, np.int64)
        if len(guesses) != len(labels):
            raise ValueError(f"scores: {len(guesses)} rows do not match {len(labels)} labels")
        confusion = np.zeros((DIGITS, DIGITS), np.int64)
        np.add.at(confusion, (labels, guesses), 1)
        return {"report": summary(confusion, len(doubtful))}

    def get_metadata(self) -> dict:
        return {"capabilities": [CAPABILITY]}


def read_labels(value: object) -> np.ndarray:
    labels = np.asarray(value)
    if labels.size == 0:
        return np.empty(0, np.int64)
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= DIGITS:
        raise ValueError(f"labels: they are not a list of whole numbers from 0 to {DIGITS - 1}")
    return labels.astype(np.int64)


def summary(confusion: np.ndarray, doubtful_count: int) -> dict:
    """Rows of `confusion` are true digits, columns are guesses. An accuracy over no images is null."""
    count, correct = int(confusion.sum()), int(confusion.trace())
    per_digit = [
        {
            "digit": digit,
            "count": int(row.sum()),
            "correct": int(row[digit]),
            "accuracy": round(int(row[digit]) / int(row.sum()), 6) if row.sum() else None,
        }
        for digit, row in enumerate(confusion)
    ]
    return {
        "accuracy": round(correct / count, 6) if count else None,
        "count": count,
        "per_digit": per_digit,
        "confusion": confusion.tolist(),
        "doubtful_count": doubtful_count,
    }
