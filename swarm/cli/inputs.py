"""`--input` on the command line: where a value comes from, and reading no more than may be sent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from swarm import limits
from swarm.errors import Mistake, TooLarge

INPUT_HELP = (
    "name:=JSON, or name=FILE (name=@FILE is the same). A .npy file is an array, a .json file a JSON value, "
    "any other file its bytes. Repeat it for each input."
)


def read_inputs(texts: Sequence[str]) -> dict[str, object]:
    """The values that `--input` options name; raises `Mistake` or `TooLarge` naming the option."""
    inputs: dict[str, object] = {}
    for text in texts:
        name, value = _read(text)
        if name in inputs:
            raise Mistake(f"input {name!r} is given twice", place=_place(text), remedy="give it once")
        inputs[name] = value
    return inputs


def _read(text: str) -> tuple[str, object]:
    name, equals, rest = text.partition("=")
    if not equals or not name.rstrip(":"):
        raise Mistake("this names no input", place=_place(text), remedy=f"write {INPUT_HELP}")
    if name.endswith(":"):
        return name[:-1], _json(text, rest)
    path = Path(rest.removeprefix("@"))
    return name, _read_file(text, path)


def _read_file(text: str, path: Path) -> object:
    try:
        size = path.stat().st_size
        if size > limits.VALUE_BYTES_MAX:
            raise TooLarge(
                f"{path} has {size} bytes, one value has at most {limits.VALUE_BYTES_MAX}",
                place=_place(text),
                remedy="split it over several inputs or runs",
            )
        match path.suffix:
            case ".npy":
                return np.load(path, allow_pickle=False)
            case ".json":
                return _json(text, path.read_text())
            case _:
                return path.read_bytes()
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror or error}"
        raise Mistake(message, place=_place(text), remedy="check the path") from error
    except (ValueError, EOFError) as error:
        message = f"{path} is not what its name says: {error}"
        raise Mistake(message, place=_place(text), remedy="convert it, or give it another suffix") from error


def _json(text: str, value: str) -> object:
    try:
        found: object = json.loads(value)
    except (ValueError, RecursionError) as error:
        remedy = "quote it for the shell, e.g. 'name:={\"a\": 1}' or 'name:=\"text\"'"
        raise Mistake(f"this is not JSON: {error}", place=_place(text), remedy=remedy) from error
    return found


def _place(text: str) -> str:
    return f"--input {text[:80]}"
