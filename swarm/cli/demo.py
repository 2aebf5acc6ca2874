"""`swarm demo`: the main job on this machine."""

from __future__ import annotations

import asyncio
import shutil
import signal
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Final

import typer

from swarm.cli.options import Json
from swarm.cli.output import EXIT_FAILED, Output, leave
from swarm.daemons.local import LocalCluster
from swarm.demo import Facts, Screen, main_job, show_facts

NODES: Final = 3

EXAMPLES: Final = """\
  swarm demo            live progress and a report
  swarm demo --json     the same facts as one JSON object
  swarm demo --keep     leave certificates, logs and journals to look at
"""


def demo(
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="Work here instead of a temporary directory.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Do not remove the temporary directory.")] = False,
    as_json: Json = False,
) -> None:
    """Watch it work: three nodes, four agents, 540 handwritten digits, and the leader killed on the way.

    Everything is real: separate processes, mutual TLS, an elected leader, WebAssembly in locked-down cells.
    Fails unless the answers are accurate, no step was lost, and the leader died while the task ran.
    """
    out = Output(as_json=as_json)
    with ExitStack() as stack:
        directory = data or Path(tempfile.mkdtemp(prefix="swarm-demo-"))
        if data is None and not keep:
            stack.callback(shutil.rmtree, directory)
        cluster = LocalCluster(directory, NODES, cluster="demo")
        stack.callback(cluster.stop)
        with Screen(out.console) as screen:
            facts = asyncio.run(_job(cluster, screen))
    show_facts(out.console, facts)
    if data is not None or keep:
        out.say(f"\nkept in {directory}")
    if as_json:
        out.give(facts.document())
    if not facts.passed:
        leave(EXIT_FAILED)


async def _job(cluster: LocalCluster, screen: Screen) -> Facts:
    task = asyncio.ensure_future(main_job(cluster, screen))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None  # told to end: the same as Ctrl-C, and cleaned up the same way
