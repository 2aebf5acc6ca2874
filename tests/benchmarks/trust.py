"""What trust costs: `python -m tests.benchmarks.trust [--json] [--case authz]`; lines of {case, value, unit}.

authz          what the gate's question costs a call: who is this, and may they, by role and by policy
audit_append   events a second, durable: recorded in one thread, hashed, signed, written and fsynced
proof_make     a proof of inclusion in a log of a million events, the tree in memory
proof_check    checking it, signature included, with the public key alone
rotation_dropped   of 10,000 requests to a loaded cluster of three, how many failed while all its certificates
               were exchanged again and again (tests/benchmarks/rotation.py)
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from nacl.signing import SigningKey

from swarm.adapters.audit import AuditLog, AuditReader
from swarm.adapters.rpc.callers import Access
from swarm.adapters.rpc.gate import Gate
from swarm.adapters.tls import Authority
from swarm.trust import Role
from swarm.trust.audit import Event, Head, Inclusion
from swarm.trust.identity import client_identity
from swarm.trust.merkle import Tree, leaf_hash
from swarm.trust.policy import Capability, Grant, Policy
from tests.benchmarks.rotation import rotation

CALLS = 20_000
EVENTS = 100_000
TREE_EVENTS = 1_000_000
PROOFS = 1_000
WAITING_MAX = 20_000

Line = dict[str, object]


class Call:
    """A call's context, as gRPC gives it."""

    def __init__(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            authority = Authority.create(Path(directory) / "ca", "demo")
            files = authority.issue_client("ann", Role.CLIENT, Path(directory) / "ann")
            certificate = files.certificate.read_bytes()
        self.identity = {
            "transport_security_type": [b"ssl"],
            "peer_spiffe_id": [client_identity("demo", "ann").uri.encode()],
            "x509_pem_cert": [certificate],
        }

    def auth_context(self) -> dict[str, list[bytes]]:
        return self.identity


def authz() -> Iterator[Line]:
    policy = Policy(True, principals={"ann": Grant("acme", frozenset({Capability.SUBMIT}))})
    gate, call, method = Gate(Access("demo", lambda: policy)), Call(), "/swarm.v1.Swarm/Submit"
    yield line("authz", median_us(lambda: gate.admit(call, method), CALLS), "us/call")


def audit_append() -> Iterator[Line]:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as directory:
        log = AuditLog.open(Path(directory), "bench/n1")
        began = time.perf_counter()
        for number in range(EVENTS):
            log.record(event(number))
            if number % WAITING_MAX == WAITING_MAX - 1:
                log.flush()
        log.flush()
        rate = EVENTS / (time.perf_counter() - began)
        log.close()
        assert AuditReader(Path(directory)).verify(log.public_key).events == EVENTS
    yield line("audit_append", rate, "events/s")


def proofs(case: str) -> Iterator[Line]:
    key, tree = SigningKey.generate(), Tree()
    for number in range(TREE_EVENTS):
        tree.append(leaf_hash(event(number).line(number)))
    head = Head.sign(key, "bench/n1", tree.size, tree.root(), 0)
    public = bytes(key.verify_key).hex()
    wanted = [number * 7919 % TREE_EVENTS for number in range(PROOFS)]
    made = [
        Inclusion(event(number).line(number).decode(), number, tuple(tree.inclusion(number)), head)
        for number in wanted
    ]
    turns = iter(range(10 * PROOFS))
    if case == "proof_make":
        value = median_us(lambda: tree.inclusion(wanted[next(turns) % PROOFS]), PROOFS)
    else:
        value = median_us(lambda: made[next(turns) % PROOFS].check(public), PROOFS)
    yield line(case, value / 1000, "ms")


def rotation_dropped() -> Iterator[Line]:
    dropped, requests, exchanges, seconds = rotation()
    for one in dropped[:10]:
        print(one, file=sys.stderr)
    found = line("rotation_dropped", len(dropped), f"of {requests} requests")
    yield found | {"exchanges": exchanges, "seconds": round(seconds, 1)}


def event(number: int) -> Event:
    return Event(
        at_ms=1_767_600_000_000 + number,
        who="spiffe://demo/client/client/ann",
        did="/swarm.v1.Swarm/Submit",
        on=f"run-01j9{number:012d}",
        source="ipv4:127.0.0.1:40000",
        took_ms=1.5,
        context={"role": "client"},
    )


def median_us(call: Callable[[], object], count: int) -> float:
    times = []
    for _ in range(count):
        began = time.perf_counter_ns()
        call()
        times.append((time.perf_counter_ns() - began) / 1e3)
    return statistics.median(times)


def line(case: str, value: float, unit: str) -> Line:
    return {"case": case, "value": round(value, 4), "unit": unit}


CASES: dict[str, Callable[[], Iterator[Line]]] = {
    "authz": authz,
    "audit_append": audit_append,
    "proof_make": lambda: proofs("proof_make"),
    "proof_check": lambda: proofs("proof_check"),
    "rotation_dropped": rotation_dropped,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object per line")
    parser.add_argument("--case", choices=CASES, action="append", help="only this case; may be repeated")
    arguments = parser.parse_args()
    for case in arguments.case or CASES:
        for found in CASES[case]():
            text = f"{found['case']:<16} {found['value']:>12} {found['unit']}"
            print(json.dumps(found) if arguments.json else text, flush=True)


if __name__ == "__main__":
    main()
