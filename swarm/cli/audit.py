"""`swarm audit`: what happened, and proof of it. It reads files: no daemon, no network, no private key (but
`rotate-key`, which its owner alone may use).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from swarm.adapters.audit import AuditReader, read_public_key, rotate_key
from swarm.cli.options import Json
from swarm.cli.output import Output
from swarm.errors import ConfigRefused, Mistake
from swarm.trust.audit import PROOF_BYTES_MAX, Consistency, Head, Inclusion, read_json, read_proof

FOLLOW_S: Final = 0.5
EVENTS_MAX: Final = 100_000

EXAMPLES: Final = """\
  swarm audit tail .swarm/n1/data/audit
  swarm audit query AUDIT --did Deploy --result not_allowed
  swarm audit verify AUDIT --key key.pub --against head-of-last-week.json
  swarm audit prove AUDIT 4711 --out proof.json       then, anywhere:
  swarm audit verify proof.json --key key.pub
  swarm audit rotate-key .swarm/n1/data/audit           old proofs and old keys go on
"""

app = typer.Typer(
    help="The audit log: `swarm audit tail|query|prove|verify|rotate-key`."
    " AUDIT is the directory in a node's data_dir.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Log = Annotated[Path, typer.Argument(metavar="AUDIT", help="The directory `audit` in a node's data_dir.")]
Key = Annotated[
    str,
    typer.Option(
        "--key",
        metavar="KEY",
        help="The log's public key: 64 digits or a file of them. Have it from elsewhere than the log.",
    ),
]


@app.command("tail")
def tail(
    log: Log,
    count: Annotated[int, typer.Option("-n", min=1, max=EVENTS_MAX, help="So many of the latest.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    as_json: Json = False,
) -> None:
    """The latest events."""
    out = Output(as_json=as_json)
    if follow and as_json:
        raise Mistake("--follow has no end, and --json is one document", remedy="use one of them")
    events = AuditReader(log).query(lambda _: True, count)
    _show(out, events)
    while follow:
        time.sleep(FOLLOW_S)
        last = events[-1]["seq"] if events else -1
        news = AuditReader(log).query(_after(last), EVENTS_MAX)
        _show(out, news)
        events = news or events


@app.command("query")
def query(  # noqa: PLR0913 - every option narrows the answer down
    log: Log,
    *,
    who: Annotated[str, typer.Option(help="Part of the caller's name.")] = "",
    did: Annotated[str, typer.Option(help="Part of the method's name.")] = "",
    on: Annotated[str, typer.Option(help="Part of what it was done to: a run, an agent, a digest.")] = "",
    result: Annotated[str, typer.Option(help="How it ended: ok, or an error's code.")] = "",
    since: Annotated[str, typer.Option(metavar="TIME", help="Not before, e.g. 2026-01-05T10:00.")] = "",
    until: Annotated[str, typer.Option(metavar="TIME", help="Before this.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=EVENTS_MAX, help="The latest so many.")] = 1_000,
    as_json: Json = False,
) -> None:
    """Events that fit every condition, oldest first. Times are UTC unless they say otherwise."""
    begin, end = _moment(since, 0), _moment(until, 1 << 62)

    def wanted(facts: dict[str, Any]) -> bool:
        return (
            who in str(facts.get("who"))
            and did in str(facts.get("did"))
            and on in str(facts.get("on"))
            and result in ("", facts.get("result"))
            and begin <= int(facts.get("at_ms", 0)) < end
        )

    _show(Output(as_json=as_json), AuditReader(log).query(wanted, limit))


@app.command("prove")
def prove(
    log: Log,
    seq: Annotated[int | None, typer.Argument(min=0, metavar="[EVENT]", help="Number of the event.")] = None,
    since: Annotated[
        Path | None,
        typer.Option("--since", metavar="HEAD", help="Prove growth since this older head instead."),
    ] = None,
    key: Key = "",
    out_path: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write the proof there.")
    ] = None,
    as_json: Json = False,
) -> None:
    """A proof for somebody who has nothing but the public key: that an event is in the log, or that the log
    has only grown since an older head.
    """
    reader = AuditReader(log)
    public = read_public_key(key or str(reader.public_key_path))
    proof: Inclusion | Consistency
    if seq is not None and since is None:
        proof = reader.prove(seq, public)
    elif since is not None and seq is None:
        proof = reader.prove_consistency(_head(since), public)
    else:
        raise Mistake("what is to be proved?", place="command line", remedy="give EVENT or --since HEAD")
    document = proof.document()
    if out_path is not None:
        out_path.write_text(json.dumps(document, indent=1) + "\n")
    text = f"proof written to {out_path}" if out_path is not None else json.dumps(document, indent=1)
    Output(as_json=as_json).give(document, text=text)


@app.command("verify")
def verify(
    what: Annotated[Path, typer.Argument(metavar="AUDIT|PROOF", help="A log's directory, or a proof.")],
    key: Key = "",
    against: Annotated[
        Path | None,
        typer.Option("--against", metavar="HEAD", help="A head.json of this log that was kept elsewhere."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check a whole log, or one proof. Exit code 1 when it does not hold.

    A log is held against its signed heads line by line. A log that was cut short together with its newest
    head, or a second history signed with the same key, shows only against a head that was kept elsewhere.
    """
    out = Output(as_json=as_json)
    if not what.is_dir():
        if not key:
            raise Mistake("a proof is checked with the log's key", place="--key", remedy="add --key KEY")
        proof = read_proof(_bytes(what))
        proof.check(read_public_key(key))
        out.give({"holds": True, **proof.document()}, text=_said(proof))
        return
    reader = AuditReader(what)
    public = read_public_key(key or str(reader.public_key_path))
    verdict = reader.verify(public, None if against is None else _head(against))
    where = (
        "" if key else "\nthe key lies beside the log: have it from elsewhere to rule out an exchange of both"
    )
    kept = f", the text of those from {verdict.kept_from} on is kept" if verdict.kept_from else ""
    rest = f", {verdict.unsigned} not signed yet" if verdict.unsigned else ""
    torn = f", {verdict.torn_bytes} incomplete bytes at the end" if verdict.torn_bytes else ""
    text = (
        f"{verdict.log} holds: {verdict.events} events under {verdict.heads} heads{kept}{rest}{torn}{where}"
    )
    out.give({"holds": True, "key": public, "keys": reader.ring.document(), "verdict": verdict}, text=text)


