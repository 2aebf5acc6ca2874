"""The `swarm` command. One module per noun; no decisions, only words."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import swarm.cli.quiet  # isort: skip  # this and the next must run before anything loads grpc
import swarm.adapters.tls.tls13  # noqa: F401 - imported for its effect  # isort: skip
import typer

from swarm.cli import (
    agents,
    audit,
    call,
    certs,
    check,
    decompose,
    demo,
    deploy,
    dev,
    doctor,
    explain,
    log,
    node,
    nodes,
    plan,
    runs,
    status,
    submit,
)
from swarm.cli import init as founding
from swarm.cli import join as joining
from swarm.cli import token as tokens
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

app = typer.Typer(
    name="swarm",
    help="Run neural agents nobody has to trust.",
    epilog=examples(EXAMPLES),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("demo", epilog=examples(demo.EXAMPLES))(demo.demo)
app.command("dev", epilog=examples(dev.EXAMPLES))(dev.dev)
app.command("node", epilog=examples(node.EXAMPLES))(node.node)
app.command("deploy", epilog=examples(deploy.EXAMPLES))(deploy.deploy)
app.command("check", epilog=examples(check.EXAMPLES))(check.check)
app.add_typer(decompose.app, name="decompose", epilog=examples(decompose.EXAMPLES))
app.command("plan", epilog=examples(plan.EXAMPLES))(plan.plan)
app.command("submit", epilog=examples(submit.EXAMPLES))(submit.submit)
app.command("call", epilog=examples(call.EXAMPLES))(call.call)
app.add_typer(runs.app, name="runs")
app.command("explain", epilog=examples(explain.EXAMPLES))(explain.explain)
app.add_typer(agents.app, name="agents")
app.command("nodes", epilog=examples(nodes.EXAMPLES))(nodes.nodes)
app.command("doctor", epilog=examples(doctor.EXAMPLES))(doctor.doctor)
app.command("status")(status.status)
app.command("init", epilog=examples(founding.EXAMPLES))(founding.init)
app.command("join", epilog=examples(joining.EXAMPLES))(joining.join)
app.add_typer(tokens.app, name="token")
app.add_typer(log.app, name="log", epilog=examples(log.EXAMPLES))
app.add_typer(certs.app, name="certs", epilog=examples(certs.EXAMPLES))
app.add_typer(audit.app, name="audit", epilog=examples(audit.EXAMPLES))


def run(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit code."""
    as_json = JSON_FLAG in arguments
    try:
        code = app(list(arguments), prog_name="swarm", standalone_mode=False)
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
