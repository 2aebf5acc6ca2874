"""`af-sign`: put an author's signature on an agent file, or make the key to do it with."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from af.agentfile import parse
from af.errors import AfError
from af.limits import FILE_BYTES_MAX
from af.signing import new_key, read_key, sign, signer_of
from af.tools.console import fail, print_json, read_bytes, write_file

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(no_args_is_help=True)
def sign_file(
    file: Annotated[Path | None, typer.Argument(help="The .af file to sign.")] = None,
    key: Annotated[Path | None, typer.Option("--key", help="The private key to sign with.")] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Where to write the signed file; default: in its place."),
    ] = None,
    new: Annotated[
        Path | None, typer.Option("--new-key", help="Make a key instead: PATH, and PATH.pub beside it.")
    ] = None,
    created: Annotated[
        str | None, typer.Option(help="The time of signing, as 2026-01-05T00:00:00Z; default: now.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Sign an agent file with an Ed25519 key.

    The signature becomes the last key of the header; every other byte of the file stays as it is. It covers
    the header and, through the digests of the header's index, every section. Compile before you sign.

    \b
    af-sign --new-key ada.key                      make ada.key (yours alone) and ada.key.pub (for everybody)
    af-sign digits.af --key ada.key                sign in place
    af-sign digits.af --key ada.key -o signed.af   sign a copy

    Exit codes: 0 done, 1 the file or the key is refused, 2 wrong usage.
    """  # noqa: D301 - \b keeps the help text's lines apart
    if (new is None) == (file is None):
        message = "name a file to sign, or a new key to make with --new-key PATH"
        raise typer.BadParameter(message)
    if file is not None and key is None:
        message = "say with which key: --key PATH (af-sign --new-key PATH makes one)"
        raise typer.BadParameter(message)
    subject = new or file
    assert subject is not None
    try:
        if new is not None:
            _make(new, as_json=as_json)
        elif file is not None and key is not None:
            time = created or datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            _sign(file, key, out or file, time, as_json=as_json)
    except AfError as error:
        fail(subject, error, as_json=as_json)


def _make(path: Path, *, as_json: bool) -> None:
    public = new_key(path)
    if as_json:
        print_json({"file": str(path), "ok": True, "public_key": public, "public_file": f"{path}.pub"})
    else:
        typer.echo(f"{path}: a new private key; keep it to yourself.\n{path}.pub: its public key {public}")


def _sign(file: Path, key: Path, out: Path, created: str, *, as_json: bool) -> None:
    data = sign(read_bytes(file, FILE_BYTES_MAX), read_key(key), created)
    write_file(out, data)
    signer = signer_of(parse(data))
    assert signer is not None, "a file that was just signed has a signer"
    if as_json:
        print_json({"file": str(file), "ok": True, "out": str(out), "key": signer.key, "created": created})
    else:
        typer.echo(f"{out}: signed by {signer.key} on {created}.")


def main() -> None:
    app()


if __name__ == "__main__":
    main()
