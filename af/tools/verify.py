"""`af-verify`: is this file as its author signed it, and is the author somebody you trust?"""

import re
from pathlib import Path
from typing import Annotated

import typer

from af.agentfile import parse
from af.errors import AfError, refused
from af.limits import FILE_BYTES_MAX
from af.signing import Signer, read_trust, signer_of
from af.tools.console import fail, print_json, read_bytes

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_PUBLIC_KEY = re.compile(r"[0-9a-f]{64}")


@app.command(no_args_is_help=True)
def verify_file(
    file: Annotated[Path, typer.Argument(help="The .af file.")],
    key: Annotated[
        str | None,
        typer.Option("--key", help="Who must have signed it: 64 hexadecimal digits, or a .pub file."),
    ] = None,
    trust: Annotated[
        Path | None, typer.Option("--trust", help="A file of trusted keys, one `<key> name` per line.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Verify an agent file's signature.

    A good signature says that the file is as the holder of its key made it. Whether that is somebody to trust
    is what --key and --trust ask; without them anybody's good signature will do, and the answer says so.

    \b
    af-verify digits.af                            who signed it?
    af-verify digits.af --key ada.key.pub          did Ada?
    af-verify digits.af --trust trusted-keys       did anybody in this list?

    Exit codes: 0 it is as asked, 1 it is not (unsigned, damaged, signed by somebody else), 2 wrong usage.
    """  # noqa: D301 - \b keeps the help text's lines apart
    try:
        asked = key is not None or trust is not None
        trusted = {} if trust is None else read_trust(trust)
        if key is not None:
            trusted |= {key: key[:12]} if _PUBLIC_KEY.fullmatch(key) else read_trust(Path(key))
        signer = signer_of(parse(read_bytes(file, FILE_BYTES_MAX)), trusted)
        if signer is None:
            raise refused("header: signature", "nobody signed this file.", "ask its author to run `af-sign`.")
        if asked and signer.trusted_as is None:
            message = f"it was signed by {signer.key}, which is not a key you trust."
            raise refused("header: signature", message, "get the file from somebody you trust.")
    except AfError as error:
        fail(file, error, as_json=as_json)
    _report(file, signer, asked=asked, as_json=as_json)


def _report(file: Path, signer: Signer, *, asked: bool, as_json: bool) -> None:
    if as_json:
        facts = {"key": signer.key, "created": signer.created, "trusted_as": signer.trusted_as}
        print_json({"file": str(file), "ok": True, "asked": asked, **facts})
        return
    who = f"{signer.trusted_as} ({signer.key})" if signer.trusted_as else signer.key
    typer.echo(f"{file}: signed by {who} on {signer.created}, and unchanged since.")
    if not asked:
        typer.echo("Whose key that is, nobody has vouched for: use --key or --trust.")


def main() -> None:
    app()


if __name__ == "__main__":
    main()
