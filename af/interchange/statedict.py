"""Weights by name, from a safetensors file or a torch state_dict, put into the layers that a header lists.

A file of weights does not say what is computed with them. That is said by the header beside it, in
`neural_config`, and the weights find their layers in one of two ways:

* the header's own list says so: `tensors: [conv1, fc1, fc2]` names, for every layer that has weights and in
  the order of the layers, what stands before `.weight` and `.bias` in the file;
* without it, in the order of the file for a state_dict, which keeps the order of the modules. A safetensors
  file is sorted by name, so there the names must differ in numbers only, and the numbers tell the order.

Torch's names for the weights are ours (af.layers); a missing bias is zero; a batch normalisation becomes the
layer `scale`. Everything that is left over is refused: weights nobody uses mean that the header is wrong.
"""

import importlib
import io
import re
import struct
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from af.errors import AfNotReady, Problem, refused
from af.header import NeuralConfig
from af.interchange.imported import FOREIGN_BYTES_MAX, make_network, to_floats
from af.layers import Scale
from af.layers.spec import Shape
from af.limits import LAYER_TENSOR_ITEMS_MAX
from af.network import Floats, Layer, Network, shapes_between

Array = NDArray[np.generic]

TENSORS_MAX = 10_000
SAFETENSORS_HEAD_BYTES = 8

_ITEM_BYTES_MAX = 8
_NAMES_SHOWN_MAX = 5
_ARCHIVE_FAULTS = (  # all that zipfile raises for bytes that are no archive
    zipfile.BadZipFile,
    ValueError,
    OSError,
    NotImplementedError,
    OverflowError,
    struct.error,
)
_BIASES = frozenset({"bias", "bias_ih", "bias_hh", "self_attn.in_proj_bias", "self_attn.out_proj.bias"})
_IGNORED = (".num_batches_tracked",)
_OTHER_NAMES = re.compile(r"^(weight|bias)_(ih|hh)$")  # torch's GRU adds the number of its layer: _l0
_INNER = re.compile(r"^([0-9]+)\.(.*)$")  # a layer inside a residual one
_BATCH_NORM_EPSILON = 1e-5  # torch's default; a state_dict does not hold it
_PLACE = "weights"


def read_safetensors(data: bytes) -> dict[str, Array]:
    """The tensors of a safetensors file, if their names tell their order, else in no order that counts."""
    try:
        import safetensors.numpy  # noqa: PLC0415 - an extra
    except ImportError:
        raise _missing("safetensors", "safetensors") from None
    _bound(len(data))
    try:
        loaded = safetensors.numpy.load(data)
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        raise refused("safetensors file", f"it is not readable ({error}).", "write it again.") from None
    return {name: loaded[name] for name in sorted(loaded, key=_natural)}


def read_state_dict(data: bytes) -> dict[str, Array]:
    """The tensors of a state_dict, in its order. Nothing but tensors is unpickled (torch's weights_only)."""
    try:
        torch: Any = importlib.import_module("torch")  # an extra: without it there are no types to name
    except ImportError:
        raise _missing("torch", "torch") from None
    place = "torch file"
    _bound(len(data))
    _check_archive(data, place)
    try:
        loaded: object = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - torch raises what its parts raise
        reason = str(error).strip().split("\n", 1)[0]
        message = f"it is not readable as weights ({type(error).__name__}: {reason[:200]})."
        raise refused(place, message, "save it with torch.save(model.state_dict(), path).") from None
    if isinstance(loaded, dict) and isinstance(loaded.get("state_dict"), dict):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, dict) or not all(isinstance(value, torch.Tensor) for value in loaded.values()):
        message = "it holds something else than a mapping of names to tensors."
        raise refused(place, message, "save it with torch.save(model.state_dict(), path).")
    found: dict[str, Array] = {}
    total_bytes = 0
    for name, tensor in loaded.items():
        # A view may claim far more numbers than lie in the file.
        total_bytes += tensor.numel() * _ITEM_BYTES_MAX
        if tensor.is_sparse or tensor.is_quantized or tensor.is_complex():
            raise refused(f"{place}, {name}", "it is sparse, quantised or complex.", "save it as float32.")
        if total_bytes > _ITEM_BYTES_MAX * FOREIGN_BYTES_MAX or tensor.numel() > LAYER_TENSOR_ITEMS_MAX:
            raise refused(f"{place}, {name}", f"its shape {list(tensor.shape)} is too large.", "split it.")
        whole = tensor.detach().float() if tensor.is_floating_point() else tensor.detach()
        found[str(name)] = whole.numpy()
    return found


def network_with(
    config: NeuralConfig, arrays: Mapping[str, Array], prefixes: Sequence[str] | None, *, ordered: bool
) -> Network:
    """The header's layers with the file's weights. `ordered` says that the file's order is the modules'."""
    if len(arrays) > TENSORS_MAX:
        raise refused(_PLACE, f"{len(arrays)} tensors, the most is {TENSORS_MAX}.", "import a smaller model.")
    specs = config.layer_specs
    shapes = shapes_between(config.input_size, specs)
    groups = _groups([spec.tensors(shape) for spec, shape in zip(specs, shapes, strict=False)])
    left = {name: array for name, array in arrays.items() if not name.endswith(_IGNORED)}
    if prefixes is None:
        prefixes = _prefixes_in_order(groups, list(left), ordered=ordered)
    if len(prefixes) != len(groups):
        message = f"{len(prefixes)} names for {len(groups)} layers with weights."
        raise refused("header: tensors", message, "name each of them once, in order.")
    tensors: list[dict[str, Floats]] = [{} for _ in specs]
    for (number, inner, wanted), prefix in zip(groups, prefixes, strict=True):
        is_scale = isinstance(specs[number], Scale)
        for name, values in _taken(left, prefix, wanted, is_scale=is_scale).items():
            tensors[number][inner + name] = values
    if left:
        shown = ", ".join(list(left)[:_NAMES_SHOWN_MAX])
        message = f"{len(left)} tensors of the file belong to no layer: {shown}."
        raise refused(_PLACE, message, "list every layer of the model in neural_config.")
    layers = [Layer(spec, own) for spec, own in zip(specs, tensors, strict=True)]
    return make_network(config.input_size, layers, _PLACE)


