"""Building the first .af of an agent from files a person edits: a YAML header and what its `sources:` names.

    version: '1.0'
    kind: python
    ...
    sources:
      module: split.py          # becomes the section python_module
      weights: weights.npz      # arrays w0, b0, w1, b1, ...: becomes neural_weights
      training: training.npz    # arrays inputs, targets: becomes training_data

Paths are relative to the YAML file. `sources` is not part of the format; the built file has `sections`
instead.
"""

import io
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from af.agentfile import AgentFile
from af.check import PYTHON_MODULE
from af.errors import AfRefused, Problem, refused
from af.headertext import SECTIONS_KEY, read_header
from af.network import (
    TRAINING,
    WEIGHTS,
    Floats,
    Layer,
    Network,
    TrainingData,
    training_section,
    weights_section,
)
from af.sections import Section, encode_section
from af.yamltext import load_mapping

SOURCES_KEY = "sources"

_KEYS = ("module", "weights", "training")


def build(path: Path) -> AgentFile:
    """The agent a YAML source describes, not yet checked or compiled; AfRefused with every problem found."""
    mapping = load_mapping(_read(path, str(path)))
    sources = mapping.pop(SOURCES_KEY, {})
    problems: list[Problem] = []
    if SECTIONS_KEY in mapping:
        message = "a source has no section index; the compiler writes it."
        problems.append(Problem("header: sections", message, "remove it and name files under `sources`."))
        del mapping[SECTIONS_KEY]
    header, _, header_problems = read_header(mapping)
    problems += header_problems
    sections = []
    if not isinstance(sources, dict):
        problems.append(
            Problem("header: sources", "it is not a mapping.", "write `module: agent.py` under it.")
        )
        sources = {}
    for key, name in sources.items():
        try:
            sections.append(_section(str(key), name, path.parent))
        except AfRefused as error:
            problems += error.problems
    if problems or header is None:
        raise AfRefused(problems)
    return AgentFile(header, tuple(sections))


def _section(key: str, name: object, folder: Path) -> Section:
    place = f"header: sources.{key}"
    if key not in _KEYS:
        raise refused(place, f"the key {key!r} is unknown.", f"use {', '.join(_KEYS)}.")
    if not isinstance(name, str):
        raise refused(place, "it is not a file name.", "write the file's name.")
    data = _read(folder / name, place)
    match key:
        case "module":
            return encode_section(PYTHON_MODULE, data)
        case "weights":
            return _weights(_arrays(data, place), place)
        case _:
            return _training(_arrays(data, place), place)


def _weights(arrays: dict[str, NDArray[np.generic]], place: str) -> Section:
    """Only the tensors matter here; that they fit the header is for check() to say."""
    expected = [f"{letter}{number}" for number in range(len(arrays) // 2) for letter in "wb"]
    if not expected or sorted(arrays) != sorted(expected):
        message = f"its arrays are {sorted(arrays)}."
        raise refused(place, message, "name them w0, b0, w1, b1, ... from the first layer to the last.")
    floats = {name: np.asarray(array, np.float32) for name, array in arrays.items()}
    layers: list[Layer] = []
    for number in range(len(arrays) // 2):
        weights, bias = floats[f"w{number}"], floats[f"b{number}"]
        inputs = layers[-1].weights.shape[0] if layers else None
        if weights.ndim != 2 or bias.shape != weights.shape[:1] or inputs not in (None, weights.shape[1]):
            message = f"w{number} {weights.shape} and b{number} {bias.shape} do not follow the layer before."
            raise refused(place, message, "give W as [outputs, inputs] and b as [outputs].")
        layers.append(Layer(weights, bias, "linear"))
    section = weights_section(Network(tuple(layers)))
    assert section.name == WEIGHTS
    return section


def _training(arrays: dict[str, NDArray[np.generic]], place: str) -> Section:
    if sorted(arrays) != ["inputs", "targets"]:
        raise refused(place, f"its arrays are {sorted(arrays)}.", "name them inputs and targets.")
    inputs, targets = _narrowed(arrays["inputs"]), _narrowed(arrays["targets"])
    if inputs.ndim != 2 or targets.ndim != 2 or len(inputs) != len(targets):
        message = f"inputs {inputs.shape} and targets {targets.shape} are not rows side by side."
        raise refused(place, message, "give both as [rows, values].")
    section = training_section(TrainingData(inputs, targets))
    assert section.name == TRAINING
    return section


def _narrowed(array: NDArray[np.generic]) -> NDArray[np.uint8] | Floats:
    return array.astype(np.uint8) if array.dtype == np.uint8 else array.astype("<f4")


def _arrays(data: bytes, place: str) -> dict[str, NDArray[np.generic]]:
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as loaded:
            return {name: loaded[name] for name in loaded.files}
    except (ValueError, OSError, zipfile.BadZipFile, AttributeError) as error:
        raise refused(
            place, f"it is not a readable .npz file ({error}).", "write it with numpy.savez."
        ) from None


def _read(path: Path, place: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise refused(place, f"{path} is not readable ({error.strerror}).", "correct the path.") from None
