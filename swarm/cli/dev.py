"""`swarm dev`: keep a cluster up on this machine."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Annotated, Final

import typer

from swarm.cli.options import Json
from swarm.cli.output import Output
from swarm.client.profile import PROFILE_DEFAULT, PROFILE_VARIABLE
from swarm.daemons.local import LocalCluster

LOOK_EVERY_S: Final = 0.5
RESTARTS_MAX: Final = 100  # of all nodes together; a cluster that needs more is broken

EXAMPLES: Final = """\
  swarm dev                        three nodes under ./.swarm
  swarm dev --nodes 5 --data /tmp/five
"""


def dev(
    data: Annotated[
        Path, typer.Option("--data", metavar="DIR", help="Where everything is kept.")
    ] = PROFILE_DEFAULT.parent,
    nodes: Annotated[int, typer.Option("--nodes", min=1, help="How many daemons.")] = 3,
    as_json: Json = False,
) -> None:
    """Keep a local cluster up until Ctrl-C: real daemons, real certificates, loopback only.

    A node that dies is started again, so `kill -9` one and watch `swarm status`. The directory remembers: the
    next `swarm dev` continues with the same agents and runs.
    """
    out = Output(as_json=as_json)
    stopping = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    cluster = LocalCluster(data, nodes)
    try:
        cluster.start()
        leader = cluster.wait_ready(out.say)
        _introduce(out, cluster, leader, data)
        _keep_up(out, cluster, stopping)
        out.say("stopping ...")
    finally:
        cluster.stop()


def _introduce(out: Output, cluster: LocalCluster, leader: str, data: Path) -> None:
    out.give(
        {
            "cluster": cluster.cluster,
            "profile": cluster.profile_path,
            "leader": leader,
            "nodes": {
                node: {"address": cluster.addresses[node], "pid": cluster.pid(node)} for node in cluster.nodes
            },
        },
    )
    out.say("")
    for node in cluster.nodes:
        mark = "  leads" if node == leader else ""
        out.say(f"  {node}  {cluster.addresses[node]}  pid {cluster.pid(node)}{mark}")
    if data != PROFILE_DEFAULT.parent:
        out.say(f"\n  export {PROFILE_VARIABLE}={cluster.profile_path}")
    out.say(
        "\n  swarm deploy FILE.af              offer an agent"
        "\n  swarm submit GRAPH.yaml --wait    give it work"
        "\n  swarm status                      who leads, what runs"
        "\n\nCtrl-C stops it."
    )


def _keep_up(out: Output, cluster: LocalCluster, stopping: threading.Event) -> None:
    restarts = 0
    while not stopping.wait(LOOK_EVERY_S):
        for node in set(cluster.nodes) - set(cluster.running()):
            if restarts >= RESTARTS_MAX:
                out.say(f"{node} ended again and stays down; see {cluster.log_path(node)}", "red")
                return
            restarts += 1
            cluster.restart(node)
            out.say(f"{node} had ended; started it again, pid {cluster.pid(node)}", "yellow")
