"""`af-train`: train a neural agent's network anew, and say how much better it has become."""

from pathlib import Path
from typing import Annotated

import typer

from af.agentfile import write
from af.errors import AfError
from af.source import read_training
from af.tools.console import fail, print_json, read_agent, write_file
from af.training import BATCH_MAX, EPOCHS_MAX, THREADS_MAX, Course, Optimizer, Trained, train_agent

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(no_args_is_help=True)
def train_file(  # noqa: PLR0913, PLR0917 - one parameter per option
    file: Annotated[Path, typer.Argument(help="An .af file, or the YAML source of one.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to write the new file.")],
    data: Annotated[
        Path | None,
        typer.Option(help="An .npz with arrays `inputs` and `targets`; default: the file's own rows."),
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, max=EPOCHS_MAX, help="Times through all rows.")] = 10,
    batch: Annotated[int, typer.Option(min=1, max=BATCH_MAX, help="Rows per step.")] = 32,
    rate: Annotated[
        float | None,
        typer.Option("--lr", min=1e-12, max=1e6, help="Learning rate; default: the file's, or 0.001."),
    ] = None,
    optimizer: Annotated[Optimizer, typer.Option(help="adam or sgd.")] = "adam",
    momentum: Annotated[
        float | None, typer.Option(min=0, max=0.9999, help="For sgd; default: the file's, or 0.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same file.")] = 0,
    held_out: Annotated[
        float, typer.Option(min=0, max=0.9, help="The share of rows to measure on, not to learn from.")
    ] = 0.1,
    device: Annotated[str, typer.Option(help="cpu, or cuda on a machine with a GPU.")] = "cpu",
    threads: Annotated[
        int, typer.Option(min=1, max=THREADS_MAX, help="Of PyTorch; more are faster on large networks.")
    ] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Train a neural agent.

    Mini-batches through PyTorch, towards labels or rows of numbers: cross entropy behind a softmax, otherwise
    the mean of squares. The new file holds the new weights and, as `x-training`, what came of it; it is
    compiled if the old one was. A signature is gone: the author signs what was trained.

    \b
    af-train digits.af -o better.af                          on the file's own training_data
    af-train digits.af --data rows.npz --epochs 50 --lr 0.002 -o better.af
    af-train digits.af --optimizer sgd --momentum 0.9 --seed 7 --json -o better.af

    Exit codes: 0 done, 1 the file, the data or the course is refused, 2 wrong usage, 3 PyTorch is missing.
    """  # noqa: D301 - \b keeps the help text's lines apart
    course = Course(epochs, batch, rate, optimizer, momentum, seed, held_out, device, threads)

    def tell(epoch: int, loss: float) -> None:
        if not as_json:
            typer.echo(f"epoch {epoch}/{epochs}: loss {loss:.6g}", err=True)

    try:
        agent = read_agent(file)
        trained = train_agent(agent, None if data is None else read_training(data), course, tell)
        content = write(trained.agent)
        write_file(out, content)
    except AfError as error:
        fail(file, error, as_json=as_json)
    _report(file, out, trained, len(content), as_json=as_json)


def _report(file: Path, out: Path, trained: Trained, size_bytes: int, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "file": str(file),
                "ok": True,
                "problems": [],
                "out": str(out),
                "bytes": size_bytes,
                "rows": trained.training_rows,
                "scored_rows": trained.scored_rows,
                "scored_on": trained.scored_on,
                "before": trained.before.to_json(),
                "after": trained.after.to_json(),
            }
        )
        return
    rows = f"{trained.scored_rows} rows ({trained.scored_on.replace('_', ' ')})"
    typer.echo(f"{out}: before: {trained.before}; after: {trained.after}; on {rows}.")


def main() -> None:
    app()


if __name__ == "__main__":
    main()
