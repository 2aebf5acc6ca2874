"""`swarm node`: run one daemon."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from pathlib import Path
from typing import Annotated, Final

import typer

from swarm import limits
from swarm.cli.output import leave
from swarm.daemons.config import NodeConfig
from swarm.daemons.node import serve

ORPHAN_S_MAX: Final = limits.DRAIN_MS_MAX / 1000 + 5.0  # then an orphaned daemon ends without draining

EXAMPLES: Final = """\
  swarm node --config /etc/swarm/node.yaml

  A settings file, paths relative to it:
  cluster: demo
  node: n1
  data_dir: /var/lib/swarm
  listen: 10.0.0.5:7101
  coordinators: {n1: 10.0.0.5:7101, n2: 10.0.0.6:7101, n3: 10.0.0.7:7101}
  tls: {ca: authority.pem, certificate: certificate.pem, key: key.pem}
"""


def node(
    config: Annotated[Path, typer.Option("--config", metavar="FILE", help="The node's settings, node.yaml.")],
    lifeline: Annotated[int, typer.Option(hidden=True)] = -1,
) -> None:
    """Run one daemon until SIGTERM or Ctrl-C; it drains, then stops.

    A second daemon on the same data_dir is refused.
    """
    settings = NodeConfig.load(config)
    if lifeline >= 0:
        _end_with(lifeline)
    leave(asyncio.run(serve(settings)))


def _end_with(lifeline: int) -> None:
    """Stop when the other end of a pipe closes: whoever keeps this daemon is gone, however it went."""
    os.set_inheritable(lifeline, False)
    threading.Thread(target=_wait_for_end, args=(lifeline,), name="lifeline", daemon=True).start()


def _wait_for_end(lifeline: int) -> None:
    while os.read(lifeline, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(ORPHAN_S_MAX)
    if os.getpgrp() == os.getpid():  # the head of its own group takes what it started along
        os.killpg(os.getpid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
