"""`swarm node`: run one daemon."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Annotated, Final

import structlog
import typer

from swarm import limits
from swarm.cli.options import Json
from swarm.cli.output import Output, leave
from swarm.daemons.config import NodeConfig
from swarm.daemons.node import serve
from swarm.idle import PatientLoop

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
    as_json: Json = False,
) -> None:
    """Run one daemon until SIGTERM or Ctrl-C; it drains, then stops.

    A second daemon on the same data_dir is refused. The log goes to stderr, as JSON lines with --json.
    """
    settings = NodeConfig.load(config)
    _log_to_stderr(settings.log_level, as_json=as_json)
    if lifeline >= 0:
        _end_with(lifeline)
    with asyncio.Runner(loop_factory=PatientLoop) as runner:
        code = runner.run(serve(settings))
    if as_json:
        Output(as_json=True).give({"node": settings.node, "exit_code": code})
    leave(code)


def _log_to_stderr(level: str, *, as_json: bool) -> None:
    colours = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    people = structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=structlog.dev.plain_traceback)
    renderers = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *(renderers if as_json else [people]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )


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
