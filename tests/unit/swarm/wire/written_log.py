"""A log in the schema of this version, for later versions to read.

    python -m tests.unit.swarm.wire.written_log tests/unit/swarm/wire/golden/schema-N.json

once, when schema N is new, and never again: the entries of a cluster that ran a graph, lost its leader and
ran others; an entry of every other kind; the snapshot of what they come to; and that in plain words.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path

from swarm.graph import Priority, encode
from swarm.ids import AgentName, NodeId, RunId
from swarm.scheduler.events import (
    AgentDeployed,
    AgentRemoved,
    CertificateIssued,
    Durable,
    IdentityRevoked,
    KeyRegistered,
    PolicyApplied,
    RunCancelled,
    RunSubmitted,
    StepIntent,
    StepsIntended,
    TokenCreated,
    TokenRevoked,
    TokenUsed,
)
from swarm.scheduler.ledger import Ledger
from swarm.testing.clock import run_virtually
from swarm.testing.cluster import ANN, MemoryCluster
from swarm.testing.graphs import CAPABILITIES, chain_graph, model_agent, model_reply, small_graph
from swarm.trust.policyfile import read_policy
from swarm.wire.entries import decode_event, encode_event, encode_history

Facts = dict[str, object]


def facts(ledger: Ledger) -> Facts:
    """What a log comes to, in terms that outlive the records it is kept in."""
    return {
        "runs": {
            name: {
                "status": run.status.name,
                "order": list(run.order),
                "steps": [state.name for state in run.state],
                "key": run.submitted.key,
                "principal": run.submitted.principal,
                "outputs": {
                    str(step): sorted(
                        (port, value.data.decode()) for port, value in record.outputs.items() if port == "out"
                    )
                    for step, record in run.records.items()
                },
            }
            for name, run in ledger.runs.items()
        },
        "agents": {name: deployed.agent.digest for name, deployed in ledger.agents.items()},
        "revoked": [[one.name, one.serial, one.reason] for one in ledger.members.revoked.values()],
        "members": sorted(type(event).__name__ for event in ledger.members.history()),
        "policy": ledger.policy_applied.document if ledger.policy_applied is not None else "",
    }


async def _recorded() -> list[bytes]:
    async with MemoryCluster(seed=11, call_ms=1) as cluster:
        signatures = model_agent(*CAPABILITIES).capabilities
        say = {one: lambda given: model_reply("golden", given, ()) for one in signatures}
        await cluster.deploy(cluster.agents.add("golden", say))
        await cluster.ended(await cluster.submit(chain_graph(3)))
        await cluster.kill_leader()
        for number in range(3):  # the last of them finds everything warm, and gets its result in its entry
            leader = await cluster.leader()
            graph, key = encode(chain_graph(1)), f"key-{number}"
            run, _, _ = await leader.submit(graph, {}, Priority.MEDIUM, ANN, key, waits=True)
            await cluster.ended(run)
        await asyncio.sleep(1)
        return [entry.data for entry in cluster.log.committed_after(0) if entry.data is not None]


def _others() -> list[Durable]:
    run = RunId("run-x")
    graph = small_graph("a b", ("a", "b"))
    return [
        PolicyApplied(10, read_policy('{"policy": 1}').document(), "ann"),
        AgentDeployed(11, replace(model_agent(CAPABILITIES[0]), name=AgentName("gone")), "ann"),
        AgentRemoved(12, AgentName("gone"), "ann"),
        RunSubmitted(13, run, graph, {}, Priority.HIGH, "bob", "key-x", "tenant", sign=True),
        StepsIntended(14, (StepIntent(run, 0, 3, 1, NodeId("n1")),)),
        RunCancelled(15, run, "enough", "bob"),
        TokenCreated(16, "t1", "0" * 64, "node", 1 << 40, 2, "ann"),
        TokenCreated(16, "t2", "1" * 64, "node", 1 << 40, 2, "ann"),
        TokenUsed(17, "t1", "n9", "2" * 64),
        TokenRevoked(18, "t2", "ann"),
        CertificateIssued(19, "spiffe://c/node/n9", "7f", 1 << 41, "join"),
        KeyRegistered(20, NodeId("n9"), "3" * 64),
        IdentityRevoked(21, "n8", "lost", "ann", "6e"),
    ]


def main() -> None:
    log = [*run_virtually(_recorded()), *map(encode_event, _others())]
    ledger = Ledger()
    for data in log:
        ledger.apply(decode_event(data))
    found = {
        "entries": [data.hex() for data in log],
        "snapshot": encode_history(ledger.history()).hex(),
        "facts": facts(ledger),
    }
    text = json.dumps(found, indent=1, sort_keys=True)
    Path(sys.argv[1]).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