@app.command("rotate-key")
def rotate(log: Log, as_json: Json = False) -> None:
    """Sign the log with a new key from now on, while its daemon goes on or without one.

    Old and new key both sign that the new one follows; proofs say so themselves from then on. Whoever has any
    key the log ever had can check all of it: nobody has to be given the new one. Only where the old key was
    stolen hand the new one out by another way, and let them check with that.
    """
    handover = rotate_key(log)
    text = (
        f"{handover.log} is signed with {handover.new}\n"
        f"from {handover.size} events on; what {handover.old} signed until then stays valid"
    )
    Output(as_json=as_json).give(handover.document(), text=text)


def _after(seq: int) -> Callable[[dict[str, Any]], bool]:
    return lambda facts: bool(facts["seq"] > seq)


def _show(out: Output, events: list[dict[str, Any]]) -> None:
    lines = [_line(facts) for facts in events]
    out.give(events, text="\n".join(lines))


def _line(facts: dict[str, Any]) -> str:
    at = datetime.fromtimestamp(min(int(facts.get("at_ms", 0)), 1 << 46) / 1000, UTC)
    text = f"{facts['seq']:>7}  {at:%Y-%m-%d %H:%M:%S}Z  {facts.get('result', '')!s:<12}"
    return f"{text} {facts.get('who', '')}  {facts.get('did', '')}  {facts.get('on', '')}".rstrip()


def _said(proof: Inclusion | Consistency) -> str:
    match proof:
        case Inclusion():
            return f"it holds: entry {proof.index} of {proof.head.size} of {proof.head.log} is\n{proof.entry}"
        case Consistency():
            return f"it holds: {proof.head.log} grew from {proof.before.size} to {proof.head.size} events"


def _moment(text: str, otherwise: int) -> int:
    if not text:
        return otherwise
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigRefused(f"{text!r} is no time", remedy="write it like 2026-01-05T10:00") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _head(path: Path) -> Head:
    return Head.read(read_json(_bytes(path)))


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(PROOF_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigRefused(
            f"it cannot be read: {error.strerror}", place=str(path), remedy="check the path"
        ) from None
