"""The `swarm` command. One module per noun; no decisions, only words."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Final

import swarm.cli.quiet  # isort: skip  # this and the next must run before anything loads grpc
import swarm.adapters.tls.tls13  # noqa: F401 - imported for its effect  # isort: skip
import typer

from swarm.cli.options import JSON_FLAG, examples
from swarm.cli.output import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK, EXIT_USAGE, exit_code, show_error
from swarm.errors import Bug, Mistake, SwarmError

# Typer exports one of its parser's errors; the class above it is what every wrong use of the command raises.
_USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]

EXAMPLES = """\
  swarm demo                              everything, on this machine, in under a minute
  swarm dev                               keep a local cluster up; then, in another terminal:
  swarm deploy agents/digits/digits.af
  swarm submit graph.yaml --input image=@image.npy --wait

Exit codes: 0 done, 1 failed, 2 wrong use or bad input, 3 no cluster or no leader.
"""

# In the order of the help. A command line loads the module of its command alone: a daemon needs no other.
COMMANDS: Final = {
    "demo": "demo.demo",
    "dev": "dev.dev",
    "node": "node.node",
    "deploy": "deploy.deploy",
    "check": "check.check",
    "decompose": "decompose.app",
    "plan": "plan.plan",
    "submit": "submit.submit",
    "call": "call.call",
    "runs": "runs.app",
    "explain": "explain.explain",
    "plugins": "plugins.app",
    "agents": "agents.app",
    "nodes": "nodes.nodes",
    "doctor": "doctor.doctor",
    "status": "status.status",
    "init": "init.init",
    "join": "join.join",
    "token": "token.app",
    "coordinators": "coordinators.app",
    "log": "log.app",
    "certs": "certs.app",
    "policy": "policy.app",
    "audit": "audit.app",
}


def application(arguments: Sequence[str]) -> typer.Typer:
    """The commands that these arguments need: one, or all where they name none."""
    app = typer.Typer(
        name="swarm",
        help="Run neural agents nobody has to trust.",
        epilog=examples(EXAMPLES),
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(lambda: None)  # or a single command would take the place of the whole
    names = arguments[:1] if arguments and arguments[0] in COMMANDS else COMMANDS
    for name in names:
        home, _, attribute = COMMANDS[name].partition(".")
        module = importlib.import_module(f"swarm.cli.{home}")
        epilog = examples(module.EXAMPLES) if hasattr(module, "EXAMPLES") else None
        command = getattr(module, attribute)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name, epilog=epilog)
        else:
            app.command(name, epilog=epilog)(command)
    return app


def run(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit code."""
    as_json = JSON_FLAG in arguments
    try:
        code = application(arguments)(list(arguments), prog_name="swarm", standalone_mode=False)
    except Bug:
        raise
    except SwarmError as error:
        show_error(error, as_json=as_json)
        return exit_code(error)
    except BrokenPipeError:  # the reader of our output went away; so must what is still buffered
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except (KeyboardInterrupt, typer.Abort):
        return EXIT_INTERRUPTED
    except _USAGE_ERROR as error:
        message = error.format_message() if hasattr(error, "format_message") else str(error)
        if not message:  # `swarm` alone: the help was the answer
            return EXIT_USAGE
        show_error(Mistake(message, place="command line", remedy="see --help"), as_json=as_json)
        return EXIT_USAGE
    return code if isinstance(code, int) else EXIT_OK


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))
