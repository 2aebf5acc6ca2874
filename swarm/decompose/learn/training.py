"""Trains the stacked model: every stage learns from answers of the stage below on requests it had not seen.

Requests are dealt into folds by group, so a rephrasing never stands on both sides. For each fold the
first stage is trained on the others; its evidence on the fold is what the trees learn from, and their
own answers across the same folds set the thresholds. What is kept at the end is trained on everything.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from swarm.decompose.encoder.port import TextEncoder
from swarm.decompose.learn.blending import Opinion, Second, Unseen, fit_second
from swarm.decompose.learn.calibration import Calibration, fit_calibration
from swarm.decompose.learn.decode import Taste, choose_links
from swarm.decompose.learn.evidence import Base, Evidence, fit_base
from swarm.decompose.learn.features import Array, Kinds, kinds_of_catalogue, node_rows, second_rows
from swarm.decompose.learn.forest import Forest, constant, fit_forest, mean_of
from swarm.decompose.learn.links import link_rows
from swarm.decompose.learn.model import StackedModel, candidates, pick, raw_confidence
from swarm.decompose.learn.rewording import group_of, in_other_words
from swarm.decompose.records import Capability, Example

FOLDS: Final = 5
HEARD_SHIFT: Final = 4096  # other bits of the hash than those that deal folds and hold examples back
HEARD_AGAIN: Final = 2  # one reworded request in so many is an example for the trees as well
CANDIDATES_TRAINED: Final = 24
LEASTS: Final = (0.3, 0.35, 0.4, 0.45, 0.5, 0.55)
SHIFTS: Final = (0.0, -0.05, 0.05, 0.1)
COMPANIES: Final = (0.0, 0.5, 1.0, 2.0)
CUSTOMS: Final = (0.0, 0.1, 0.2, 0.4)
THRESHOLDS: Final = tuple(round(0.15 + 0.025 * step, 3) for step in range(23))

Progress = Callable[[str], None]


@dataclass(slots=True)
class _Case:
    """One example on its way through the stages."""

    example: Example
    fold: int
    evidence: Evidence
    base: Base
    columns: NDArray[np.int64]
    rows: Array
    labels: Array
    chances: Array


def train(
    capabilities: Sequence[Capability],
    examples: Sequence[Example],
    say: Progress = lambda _: None,
    encoder: TextEncoder | None = None,
) -> StackedModel:
    """A model of these examples; those without an answer or with unknown names are left out."""
    return _train(capabilities, examples, say, encoder)[0]


def train_with_second(
    capabilities: Sequence[Capability],
    examples: Sequence[Example],
    ask: Opinion,
    unseen: Callable[[Example], bool],
    say: Progress = lambda _: None,
    encoder: TextEncoder | None = None,
) -> tuple[StackedModel, Second | None]:
    """The same, and how to listen to `ask` beside it; `unseen` are the examples that `ask` was not taught."""
    model, cases = _train(capabilities, examples, say, encoder)
    kept = [_unseen(case) for case in cases if unseen(case.example)]
    second = fit_second(kept, ask, model.taste)
    say(f"second opinion: {f'{second.weight} from {second.least:.2f}' if second else 'of no use'}")
    return model, second


def _unseen(case: _Case) -> Unseen:
    wanted = len(set(case.example.nodes))
    return Unseen(case.example.text, case.base, case.columns, case.chances, case.labels, wanted)


def _train(
    capabilities: Sequence[Capability],
    examples: Sequence[Example],
    say: Progress,
    encoder: TextEncoder | None,
) -> tuple[StackedModel, list[_Case]]:
    known = {each.name for each in capabilities}
    usable = [each for each in examples if each.nodes and known.issuperset(each.nodes)]
    kinds = kinds_of_catalogue(capabilities)
    index = {each.name: at for at, each in enumerate(capabilities)}
    heard = in_other_words(usable)
    cases = _cases(capabilities, usable, heard, kinds, index, encoder)
    say(f"evidence of {len(cases)} requests")
    first = _round(cases)
    for case in cases:
        case.rows = second_rows(
            case.rows, case.chances, case.evidence, case.base.habits, kinds, kinds.fits, case.columns
        )
    second = _round(cases)
    taste = _taste(cases)
    say(str(taste))
    link, link_least = _links(cases, kinds, index, taste)
    base = fit_base(capabilities, usable, encoder, heard)
    sure = _calibration(cases, taste)
    model = StackedModel(tuple(capabilities), kinds, base, first, second, link, taste, link_least, sure)
    return model, cases


def _cases(
    capabilities: Sequence[Capability],
    examples: Sequence[Example],
    heard: Sequence[Example],
    kinds: Kinds,
    index: dict[str, int],
    encoder: TextEncoder | None,
) -> list[_Case]:
    """Examples, and some of what was heard in other words, by a first stage that was not taught them."""
    shown = [*examples, *(each for each in heard if _hash(each) // HEARD_SHIFT % HEARD_AGAIN == 0)]
    cases: list[_Case] = []
    for fold in range(FOLDS):
        rest = [each for each in examples if _hash(each) % FOLDS != fold]
        others = [each for each in heard if _hash(each) % FOLDS != fold]
        base = fit_base(capabilities, rest, encoder, others)
        cases += [_case(each, fold, base, kinds, index) for each in shown if _hash(each) % FOLDS == fold]
    return cases


def _hash(example: Example) -> int:
    return zlib.crc32(group_of(example).encode())


def _case(example: Example, fold: int, base: Base, kinds: Kinds, index: dict[str, int]) -> _Case:
    evidence = base.evidence(example.text)
    wanted = [index[name] for name in set(example.nodes)]
    columns = candidates(evidence, CANDIDATES_TRAINED)
    rows = node_rows(evidence, base.habits, kinds, kinds.fits, columns)
    return _Case(
        example, fold, evidence, base, columns, rows, np.isin(columns, wanted).astype(float), np.zeros(0)
    )


def _round(cases: Sequence[_Case]) -> Forest:
    """One round of trees over all candidates; every case is answered by trees that had not seen its fold."""
    rows = np.vstack([case.rows for case in cases])
    labels = np.concatenate([case.labels for case in cases])
    folds = np.concatenate([np.full(len(case.rows), case.fold) for case in cases])
    forest, answers = _across(rows, labels, folds)
    start = 0
    for case in cases:
        case.chances = answers[start : start + len(case.rows)]
        start += len(case.rows)
    return forest


def _across(rows: Array, labels: Array, folds: NDArray[np.int64]) -> tuple[Forest, Array]:
    """The mean of the forests of all folds, and what each fold is told by the one that had not seen it.

    The mean of five that saw four fifths each is surer than one that saw all, and is there already.
    """
    answers = np.zeros(len(rows))
    forests = []
    for fold in range(FOLDS):
        here = folds == fold
        forest = fit_forest(rows[~here], labels[~here], seed=fold)
        answers[here] = forest.probabilities(rows[here])
        forests.append(forest)
    return mean_of(forests), answers


def _taste(cases: Sequence[_Case]) -> Taste:
    """What gives the best F1 of nodes, one number after the other."""

    def f1(taste: Taste) -> float:
        hits = given = wanted = 0
        for case in cases:
            chosen = pick(case.base, case.columns, case.chances, taste)
            hits += int(case.labels[chosen].sum())
            given += len(chosen)
            wanted += len(set(case.example.nodes))
        return 2 * hits / (given + wanted)

    best = max((Taste(least, 0.0, 0.0) for least in LEASTS), key=f1)
    best = max((replace(best, company=company) for company in COMPANIES), key=f1)
    best = max((replace(best, custom=custom) for custom in CUSTOMS), key=f1)
    return max((replace(best, least=best.least + shift) for shift in SHIFTS), key=f1)


def _calibration(cases: Sequence[_Case], taste: Taste) -> Calibration:
    raw, right = [], []
    for case in cases:
        picked = pick(case.base, case.columns, case.chances, taste)
        raw.append(raw_confidence(case.chances, picked))
        right.append(case.labels[picked].sum() == len(picked) == len(set(case.example.nodes)))
    return fit_calibration(np.array(raw), np.array(right, float))


def _links(cases: Sequence[_Case], kinds: Kinds, index: dict[str, int], taste: Taste) -> tuple[Forest, float]:
    """Trees over pairs of nodes that were chosen or right, and the threshold for pairs of chosen ones."""
    pairs: list[tuple[int, tuple[int, int], bool]] = []  # (case, pair, both chosen)
    tables: list[Array] = []
    for at, case in enumerate(cases):
        chance = dict(zip(case.columns.tolist(), case.chances.tolist(), strict=True))
        picked = pick(case.base, case.columns, case.chances, taste)
        chosen = [int(case.columns[each]) for each in picked]
        right = [index[name] for name in dict.fromkeys(case.example.nodes)]
        for nodes in [chosen] if set(chosen) == set(right) else [chosen, right]:
            likely = np.array([chance.get(node, 0.0) for node in nodes])
            found, rows = link_rows(case.evidence, case.base.habits, kinds, kinds.fits, nodes, likely)
            if found:
                pairs += [(at, pair, nodes is chosen) for pair in found]
                tables.append(rows)
    if not tables:
        return constant(0.0), THRESHOLDS[-1]  # no example has two steps
    table = np.vstack(tables)
    gold = [{(index[a], index[b]) for a, b in case.example.links} for case in cases]
    labels = np.array([float(pair in gold[at]) for at, pair, _ in pairs])
    folds = np.array([cases[at].fold for at, _, _ in pairs])
    forest, answers = _across(table, labels, folds)
    chances: list[dict[tuple[int, int], float]] = [{} for _ in cases]
    for (at, pair, asked), answer in zip(pairs, answers.tolist(), strict=True):
        if asked:
            chances[at][pair] = answer

    def f1(least: float) -> float:
        hits = given = wanted = 0
        for found, right in zip(chances, gold, strict=True):
            links = choose_links(found, least)
            hits += len(right.intersection(links))
            given += len(links)
            wanted += len(right)
        return 2 * hits / max(given + wanted, 1)

    return forest, max(THRESHOLDS, key=f1)
