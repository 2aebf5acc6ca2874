"""Signed results: a node says with its Ed25519 key which inputs of which step gave which outputs.

What is signed is a short statement: the step (run, number, capability), the hash of what it was given and the
hash of what it gave. Whoever has the run's graph, inputs and records can work both hashes out again, so a
result that was altered after its node gave it, or given for other inputs, does not fit its statement. Keys
are registered in the log when a node attaches, each for one node and from a moment on; a key that another one
followed stays known, so that what it signed stays verifiable, and signs nothing new once the overlap is over.

A proof is 128 bytes: the public key, the signature, and the hash of the inputs. That hash is there because an
input with a loose bond may come after the step began: what the node was given is what it says, and one of the
things that it can have been given.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from swarm.graph import REF, Items, Payload, read_ref

PROOF_BYTES: Final = 128
KEY_OVERLAP_MS: Final = 24 * 3600 * 1000  # for how long a node's older key still signs
CLOCK_SKEW_MS: Final = 5 * 60 * 1000  # between a node's calendar and the leader's

_STATEMENT: Final = "swarm step result 1"


class Key(NamedTuple):
    """A public key of a node. `until_ms` is 0 while no other has followed it."""

    node: str
    key: bytes
    from_ms: int
    until_ms: int


@dataclass(frozen=True, slots=True)
class ResultSigner:
    """A node's key."""

    key: SigningKey

    @property
    def public(self) -> bytes:
        return bytes(self.key.verify_key)

    def proof(
        self, step: tuple[str, int, str], inputs: Mapping[str, Items], outputs: Mapping[str, Items]
    ) -> bytes:
        """The proof of one result; the step is its run, its number and its capability."""
        given = hash_of(inputs)
        signature = self.key.sign(_statement(step, given, hash_of(outputs))).signature
        return self.public + signature + given


def fault(
    proof: bytes,
    step: tuple[str, int, str],
    possible: Sequence[Mapping[str, Items]],
    outputs: Mapping[str, Items],
    keys: Sequence[Key],
    at_ms: int,
) -> str:
    """Why a proof does not hold; empty where it does. `possible`: what the step can have been given.

    `keys` are those of the node that is said to have run it; `at_ms` is when it says that it did.
    """
    if not proof:
        return "it is not signed"
    if len(proof) != PROOF_BYTES:
        return "its signature is of no known form"
    public, signature, given = proof[:32], proof[32:96], proof[96:]
    known = [key for key in keys if key.key == public]
    if not known:
        return "it is signed with a key that is not its node's"
    if not any(_held(key, at_ms) for key in known):
        return "it is signed with a key that its node did not use at that time"
    try:
        VerifyKey(public).verify(_statement(step, given, hash_of(outputs)), signature)
    except BadSignatureError:
        return "what is recorded is not what its node signed"
    if given not in map(hash_of, possible):
        return "it was not made from the inputs that are recorded"
    return ""


def hash_of(values: Mapping[str, Items]) -> bytes:
    """The sha256 of what ports carry, in one order; a list of one is what is in it."""
    digest = hashlib.sha256()
    for port in sorted(values):
        items = values[port]
        payloads = (items,) if isinstance(items, Payload) else items
        if not payloads:
            continue  # a port that gathers and got nothing was given nothing
        _add(digest, port.encode())
        digest.update(len(payloads).to_bytes(8, "big"))
        for payload in payloads:
            _add(digest, payload.kind.encode())
            _add(digest, _content(payload))
    return digest.digest()


def _content(payload: Payload) -> bytes:
    """What a payload is; of one that lies elsewhere its name, for where it lies changes."""
    if payload.kind != REF:
        return payload.data
    ref = read_ref(payload.data)
    return f"{ref.kind}\n{ref.digest}\n{ref.size_bytes}".encode()


def _add(digest: hashlib._Hash, data: bytes) -> None:
    digest.update(len(data).to_bytes(8, "big"))
    digest.update(data)


def _held(key: Key, at_ms: int) -> bool:
    begun = at_ms >= key.from_ms - CLOCK_SKEW_MS
    return begun and (key.until_ms == 0 or at_ms <= key.until_ms + CLOCK_SKEW_MS)


def _statement(step: tuple[str, int, str], given: bytes, gave: bytes) -> bytes:
    run, number, capability = step
    # The first line keeps a signature made here from meaning anything elsewhere.
    return f"{_STATEMENT}\n{run}\n{number}\n{capability}\n{given.hex()}\n{gave.hex()}\n".encode()
