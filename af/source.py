"""Building the first .af of an agent from files a person edits: a YAML header and what its `sources:` names.

    version: '1.0'
    kind: python
    ...
    sources:
      module: split.py          # becomes the section python_module
      weights: weights.npz      # arrays 0.weight, 0.bias, 1.weight, ...: becomes neural_weights
      training: training.npz    # arrays inputs, targets: becomes training_data

Paths are relative to the YAML file. `sources` is not part of the format; the built file has `sections`
instead.
"""

import io
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from af.agentfile import AgentFile
from af.errors import AfRefused, Problem, refused
from af.header import NeuralConfig
from af.headertext import SECTIONS_KEY, read_header
from af.network import Floats
from af.sections import Section, encode_section
from af.trainingdata import TRAINING, TrainingData, training_section
from af.weights import tensors_section, weight_shapes
from af.workflow import PYTHON_MODULE
from af.yamltext import load_mapping

SOURCES_KEY = "sources"

SOURCE_KEYS = ("module", "weights", "training")
_SHORT_NAME = re.compile(r"^([wb])(0|[1-9][0-9]{0,3})$")  # w0 is 0.weight, b0 is 0.bias
_NAMES_SHOWN_MAX = 4


def build(path: Path) -> AgentFile:
    """The agent a YAML source describes, not yet checked or compiled; AfRefused with every problem found."""
    return build_mapping(read_mapping(path), path.parent)


def read_training(path: Path) -> TrainingData:
    """The rows of an .npz with `inputs` and `targets`."""
    return _rows(_arrays(_read(path, str(path)), str(path)), str(path))


def read_mapping(path: Path) -> dict[str, object]:
    """The mapping of a YAML source as it stands there."""
    return load_mapping(_read(path, str(path)))


def build_mapping(given: Mapping[str, object], folder: Path) -> AgentFile:
    """The agent of a source that was read already; its file names are relative to `folder`."""
    mapping = dict(given)
    sources = mapping.pop(SOURCES_KEY, {})
    problems: list[Problem] = []
    if SECTIONS_KEY in mapping:
        message = "a source has no section index; the compiler writes it."
        problems.append(Problem("header: sections", message, "remove it and name files under `sources`."))
        del mapping[SECTIONS_KEY]
    header, _, header_problems = read_header(mapping)
    problems += header_problems
    sections = []
    config = None if header is None else header.neural_config
    if not isinstance(sources, dict):
        problems.append(
            Problem("header: sources", "it is not a mapping.", "write `module: agent.py` under it.")
        )
        sources = {}
    for key, name in sources.items():
        try:
            sections.append(_section(str(key), name, folder, config))
        except AfRefused as error:
            problems += error.problems
    if problems or header is None:
        raise AfRefused(problems)
    return AgentFile(header, tuple(sections))


def _section(key: str, name: object, folder: Path, config: NeuralConfig | None) -> Section:
    place = f"header: sources.{key}"
    if key not in SOURCE_KEYS:
        raise refused(place, f"the key {key!r} is unknown.", f"use {', '.join(SOURCE_KEYS)}.")
    if not isinstance(name, str):
        raise refused(place, "it is not a file name.", "write the file's name.")
    data = _read(folder / name, place)
    match key:
        case "module":
            return encode_section(PYTHON_MODULE, data)
        case "weights":
            return _weights(_arrays(data, place), place, config)
        case _:
            return _training(_arrays(data, place), place)


def _weights(arrays: dict[str, NDArray[np.generic]], place: str, config: NeuralConfig | None) -> Section:
    """The arrays in the order of the header's layers; that their shapes fit is for check() to say."""
    if config is None:
        raise refused(place, "weights without a neural_config.", "describe the network in the header.")
    expected = list(weight_shapes(config))
    named = {_SHORT_NAME.sub(_full_name, name): array for name, array in arrays.items()}
    if sorted(named) != sorted(expected):
        message = f"its arrays are {sorted(arrays)}."
        remedy = f"name them {', '.join(expected[:_NAMES_SHOWN_MAX])}, ... from the first layer to the last."
        raise refused(place, message, remedy)
    return tensors_section([np.asarray(named[name], np.float32) for name in expected])


def _full_name(match: re.Match[str]) -> str:
    return f"{match[2]}.{'weight' if match[1] == 'w' else 'bias'}"


def _training(arrays: dict[str, NDArray[np.generic]], place: str) -> Section:
    section = training_section(_rows(arrays, place))
    assert section.name == TRAINING
    return section


def _rows(arrays: dict[str, NDArray[np.generic]], place: str) -> TrainingData:
    if sorted(arrays) != ["inputs", "targets"]:
        raise refused(place, f"its arrays are {sorted(arrays)}.", "name them inputs and targets.")
    inputs, targets = _narrowed(arrays["inputs"]), _narrowed(arrays["targets"])
    if inputs.ndim != 2 or targets.ndim != 2 or len(inputs) != len(targets):
        message = f"inputs {inputs.shape} and targets {targets.shape} are not rows side by side."
        raise refused(place, message, "give both as [rows, values].")
    return TrainingData(inputs, targets)


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
