"""A trained neural model as bytes and back (see `learn.arrays` for the layout); weights in half precision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

import numpy as np

from swarm.decompose.encoder.port import TextEncoder
from swarm.decompose.learn.arrays import BROKEN, Arrays, check_size, hold, pack, refused, unpack
from swarm.decompose.neural.config import NeuralConfig
from swarm.decompose.neural.model import NeuralModel
from swarm.decompose.neural.network import shapes_of, torch
from swarm.decompose.records import Capability
from swarm.errors import NotBuilt

BYTES_MAX: Final = 4 << 30  # the specification's sizes are gigabytes
MAGIC: Final = b"SWDN1\0\0\0"


def encode_neural(model: NeuralModel) -> bytes:
    """The model as bytes."""
    arrays: Arrays = {
        name: tensor.detach().cpu().numpy().astype(np.float16) for name, tensor in model.parameters.items()
    }
    arrays["described"] = model.described.cpu().numpy().astype(np.float16)
    head = {
        "config": asdict(model.config),
        "capabilities": [[c.name, c.description, c.inputs, c.outputs] for c in model.capabilities],
        "least": [model.least, model.link_least],
        "habits": [model.nodes_min, model.chains],
        "encoder": [model.encoder.name, model.encoder.size] if model.encoder else None,
    }
    return pack(MAGIC, head, arrays, BYTES_MAX)


def decode_neural(data: bytes, encoder: TextEncoder | None = None, device: str = "") -> NeuralModel:
    """The model that `data` holds; raises TooLarge, Mistake, or NotBuilt without torch or its encoder."""
    check_size(data, BYTES_MAX)
    try:
        return _model(*unpack(MAGIC, data), encoder, device)
    except BROKEN as error:
        raise refused(error) from None


def _model(head: Mapping[str, Any], arrays: Arrays, encoder: TextEncoder | None, device: str) -> NeuralModel:
    needed = head["encoder"]
    if needed is not None and (encoder is None or [encoder.name, encoder.size] != needed):
        raise NotBuilt(
            f"this model was trained with the encoder {needed[0]!r}",
            place="model",
            remedy="pip install 'neural-swarm[encoder]', or use a model trained without",
        )
    config = NeuralConfig(**head["config"])
    capabilities = tuple(
        Capability(str(name), str(text), tuple(map(str, takes)), tuple(map(str, gives)))
        for name, text, takes, gives in head["capabilities"]
    )
    described = arrays.pop("described")
    expected = shapes_of(config, len(capabilities), int(described.shape[1]))
    hold(arrays, {**expected})
    if arrays.keys() != expected.keys() or len(described) != len(capabilities):
        raise ValueError("its arrays are not those of its sizes")
    library = torch()
    where = device or ("cuda" if library.cuda.is_available() else "cpu")

    def tensor(array: Any) -> Any:
        return library.from_numpy(array.astype(np.float32)).to(where)

    least, link_least = map(float, head["least"])
    nodes_min, chains = head["habits"]
    return NeuralModel(
        config,
        capabilities,
        {name: tensor(array) for name, array in arrays.items()},
        tensor(described),
        encoder if needed is not None else None,
        least,
        link_least,
        int(nodes_min),
        bool(chains),
        where,
    )