def _groups(expected: list[dict[str, Shape]]) -> list[tuple[int, str, dict[str, Shape]]]:
    """(layer, inner prefix, tensors) of every module that has weights; a residual layer has one per part."""
    groups: list[tuple[int, str, dict[str, Shape]]] = []
    for number, tensors in enumerate(expected):
        parts: dict[str, dict[str, Shape]] = {}
        for name, shape in tensors.items():
            match = _INNER.match(name)
            inner, own = (f"{match[1]}.", match[2]) if match else ("", name)
            parts.setdefault(inner, {})[own] = shape
        groups += [(number, inner, wanted) for inner, wanted in parts.items()]
    return groups


def _prefixes_in_order(
    groups: list[tuple[int, str, dict[str, Shape]]], names: list[str], *, ordered: bool
) -> list[str]:
    """What stands before the tensors of each layer, the file's order taken for the layers' order."""
    remaining, prefixes = list(names), []
    for number, _, wanted in groups:
        first = _foreign(next(iter(wanted)))
        found = next((name for name in remaining if name == first or name.endswith("." + first)), None)
        if found is None:
            message = f"no tensor is left that ends with {first!r}, for layer {number}."
            raise refused(_PLACE, message, "list the names of the layers' tensors under `tensors`.")
        prefix = found[: -len(first)].removesuffix(".")
        prefixes.append(prefix)
        own = {f"{prefix}.{_foreign(name)}" if prefix else _foreign(name) for name in wanted}
        remaining = [name for name in remaining if name not in own]
    if not ordered and len({re.sub(r"[0-9]+", "#", prefix) for prefix in prefixes}) > 1:
        message = f"the names {', '.join(prefixes[:_NAMES_SHOWN_MAX])} do not tell the order of the layers."
        raise refused(_PLACE, message, "list them in order in the header: `tensors: [first, second, ...]`.")
    return prefixes


def _taken(
    left: dict[str, Array], prefix: str, wanted: dict[str, Shape], *, is_scale: bool
) -> dict[str, Floats]:
    """The weights of one layer, taken out of what is left."""
    start = f"{prefix}." if prefix else ""
    found: dict[str, Floats] = {}
    for name, shape in wanted.items():
        theirs = start + _foreign(name)
        values = left.pop(theirs, None)
        if values is None and name not in _BIASES:
            message = f"the tensor {theirs!r} is not there."
            raise refused(_PLACE, message, f"the file has {', '.join(list(left)[:_NAMES_SHOWN_MAX])}, ...")
        found[name] = np.zeros(shape, np.float32) if values is None else to_floats(values, theirs)
    mean, variance = left.pop(start + "running_mean", None), left.pop(start + "running_var", None)
    if mean is None or variance is None:
        return found
    if not is_scale or mean.shape != variance.shape or mean.shape != found["weight"].shape:
        message = f"{prefix!r} is a batch normalisation and its layer is not one."
        raise refused(_PLACE, message, "list a layer {type: scale} for it.")
    with np.errstate(all="ignore"):  # what is not finite is refused with its name
        scale = np.float64(found["weight"]) / np.sqrt(np.float64(variance) + _BATCH_NORM_EPSILON)
        shift = found["bias"] - mean * scale
        return {"weight": scale.astype(np.float32), "bias": shift.astype(np.float32)}


def _foreign(name: str) -> str:
    return f"{name}_l0" if _OTHER_NAMES.match(name) else name


def _natural(name: str) -> list[tuple[int, str]]:
    """A sort key by which 10 comes after 9."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"([0-9]{1,9})", name)]


def _check_archive(data: bytes, place: str) -> None:
    """Torch's archives are stored, not compressed: what is inflated from one may be a bomb."""
    try:
        entries = zipfile.ZipFile(io.BytesIO(data)).infolist()
    except _ARCHIVE_FAULTS as error:
        raise refused(place, f"it is not a readable archive ({error}).", "save it again.") from None
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise refused(
            place, "it is a compressed archive.", "save it with torch.save, which does not compress."
        )
    if sum(entry.file_size for entry in entries) > len(data):
        raise refused(place, "its parts are larger than the file.", "save it again.")


def _bound(size_bytes: int) -> None:
    if size_bytes > FOREIGN_BYTES_MAX:
        message = f"it has more than {FOREIGN_BYTES_MAX} bytes."
        raise refused(_PLACE, message, "import a smaller model.")


def _missing(package: str, extra: str) -> AfNotReady:
    message = f"reading this file needs the package {package}, which is not installed."
    return AfNotReady([Problem(_PLACE, message, f"run `pip install 'neural-swarm[{extra}]'`.")])
