"""Who may call what: one table for every method there is. What is not in it is denied."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from swarm.trust.identity import Role
from swarm.trust.policy import Capability

_NODES = frozenset({Role.COORDINATOR, Role.WORKER})
_READERS = frozenset({Role.COORDINATOR, Role.WORKER, Role.OBSERVER, Role.CLIENT, Role.ADMINISTRATOR})
_SUBMITTERS = frozenset({Role.COORDINATOR, Role.CLIENT, Role.ADMINISTRATOR})
_DEPLOYERS = frozenset({Role.COORDINATOR, Role.ADMINISTRATOR})

PERMISSIONS: Mapping[str, frozenset[Role]] = {
    "/swarm.v1.Raft/Pipe": frozenset({Role.COORDINATOR}),
    "/swarm.v1.Work/Attach": _NODES,
    "/swarm.v1.Calls/Open": _SUBMITTERS,
    "/swarm.v1.Blobs/Put": _NODES,
    "/swarm.v1.Blobs/Get": _NODES,
    "/swarm.v1.Swarm/Submit": _SUBMITTERS,
    "/swarm.v1.Swarm/SubmitMany": _SUBMITTERS,
    "/swarm.v1.Swarm/CancelRun": _SUBMITTERS,
    "/swarm.v1.Swarm/Deploy": _DEPLOYERS,
    "/swarm.v1.Swarm/RemoveAgent": _DEPLOYERS,
    "/swarm.v1.Swarm/Watch": _READERS,
    "/swarm.v1.Swarm/ListRuns": _READERS,
    "/swarm.v1.Swarm/ShowRun": _READERS,
    "/swarm.v1.Swarm/ExplainStep": _READERS,
    "/swarm.v1.Swarm/ListAgents": _READERS,
    "/swarm.v1.Swarm/ListNodes": _READERS,
    "/swarm.v1.Swarm/Status": _READERS,
    "/swarm.v1.Swarm/CreateToken": _DEPLOYERS,
    "/swarm.v1.Swarm/RevokeToken": _DEPLOYERS,
    "/swarm.v1.Swarm/ListTokens": _DEPLOYERS,
    "/swarm.v1.Swarm/SpendToken": frozenset({Role.COORDINATOR}),
    "/swarm.v1.Swarm/ListCoordinators": _READERS,
    "/swarm.v1.Swarm/AddCoordinator": _DEPLOYERS,
    "/swarm.v1.Swarm/RemoveCoordinator": _DEPLOYERS,
    "/swarm.v1.Swarm/Upload": _SUBMITTERS,
    "/swarm.v1.Swarm/Download": _READERS,
    "/swarm.v1.Swarm/RenewCertificate": _READERS,  # everybody, for themselves
    "/swarm.v1.Swarm/RecordCertificate": frozenset({Role.COORDINATOR}),
    "/swarm.v1.Swarm/ListCertificates": _DEPLOYERS,
    "/swarm.v1.Swarm/RotateCertificates": _DEPLOYERS,
    "/swarm.v1.Swarm/Revoke": _DEPLOYERS,
    "/swarm.v1.Swarm/ExportRun": _READERS,
    "/swarm.v1.Swarm/ApplyPolicy": _DEPLOYERS,
    "/swarm.v1.Swarm/ShowPolicy": _DEPLOYERS,
}
"""Method -> roles. Coordinators may do what clients do because a follower forwards for them."""


NEEDS: Mapping[str, Capability] = {
    "/swarm.v1.Calls/Open": Capability.SUBMIT,
    "/swarm.v1.Swarm/Submit": Capability.SUBMIT,
    "/swarm.v1.Swarm/SubmitMany": Capability.SUBMIT,
    "/swarm.v1.Swarm/CancelRun": Capability.CANCEL,
    "/swarm.v1.Swarm/Deploy": Capability.DEPLOY,
    "/swarm.v1.Swarm/RemoveAgent": Capability.DEPLOY,
    "/swarm.v1.Swarm/Watch": Capability.READ_RESULTS,
    "/swarm.v1.Swarm/ListRuns": Capability.READ_RESULTS,
    "/swarm.v1.Swarm/ShowRun": Capability.READ_RESULTS,
    "/swarm.v1.Swarm/ExplainStep": Capability.READ_RESULTS,
    "/swarm.v1.Swarm/ListAgents": Capability.READ_CLUSTER,
    "/swarm.v1.Swarm/ListNodes": Capability.READ_CLUSTER,
    "/swarm.v1.Swarm/Status": Capability.READ_CLUSTER,
    "/swarm.v1.Swarm/CreateToken": Capability.ADMIT,
    "/swarm.v1.Swarm/RevokeToken": Capability.ADMIT,
    "/swarm.v1.Swarm/ListTokens": Capability.ADMIT,
    "/swarm.v1.Swarm/ListCoordinators": Capability.READ_CLUSTER,
    "/swarm.v1.Swarm/AddCoordinator": Capability.ADMINISTER,
    "/swarm.v1.Swarm/RemoveCoordinator": Capability.ADMINISTER,
    "/swarm.v1.Swarm/Upload": Capability.SUBMIT,
    "/swarm.v1.Swarm/Download": Capability.READ_RESULTS,
    "/swarm.v1.Swarm/ListCertificates": Capability.ADMIT,
    "/swarm.v1.Swarm/RotateCertificates": Capability.ADMIT,
    "/swarm.v1.Swarm/Revoke": Capability.ADMIT,
    "/swarm.v1.Swarm/ExportRun": Capability.READ_RESULTS,
    "/swarm.v1.Swarm/ApplyPolicy": Capability.ADMINISTER,
    "/swarm.v1.Swarm/ShowPolicy": Capability.ADMINISTER,
}
"""Method -> the capability that people need for it where there is a policy. The others are between nodes."""


def allowed(method: str, role: Role) -> bool:
    """Whether a caller of this role may call this method."""
    return role in PERMISSIONS.get(method, frozenset())


def table() -> str:
    """The table as a page for people: `python -m swarm.trust.permissions > docs/permissions.md`."""
    roles = sorted(Role)
    lines = [
        "# Who may call what",
        "",
        "Made from `swarm/trust/permissions.py` by `python -m swarm.trust.permissions`; a test compares,",
        "another calls every cell with a real certificate. What is not in it is denied to everybody.",
        "",
        "The role is in the caller's certificate, signed by the cluster's authority. Coordinators may do",
        "what clients do because any of them forwards for a client; only a node may say for whom it calls.",
        "",
        "The last column is what people need besides where a policy was applied; see [policy](policy.md).",
        "",
        "| call | " + " | ".join(roles) + " | by policy |",
        "|---|" + ":-:|" * len(roles) + "---|",
    ]
    for method, allowed_roles in PERMISSIONS.items():
        cells = ("yes" if role in allowed_roles else "" for role in roles)
        need = f"`{NEEDS[method]}`" if method in NEEDS else ""
        lines.append(f"| `{method.removeprefix('/swarm.v1.')}` | {' | '.join(cells)} | {need} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(table())
