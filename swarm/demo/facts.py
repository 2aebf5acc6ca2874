"""What the demo found out: from the run's result, from the log, and from the nodes' journals."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from swarm.errors import ProtocolBroken
from swarm.ids import NodeId, RunId

ACCURACY_MIN: Final = 0.96
JOURNAL_FILE: Final = "journal.jsonl"


@dataclass(frozen=True, slots=True)
class DigitScore:
    """How one digit was recognised."""

    digit: int
    count: int
    correct: int


@dataclass(frozen=True, slots=True)
class Doubt:
    """An image the classifier was not sure of."""

    index: int
    label: int
    guess: int
    confidence: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What the task itself found."""

    accuracy: float
    images: int
    digits: tuple[DigitScore, ...]
    doubts: tuple[Doubt, ...]

    @classmethod
    def read(cls, outputs: Mapping[str, Any], labels: Iterable[int]) -> Self:
        """From the values of the graph's outlets."""
        truth = [int(label) for label in labels]
        try:
            report, doubtful = outputs["report"], outputs["doubtful"]
            return cls(
                accuracy=float(report["accuracy"]),
                images=int(report["count"]),
                digits=tuple(
                    DigitScore(int(row["digit"]), int(row["count"]), int(row["correct"]))
                    for row in report["per_digit"]
                ),
                doubts=tuple(
                    Doubt(
                        int(row["index"]),
                        truth[int(row["index"])],
                        int(row["guess"]),
                        float(row["confidence"]),
                    )
                    for row in doubtful
                ),
            )
        except (KeyError, TypeError, IndexError) as error:
            raise ProtocolBroken(
                f"the report is not what the demo expects: {error!r}", place="report"
            ) from error


@dataclass(frozen=True, slots=True)
class Failover:
    """The leader's end and what followed; times in seconds from the kill."""

    killed: NodeId
    at_step: int
    leader: NodeId | None
    accepting_s: float | None
    recorded_s: float | None


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything the demo reports."""

    run: RunId
    answer: Answer
    steps: int
    lost: int
    reexecuted: int
    steps_by_node: Mapping[NodeId, int]
    failover: Failover | None
    run_s: float
    wall_s: float

    @property
    def passed(self) -> bool:
        """Accurate, nothing lost, and the leader really was killed while the task ran."""
        return (
            self.answer.accuracy >= ACCURACY_MIN
            and self.lost == 0
            and self.failover is not None
            and self.failover.leader is not None
        )

    def document(self) -> dict[str, object]:
        """The facts as one JSON object."""
        failover = self.failover
        return {
            "accuracy": self.answer.accuracy,
            "steps": self.steps,
            "lost": self.lost,
            "reexecuted": self.reexecuted,
            "failover_s": _rounded(failover.accepting_s if failover else None),
            "nodes": dict(self.steps_by_node),
            "wall_s": _rounded(self.wall_s),
            "run": self.run,
            "run_s": _rounded(self.run_s),
            "killed": failover is not None,
            "killed_node": failover.killed if failover else None,
            "killed_at_step": failover.at_step if failover else None,
            "new_leader": failover.leader if failover else None,
            "resumed_s": _rounded(failover.recorded_s if failover else None),
            "images": self.answer.images,
            "per_digit": [
                {"digit": row.digit, "count": row.count, "correct": row.correct} for row in self.answer.digits
            ],
            "doubtful": [
                {"index": d.index, "label": d.label, "guess": d.guess, "confidence": d.confidence}
                for d in self.answer.doubts
            ],
            "passed": self.passed,
        }


def times_run_again(run: RunId, node_data: Iterable[Path]) -> int:
    """How often a step of the run was started once more, by the journals of all nodes, the dead one's too."""
    started: Counter[int] = Counter()
    for directory in node_data:
        for path in sorted(directory.glob(f"{JOURNAL_FILE}*")):
            with path.open() as lines:
                for line in lines:
                    if not line.endswith("\n"):
                        break  # cut off by the kill: these attempts never began
                    entry = json.loads(line)
                    if entry["run"] == run:
                        started.update(entry["steps"])
    return sum(times - 1 for times in started.values())


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
