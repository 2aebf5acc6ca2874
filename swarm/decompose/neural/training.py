"""Trains the neural model: node loss over all capabilities, pair loss over the right nodes and near misses.

A share of the requests, dealt by group, is held back to set the thresholds. The course is the same for every
size; the device is a GPU where there is one.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from swarm.decompose.encoder.port import TextEncoder
from swarm.decompose.learn.decode import choose_links
from swarm.decompose.learn.habits import fit_habits
from swarm.decompose.learn.rewording import group_of, in_other_words
from swarm.decompose.neural.config import NeuralConfig
from swarm.decompose.neural.model import NeuralModel, description_vectors, padded
from swarm.decompose.neural.network import fresh, pairs, read, torch
from swarm.decompose.neural.tokens import hashed_tokens
from swarm.decompose.records import Capability, Example

BATCH: Final = 32
SHUFFLED: Final = 8  # batches whose requests are sorted by length together
WARM_UP: Final = 0.1  # of all steps
DECAY: Final = 0.02
LINK_WEIGHT: Final = 0.5
MISSES: Final = 2  # capabilities taken for right that are not, whose pairs are trained too
HEARD_AGAIN: Final = 0.5  # of the times a request is shown, it is in other words
HELD_BACK: Final = 8  # one request in so many
LEASTS: Final = tuple(round(0.2 + 0.05 * step, 2) for step in range(13))
CLIP: Final = 1.0

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Course:
    """How long and how fast is learnt."""

    epochs: int = 12
    rate: float = 2e-3
    seed: int = 0
    device: str = ""  # empty: a GPU where there is one


@dataclass(slots=True)
class _Lesson:
    """One example, ready to be shown."""

    tokens: NDArray[Any]
    nodes: list[int]
    links: set[tuple[int, int]]


def train_neural(
    capabilities: Sequence[Capability],
    examples: Sequence[Example],
    config: NeuralConfig,
    course: Course | None = None,
    say: Progress = lambda _: None,
    encoder: TextEncoder | None = None,
) -> NeuralModel:
    """A model of these examples; those without an answer or with unknown names are left out."""
    course, library = course or Course(), torch()
    device = course.device or ("cuda" if library.cuda.is_available() else "cpu")
    library.manual_seed(course.seed)
    index = {each.name: at for at, each in enumerate(capabilities)}
    usable = [each for each in examples if each.nodes and index.keys() >= set(each.nodes)]
    lessons = _lessons(usable, index, config, encoder)
    back = [held_back(each) for each in usable]
    taught = [each for each, held in zip(usable, back, strict=True) if not held]
    heard = in_other_words(taught)
    again = dict(
        zip([group_of(each) for each in heard], _lessons(heard, index, config, encoder), strict=True)
    )
    shown = [
        (each, again.get(group_of(example), each))
        for each, held, example in zip(lessons, back, usable, strict=True)
        if not held
    ]
    vectors = description_vectors(capabilities, config, encoder)
    own = {
        name: library.from_numpy(array).to(device).requires_grad_()
        for name, array in fresh(config, len(index), vectors.shape[1], course.seed).items()
    }
    described = library.from_numpy(vectors).to(device)
    _learn(own, shown, config, course, described, say)
    for tensor in own.values():
        tensor.requires_grad_(requires_grad=False)
    habits = fit_habits(usable, index)
    model = NeuralModel(
        config,
        tuple(capabilities),
        own,
        described,
        encoder,
        0.5,
        0.5,
        habits.nodes_min,
        habits.chains,
        device,
    )
    return _with_thresholds(model, [each for each, held in zip(lessons, back, strict=True) if held])


def held_back(example: Example) -> bool:
    """Whether the weights are never shown this example; the thresholds are set by those."""
    return zlib.crc32((example.group or example.text).encode()) % HELD_BACK == 0


def _lessons(
    examples: Sequence[Example], index: dict[str, int], config: NeuralConfig, encoder: TextEncoder | None
) -> list[_Lesson]:
    if encoder is None:
        tokens = [hashed_tokens(each.text, config.buckets, config.tokens_max) for each in examples]
    else:
        tokens = [
            states[: config.tokens_max].astype(np.float16)
            for states in encoder.states([each.text for each in examples])
        ]
    return [
        _Lesson(
            rows,
            [index[name] for name in dict.fromkeys(each.nodes)],
            {(index[a], index[b]) for a, b in each.links},
        )
        for rows, each in zip(tokens, examples, strict=True)
    ]


def _batches(lessons: Sequence[_Lesson], dice: np.random.Generator) -> Iterator[list[_Lesson]]:
    """Requests of like length together, so that little is padded; the batches in any order."""
    order = dice.permutation(len(lessons))
    found: list[list[_Lesson]] = []
    for start in range(0, len(order), BATCH * SHUFFLED):
        part = sorted(order[start : start + BATCH * SHUFFLED], key=lambda at: len(lessons[at].tokens))
        found += [[lessons[at] for at in part[each : each + BATCH]] for each in range(0, len(part), BATCH)]
    for at in dice.permutation(len(found)):
        yield found[at]


def _learn(
    own: dict[str, Any],
    shown: Sequence[tuple[_Lesson, _Lesson]],
    config: NeuralConfig,
    course: Course,
    described: Any,
    say: Progress,
) -> None:
    library = torch()
    dice = np.random.default_rng(course.seed)
    total = max(1, course.epochs * -(-len(shown) // BATCH))
    optimizer = library.optim.AdamW(list(own.values()), lr=course.rate, weight_decay=DECAY)
    plan = library.optim.lr_scheduler.OneCycleLR(
        optimizer, course.rate, total_steps=total + 1, pct_start=WARM_UP
    )
    for epoch in range(course.epochs):
        lost = 0.0
        lessons = [each[int(dice.random() < HEARD_AGAIN)] for each in shown]
        for lessons_here in _batches(lessons, dice):
            loss = _loss(own, lessons_here, config, described)
            optimizer.zero_grad()
            loss.backward()
            library.nn.utils.clip_grad_norm_(own.values(), CLIP)
            optimizer.step()
            if plan.last_epoch < total:
                plan.step()
            lost += float(loss.detach()) * len(lessons_here)
        say(f"epoch {epoch + 1}: loss {lost / max(len(lessons), 1):.3f}")


def _loss(own: dict[str, Any], lessons: Sequence[_Lesson], config: NeuralConfig, described: Any) -> Any:
    library = torch()
    functional = library.nn.functional
    tokens, mask = padded([each.tokens for each in lessons], str(described.device), library)
    if config.pretrained:
        tokens = tokens.float()
    seen = read(config, own, tokens, mask, described, learning=True)
    wanted = library.zeros_like(seen.scores)
    for at, lesson in enumerate(lessons):
        wanted[at, lesson.nodes] = 1.0
    loss = functional.binary_cross_entropy_with_logits(seen.scores, wanted, reduction="none").sum(1).mean()
    tops = (seen.scores.detach() - wanted * 1e6).topk(min(MISSES, seen.scores.shape[1]), 1).indices.tolist()
    for at, lesson in enumerate(lessons):
        nodes = [*lesson.nodes, *(node for node in tops[at] if node not in lesson.nodes)]
        logits = pairs(own, seen, at, library.tensor(nodes, device=described.device))
        right = library.tensor([[float((a, b) in lesson.links) for b in nodes] for a in nodes])
        apart = ~library.eye(len(nodes), dtype=library.bool)
        count = max(len(lesson.nodes), 1)
        loss = loss + LINK_WEIGHT / len(lessons) * (
            functional.binary_cross_entropy_with_logits(
                logits[apart], right.to(logits.device)[apart], reduction="sum"
            )
            / count
        )
    return loss


def _with_thresholds(model: NeuralModel, lessons: Sequence[_Lesson]) -> NeuralModel:
    """The thresholds that give the best F1 on requests that were held back."""
    library = torch()
    if not lessons:
        return model
    asked: list[tuple[NDArray[np.float32], Any]] = []
    with library.inference_mode():
        for lesson in lessons:
            tokens, mask = padded([lesson.tokens], model.device, library)
            tokens = tokens.float() if model.config.pretrained else tokens
            seen = read(model.config, model.parameters, tokens, mask, model.described, learning=False)
            asked.append((seen.scores.sigmoid()[0].cpu().numpy(), seen))
    best, chosen = -1.0, model
    for least in LEASTS:
        trial = replace(model, least=least)
        pools = [
            (set(chosen_nodes(trial, chances)), set(each.nodes))
            for (chances, _), each in zip(asked, lessons, strict=True)
        ]
        f1 = 2 * sum(len(a & b) for a, b in pools) / max(sum(len(a) + len(b) for a, b in pools), 1)
        if f1 > best:
            best, chosen = f1, trial
    tables = [chosen.links(seen, chosen_nodes(chosen, chances)) for chances, seen in asked]
    best = -1.0
    result = chosen
    for least in LEASTS:
        hits = given = wanted = 0
        for table, lesson in zip(tables, lessons, strict=True):
            links = choose_links(table, least)
            hits += len(lesson.links.intersection(links))
            given, wanted = given + len(links), wanted + len(lesson.links)
        if 2 * hits / max(given + wanted, 1) > best:
            best, result = 2 * hits / max(given + wanted, 1), replace(chosen, link_least=least)
    return result


def chosen_nodes(model: NeuralModel, chances: NDArray[np.float32]) -> list[int]:
    """The capabilities to take, best first."""
    order = np.argsort(-chances, kind="stable")
    count = max(int((chances >= model.least).sum()), min(model.nodes_min, len(order)), 1)
    return [int(at) for at in order[:count]]
