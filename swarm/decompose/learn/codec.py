"""A trained stacked model as bytes and back (see `arrays` for the layout).

Reading trusts nothing: every shape and every pointer is looked at, so that a broken or hostile file is
refused with its place and cannot make a tree walk out of its arrays.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from swarm.decompose.encoder.port import TextEncoder
from swarm.decompose.learn.arrays import BROKEN, Arrays, check_size, hold, pack, refused, unpack
from swarm.decompose.learn.calibration import Calibration
from swarm.decompose.learn.decode import Taste
from swarm.decompose.learn.evidence import Base
from swarm.decompose.learn.features import kinds_of_catalogue
from swarm.decompose.learn.forest import Forest
from swarm.decompose.learn.habits import Habits
from swarm.decompose.learn.model import StackedModel
from swarm.decompose.learn.neighbours import Neighbours, answers_of
from swarm.decompose.learn.ridge import Linear
from swarm.decompose.learn.sense import Sense
from swarm.decompose.learn.vectors import Vocabulary
from swarm.decompose.matching import Matcher
from swarm.decompose.records import Capability
from swarm.errors import NotBuilt

DEPTH_MAX: Final = 64  # of a tree
_MAGIC: Final = b"SWDM1\0\0\0"
_FOREST: Final = ("roots", "feature", "threshold", "left", "right", "value")
_HABITS: Final = ("frequency", "affinity", "feeds", "precedes", "together")
_NEIGHBOURS: Final = ("ends", "indices", "values", "uses", "links")
_FORESTS: Final = ("first", "second", "link")
_SENSE: Final = ("described", "request", "clause", "known")


def encode_model(model: StackedModel) -> bytes:
    """The model as bytes; weights are kept in half precision."""
    base, habits = model.base, model.base.habits
    arrays: Arrays = {"rarity": base.vocabulary.rarity}
    for name, linear in (("request", base.request), ("clause", base.clause)):
        arrays |= {f"{name}.weights": linear.weights.astype(np.float16), f"{name}.bias": linear.bias}
    arrays |= {f"habits.{name}": getattr(habits, name) for name in _HABITS}
    arrays |= {f"near.{name}": getattr(base.neighbours, name) for name in _NEIGHBOURS}
    arrays["near.values"] = base.neighbours.values.astype(np.float16)
    forests = {name: getattr(model, name) for name in _FORESTS}
    for name, forest in forests.items():
        arrays |= {f"{name}.{part}": getattr(forest, part) for part in _FOREST}
    head = {
        "capabilities": [[c.name, c.description, c.inputs, c.outputs] for c in model.capabilities],
        "vocabulary": sorted(base.vocabulary.index, key=lambda word: base.vocabulary.index[word]),
        "forests": {name: [forest.baseline, forest.depth] for name, forest in forests.items()},
        "habits": [habits.nodes_min, habits.chains],
        "least": [model.taste.least, model.taste.company, model.taste.custom, model.link_least],
        "calibration": [model.calibration.slope, model.calibration.offset],
    }
    if base.sense is not None:
        head["encoder"] = [base.sense.encoder.name, base.sense.encoder.size]
        arrays |= {f"sense.{name}": getattr(base.sense, name).astype(np.float16) for name in _SENSE}
    return pack(_MAGIC, head, arrays)


def decode_model(data: bytes, encoder: TextEncoder | None = None) -> StackedModel:
    """The model that `data` holds; raises TooLarge, Mistake, or NotBuilt without its encoder."""
    check_size(data)
    try:
        return _model(data, encoder)
    except BROKEN as error:
        raise refused(error) from None


def _model(data: bytes, encoder: TextEncoder | None) -> StackedModel:
    head, arrays = unpack(_MAGIC, data)
    capabilities = tuple(
        Capability(str(name), str(text), tuple(map(str, takes)), tuple(map(str, gives)))
        for name, text, takes, gives in head["capabilities"]
    )
    count, words = len(capabilities), [str(word) for word in head["vocabulary"]]
    expected: dict[str, tuple[int, ...]] = {"rarity": (len(words),), "habits.frequency": (count,)}
    expected |= {f"habits.{name}": (count, count) for name in _HABITS[1:]}
    for name in ("request", "clause"):
        expected |= {f"{name}.weights": (len(words), count), f"{name}.bias": (count,)}
    hold(arrays, expected)
    linear = {
        name: Linear(arrays[f"{name}.weights"], arrays[f"{name}.bias"]) for name in ("request", "clause")
    }
    nodes_min, chains = head["habits"]
    usual = {name: arrays[f"habits.{name}"] for name in _HABITS}
    habits = Habits(nodes_min=int(nodes_min), chains=bool(chains), **usual)
    vocabulary = Vocabulary({word: at for at, word in enumerate(words)}, arrays["rarity"])
    base = Base(
        Matcher(capabilities),
        vocabulary,
        linear["request"],
        linear["clause"],
        habits,
        _neighbours(arrays, len(words), count),
        _sense(head.get("encoder"), arrays, count, encoder),
    )
    first, second, link = (_forest(name, head["forests"][name], arrays) for name in _FORESTS)
    least, curve = [float(each) for each in head["least"]], [float(each) for each in head["calibration"]]
    kinds = kinds_of_catalogue(capabilities)
    return StackedModel(
        capabilities, kinds, base, first, second, link, Taste(*least[:3]), least[3], Calibration(*curve)
    )


def _sense(needed: Any, arrays: Arrays, count: int, encoder: TextEncoder | None) -> Sense | None:
    if needed is None:
        return None
    name, size = str(needed[0]), int(needed[1])
    if encoder is None or (encoder.name, encoder.size) != (name, size):
        raise NotBuilt(
            f"this model was trained with the encoder {name!r}",
            place="model",
            remedy="pip install 'neural-swarm[encoder]', or use a model trained without",
        )
    rows = len(arrays["near.ends"]) - 1
    shapes = {"described": (count, size), "request": (size + 1, count), "clause": (size + 1, count)}
    hold(arrays, {f"sense.{part}": shape for part, shape in (shapes | {"known": (rows, size)}).items()})
    described, request, clause, known = (arrays[f"sense.{part}"] for part in _SENSE)
    wide = [each.astype(np.float32) for each in (described, request, clause)]
    return Sense(encoder, wide[0], wide[1], wide[2], known)


def _neighbours(arrays: Arrays, words: int, count: int) -> Neighbours:
    ends, indices, values, uses, links = (arrays[f"near.{name}"] for name in _NEIGHBOURS)
    rows = len(ends) - 1
    whole = int(ends[0]) == 0 and int(ends[-1]) == len(indices) == len(values)
    if not whole or int(np.diff(ends).min(initial=0)) < 0 or uses.shape != (rows, count):
        raise ValueError("its known requests do not fit together")
    for pointers, size in ((indices, words), (links[:, 0], rows), (links[:, 1:], count)):
        if pointers.size and not 0 <= int(pointers.min()) <= int(pointers.max()) < size:
            raise ValueError("a known request points outside")
    return Neighbours(ends, indices, values.astype(np.float32), uses, links, answers_of(uses))


def _forest(name: str, numbers: list[Any], arrays: Arrays) -> Forest:
    roots, feature, threshold, left, right, value = (arrays[f"{name}.{part}"] for part in _FOREST)
    size = len(value)
    if {len(feature), len(threshold), len(left), len(right)} != {size}:
        raise ValueError(f"the arrays of {name} differ in length")
    for pointers in (roots, left, right):
        if len(pointers) and not 0 <= int(pointers.min()) <= int(pointers.max()) < size:
            raise ValueError(f"a tree of {name} points outside")
    depth = int(numbers[1])
    if not 0 <= depth <= DEPTH_MAX or int(feature.min(initial=0)) < 0:
        raise ValueError(f"a tree of {name} has depth {depth} or looks at no feature")
    return Forest(roots, feature, threshold, left, right, value, float(numbers[0]), depth)
