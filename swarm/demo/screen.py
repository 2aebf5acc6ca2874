"""The demo on a terminal: what happens while it happens, and the report."""

from __future__ import annotations

from collections import Counter
from types import TracebackType
from typing import Final, Self

from rich.columns import Columns
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from swarm.demo.facts import ACCURACY_MIN, Doubt, Facts, Failover
from swarm.demo.material import Examples, drawing
from swarm.ids import NodeId

DRAWN_MAX: Final = 12
BAR_CHARS: Final = 30


class Screen:
    """Shows the job as it goes on; a context manager that holds the live part of the terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        columns = (TextColumn("{task.description:<24}"), BarColumn(BAR_CHARS), MofNCompleteColumn())
        self._progress = Progress(*columns, TimeElapsedColumn(), console=console)
        self._all: TaskID | None = None
        self._nodes: dict[NodeId, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def stage(self, text: str) -> None:
        self._console.print(Text(f"· {text}", style="dim"))

    def step(self, done: int, total: int, by_node: Counter[NodeId]) -> None:
        if self._all is None:
            self._all = self._progress.add_task("steps recorded", total=total)
        self._progress.update(self._all, completed=done)
        for node in sorted(by_node):
            if node not in self._nodes:
                self._nodes[node] = self._progress.add_task(f"  on {node}", total=total)
            self._progress.update(self._nodes[node], completed=by_node[node])

    def killed(self, node: NodeId, done: int, total: int) -> None:
        self._console.print(Text(f"✗ kill -9 {node}, the leader, after {done} of {total} steps", "bold red"))

    def elected(self, node: NodeId, after_s: float) -> None:
        self._console.print(Text(f"✓ {node} leads {after_s:.2f} s later", "bold green"))


def show_facts(console: Console, facts: Facts) -> None:
    """The report."""
    console.print()
    console.print(_digits_table(facts))
    if facts.answer.doubts:
        _show_doubts(console, facts.answer.doubts)
    console.print(_facts_table(facts))
    if not facts.passed:
        console.print(Text(f"\nfailed: {'; '.join(shortfalls(facts))}", "bold red"))


def shortfalls(facts: Facts) -> list[str]:
    """Why the job does not count as done."""
    found = []
    if facts.answer.accuracy < ACCURACY_MIN:
        found.append(f"accuracy {facts.answer.accuracy:.4f} is below {ACCURACY_MIN}")
    if facts.lost:
        found.append(f"{facts.lost} steps were lost")
    if facts.failover is None:
        found.append("the task was over before the leader could be killed")
    elif facts.failover.leader is None:
        found.append("no new leader was seen")
    return found


def _digits_table(facts: Facts) -> Table:
    table = Table(title="Accuracy per digit", title_justify="left", box=None, header_style="bold")
    for column in ("digit", "images", "correct", "accuracy"):
        table.add_column(column, justify="right")
    for row in facts.answer.digits:
        share = row.correct / row.count if row.count else 0.0
        table.add_row(str(row.digit), str(row.count), str(row.correct), f"{share:7.2%}")
    correct = sum(row.correct for row in facts.answer.digits)
    table.add_row(
        "all", str(facts.answer.images), str(correct), f"{facts.answer.accuracy:7.2%}", style="bold"
    )
    return table


def _show_doubts(console: Console, doubts: tuple[Doubt, ...]) -> None:
    examples = Examples.load()
    console.print(Text(f"\nDoubtful images ({len(doubts)} below the threshold)", "bold"))
    pictures = [
        Text("\n".join([*drawing(examples.images[doubt.index]), *_caption(doubt)]))
        for doubt in doubts[:DRAWN_MAX]
    ]
    console.print(Columns(pictures, padding=(1, 3)))
    if len(doubts) > DRAWN_MAX:
        console.print(f"... and {len(doubts) - DRAWN_MAX} more")


def _caption(doubt: Doubt) -> list[str]:
    verdict = "right" if doubt.guess == doubt.label else "wrong"
    return [f"#{doubt.index} is a {doubt.label}", f"guess {doubt.guess} ({doubt.confidence:.2f}) {verdict}"]


def _facts_table(facts: Facts) -> Table:
    table = Table(title="\nThe run", title_justify="left", box=None, show_header=False)
    table.add_column(style="bold")
    table.add_column()
    where = ", ".join(f"{node} {count}" for node, count in facts.steps_by_node.items())
    table.add_row("steps", f"{facts.steps}: {where}")
    table.add_row("lost", str(facts.lost))
    table.add_row("started again", f"{facts.reexecuted} (in flight when the leader died; recorded once each)")
    if (failover := facts.failover) is not None:
        table.add_row("leader killed", f"{failover.killed}, after {failover.at_step} recorded steps")
        table.add_row("new leader", _failover_line(failover))
    table.add_row("task", f"{facts.run_s:.2f} s")
    table.add_row("everything", f"{facts.wall_s:.2f} s, with starting the nodes and deploying the agents")
    return table


def _failover_line(failover: Failover) -> str:
    if failover.leader is None or failover.accepting_s is None:
        return "none was seen"
    recorded = (
        "" if failover.recorded_s is None else f", first step recorded after {failover.recorded_s:.2f} s"
    )
    return f"{failover.leader} accepts work {failover.accepting_s:.2f} s after the kill{recorded}"
