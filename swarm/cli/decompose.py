"""`swarm decompose`: teach the cluster's sentences from examples."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from swarm.cli.engines import encoder_named
from swarm.cli.lessons import Lessons
from swarm.cli.options import Cluster, Json
from swarm.cli.output import Output
from swarm.cli.understanding import catalogue_of
from swarm.client import Swarm
from swarm.client.profile import profile_path
from swarm.decompose.building import capabilities_of
from swarm.decompose.encoder.port import TextEncoder
from swarm.decompose.learn.blending import join_models
from swarm.decompose.learn.codec import encode_model
from swarm.decompose.learn.training import train as train_model
from swarm.decompose.learn.training import train_with_second
from swarm.decompose.neural.codec import encode_neural
from swarm.decompose.neural.config import NAMED, NeuralConfig
from swarm.decompose.neural.training import Course, held_back, train_neural
from swarm.decompose.records import Capability, Example
from swarm.errors import ConfigRefused, Mistake, NotBuilt, TooLarge

FILE_BYTES_MAX: Final = 256 << 20
EXAMPLES_MIN: Final = 20
EXAMPLES: Final = """\
  swarm decompose train --out ours.model                  what you agreed to, over what is deployed
  swarm decompose train --capabilities tools.json --examples requests.jsonl --out requests.model
  swarm decompose train ... --engine neural --size small --epochs 20
  swarm plan "Split the text, then write a report" --model requests.model
"""


class TrainedEngine(StrEnum):
    """What can be trained."""

    STACKED = "stacked"
    NEURAL = "neural"
    HYBRID = "hybrid"


class SizeName(StrEnum):
    """Sizes of the neural engine that have a name."""

    SMALL = "small"
    SPECIFIED = "specified"


app = typer.Typer(help="Teach how sentences become graphs.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def main() -> None:
    """Teach how sentences become graphs."""


@app.command("train")
def train(  # noqa: PLR0913, PLR0917 - an argument per option of the command
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the model goes.")],
    capabilities: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help='JSON: a list of {"name", "description", "inputs", "outputs"};'
            " else what the cluster offers.",
        ),
    ] = None,
    examples: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help='JSON lines: {"text", "nodes": [name], "links": [[name, name]]}; else the graphs that'
            " were agreed to at `swarm submit`.",
        ),
    ] = None,
    engine: Annotated[
        TrainedEngine,
        typer.Option(
            help="stacked: best on little data. neural: a transformer, needs torch. hybrid: both, the second"
            " as far as it pays on requests that neither was taught."
        ),
    ] = TrainedEngine.STACKED,
    encoder: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Use pretrained weights: minilm, of the extra `encoder`; or plugin:NAME, a neural plugin's.",
        ),
    ] = "",
    size: Annotated[
        SizeName, typer.Option(help="Of the neural engine; specified: 768 x 12 x 12 and 1024 x 8.")
    ] = SizeName.SMALL,
    epochs: Annotated[int, typer.Option(min=1, max=10_000, help="Of the neural engine.")] = Course().epochs,
    cluster: Cluster = None,
    as_json: Json = False,
) -> None:
    """Train the model that `--model` of `swarm plan` and `submit` takes; on a GPU where there is one."""
    known = list(_capabilities(capabilities)) if capabilities else _offered(cluster)
    source = examples or Lessons(profile_path(cluster)).agreed_path
    material = list(_examples(source)) if examples or source.exists() else []
    if len(material) < EXAMPLES_MIN:
        raise Mistake(f"{len(material)} examples", place=str(source), remedy=f"give at least {EXAMPLES_MIN}")
    console = Output(as_json=as_json)
    helper = encoder_named(encoder)
    config = NAMED[size.value]
    config = replace(config, pretrained=helper.size) if helper else config
    data = _trained(engine, known, material, helper, config, Course(epochs), console.say)
    try:
        out.write_bytes(data)
    except OSError as error:
        raise ConfigRefused(
            f"the model cannot be written: {error.strerror or error}", place=str(out), remedy="check the path"
        ) from error
    facts = {"model": str(out), "bytes": len(data), "examples": len(material), "capabilities": len(known)}
    console.give(facts, text=f"{out}: {len(data)} bytes, from {len(material)} examples")


def _trained(
    engine: TrainedEngine,
    known: list[Capability],
    material: list[Example],
    encoder: TextEncoder | None,
    config: NeuralConfig,
    course: Course,
    say: Callable[[str], None],
) -> bytes:
    """The model's bytes."""
    if engine is not TrainedEngine.NEURAL and importlib.util.find_spec("sklearn") is None:
        raise NotBuilt(
            "training needs scikit-learn",
            place="swarm decompose train",
            remedy="pip install 'neural-swarm[train]'",
        )
    if engine is TrainedEngine.STACKED:
        return encode_model(train_model(known, material, say, encoder))
    other = train_neural(known, material, config, course, say, encoder)
    if engine is TrainedEngine.NEURAL:
        return encode_neural(other)
    model, second = train_with_second(known, material, other.chances, held_back, say, encoder)
    if second is None:
        return encode_model(model)
    named = (encoder.name, encoder.size) if encoder else None
    return join_models(encode_model(model), encode_neural(other), second, named)


def _offered(cluster: Path | None) -> list[Capability]:
    """What the agents deployed can do, as `swarm plan` will know it."""
    with Swarm.open(cluster) as swarm:
        return capabilities_of(catalogue_of(swarm.agents()))


def _capabilities(path: Path) -> Iterator[Capability]:
    for at, record in enumerate(_parsed(path, _text(path), "the file"), start=1):
        try:
            takes, gives = record.get("inputs", ()), record.get("outputs", ())
            yield Capability(
                str(record["name"]),
                str(record.get("description", "")),
                tuple(map(str, takes)),
                tuple(map(str, gives)),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise _broken(path, f"capability {at}", error) from None


def _examples(path: Path) -> Iterator[Example]:
    for at, line in enumerate(_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        record = _parsed(path, line, f"line {at}")
        try:
            links = tuple((str(source), str(target)) for source, target in record["links"])
            nodes = tuple(map(str, record["nodes"]))
            yield Example(str(record["text"]), nodes, links, (), str(record.get("id", "")))
        except (KeyError, TypeError, ValueError) as error:
            raise _broken(path, f"line {at}", error) from None


def _parsed(path: Path, text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _broken(path, place, error) from None


def _broken(path: Path, place: str, error: Exception) -> Mistake:
    return Mistake(
        f"this is no {'example' if 'line' in place else 'list of capabilities'}: {error!r}",
        place=f"{path}, {place}",
        remedy="see swarm decompose train --help",
    )


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise TooLarge(f"more than {FILE_BYTES_MAX} bytes", place=str(path), remedy="give fewer examples")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigRefused(
            f"it cannot be read: {error}", place=str(path), remedy="check the path"
        ) from error
