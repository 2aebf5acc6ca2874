"""`swarm certs`: who has a certificate, and until when; others for old ones; nobody with a revoked one."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from cryptography import x509

from swarm.adapters.secrets import SecretReference
from swarm.adapters.tls.renewal import RENEWAL_DIRECTORY, REQUEST_FILE, proven_key
from swarm.cli.options import Cluster, Json
from swarm.cli.output import EXIT_FAILED, Output, leave, table
from swarm.client import Swarm
from swarm.client.certificates import CertificateInfo
from swarm.daemons.passphrase import load_authority
from swarm.errors import ConfigRefused, Mistake

ROTATION_S_MAX: Final = 60.0
LOOK_S: Final = 0.5

EXAMPLES: Final = """\
  swarm certs list                        every identity, its certificates and how they stand
  swarm certs rotate --all                all nodes get another certificate now; nothing is dropped
  swarm certs revoke n4 --reason "stolen" n4 is let in no more, and its streams are cut
  swarm certs revoke 5f3a...e1            that one certificate alone
  swarm certs renew                       another certificate for yourself
  swarm certs sign request.pem --current certificate.pem --authority DIR    with the authority offline
"""

app = typer.Typer(
    help="Certificates: `swarm certs list|rotate|revoke|renew|sign`.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("list")
def list_certificates(cluster: Cluster = None, as_json: Json = False) -> None:
    """Every certificate the cluster signed or met: whose, until when, and whether it still counts."""
    with Swarm.open(cluster) as swarm:
        found = swarm.certificates()
    rows = [(c.id, c.role, c.state, _day(c), c.serial, c.origin, c.reason) for c in found]
    columns = ("id", "role", "state", "until", "serial", "origin", "reason")
    Output(as_json=as_json).give(found, table=table(*columns, rows=rows))


@app.command("rotate")
def rotate(
    nodes: Annotated[list[str] | None, typer.Argument(metavar="[NODE]...", help="Which nodes.")] = None,
    everybody: Annotated[bool, typer.Option("--all", help="Every attached node.")] = False,
    cluster: Cluster = None,
    as_json: Json = False,
) -> None:
    """Let nodes get another certificate for another key now, and wait until they have.

    They do this by themselves when two thirds of a certificate's life are gone. Streams go on, nothing is
    restarted. It needs a coordinator with the authority's key: the one with `join:` in its settings.
    """
    if bool(nodes) == everybody:
        raise Mistake("which nodes?", place="command line", remedy="name some, or say --all")
    with Swarm.open(cluster) as swarm:
        before = {one.serial for one in swarm.certificates()}
        told = swarm.rotate_certificates(nodes or [])
        until, fresh = time.monotonic() + ROTATION_S_MAX, dict[str, str]()
        while set(told) - set(fresh) and time.monotonic() < until:
            time.sleep(LOOK_S)
            new = (
                one for one in swarm.certificates() if one.serial not in before and one.origin == "renewal"
            )
            fresh = {one.id: one.serial for one in new if one.id in told and one.state == "valid"}
    missing = sorted(set(told) - set(fresh))
    lines = [f"{node}: {serial}" for node, serial in sorted(fresh.items())]
    lines += [f"{node}: nothing after {ROTATION_S_MAX:.0f} s; its log says why" for node in missing]
    Output(as_json=as_json).give({"rotated": fresh, "missing": missing}, text="\n".join(lines))
    if missing:
        leave(EXIT_FAILED)


@app.command("revoke")
def revoke(
    what: Annotated[
        str, typer.Argument(metavar="ID", help="A name; or a serial number, for one certificate.")
    ],
    reason: Annotated[str, typer.Option(help="Why; they are told.")] = "",
    cluster: Cluster = None,
    as_json: Json = False,
) -> None:
    """Let somebody in no more: every node refuses their calls and cuts their streams within seconds.

    A name cannot be given out again. To replace a key that was stolen and keep the name, rotate or renew
    first and revoke the old certificate by its serial number.
    """
    with Swarm.open(cluster) as swarm:
        gone = swarm.revoke(what, reason)
    text = f"certificate {gone.serial} of {gone.id} is revoked" if gone.serial else f"{gone.id} is revoked"
    Output(as_json=as_json).give(gone, text=text)


@app.command("renew")
def renew(cluster: Cluster = None, as_json: Json = False) -> None:
    """Get another certificate for yourself, over the one you still have, and put it in its place."""
    with Swarm.open(cluster) as swarm:
        serial = swarm.renew_certificate()
    Output(as_json=as_json).give({"serial": serial}, text=f"certificate {serial} is in place")


@app.command("sign")
def sign(
    request: Annotated[
        Path, typer.Argument(metavar="REQUEST", help=f"A {RENEWAL_DIRECTORY}/{REQUEST_FILE}.")
    ],
    current: Annotated[Path, typer.Option(metavar="FILE", help="The certificate that is to be renewed.")],
    authority: Annotated[Path, typer.Option(metavar="DIR", help="The authority's folder.")],
    passphrase: Annotated[
        str | None,
        typer.Option(metavar="REFERENCE", help="Where the passphrase is, e.g. file:/run/passphrase."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Renew a certificate by hand, where the authority's key is kept away from the cluster.

    Prints the certificate. Laid as certificate.pem beside the request it is put to use by the daemon at once.
    """
    asked = x509.load_pem_x509_csr(_read(request))
    held = x509.load_pem_x509_certificate(_read(current))
    reference = SecretReference.parse(passphrase) if passphrase else None
    signer = load_authority(authority, reference, _ask)
    pem = signer.renew(proven_key(asked), held)
    Output(as_json=as_json).give({"certificate": pem.decode()}, text=pem.decode().rstrip())


def _ask() -> str:
    return str(typer.prompt("Passphrase of the authority's key", hide_input=True, err=True))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigRefused(
            f"cannot be read: {error.strerror}", place=str(path), remedy="check the path"
        ) from None


def _day(certificate: CertificateInfo) -> str:
    return f"{datetime.fromtimestamp(certificate.not_after_ms / 1000, UTC):%Y-%m-%d %H:%M}Z"
