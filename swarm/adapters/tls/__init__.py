"""Certificates and mutual TLS 1.3 for gRPC: who issues, who proves, who is at the other end."""

from __future__ import annotations

from swarm.adapters.tls import tls13 as tls13  # isort: skip  # must run before anything loads grpc
from swarm.adapters.tls.authority import Authority, Validity
from swarm.adapters.tls.credentials import FILES_MAX, SERVER_OPTIONS, ChannelFactory, TlsIdentity
from swarm.adapters.tls.diagnose import explain_failure, load_proof
from swarm.adapters.tls.files import IdentityFiles
from swarm.adapters.tls.peers import Peer, Peers, peer_identity
from swarm.adapters.tls.tls13 import require_tls13

__all__ = [
    "FILES_MAX",
    "SERVER_OPTIONS",
    "Authority",
    "ChannelFactory",
    "IdentityFiles",
    "Peer",
    "Peers",
    "TlsIdentity",
    "Validity",
    "explain_failure",
    "load_proof",
    "peer_identity",
    "require_tls13",
]
