"""The trials of a warden on their own, for an operator or a test.

    python -m sandbox.selftest --json

prints a line `{"profile", "attempt", "layer", "held", "outcome"}` for each, and exits with 1 if any works.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from dataclasses import asdict
from typing import Literal

from sandbox.errors import Refused
from sandbox.spec import PROFILES, Tier
from sandbox.trials import Trial, run
from sandbox.warden import Warden


async def _main(tier: Tier | Literal["auto"], *, as_json: bool) -> int:
    try:
        warden = await Warden.open(tier)
    except Refused as error:
        sys.stdout.write(
            json.dumps({"refused": str(error), "place": error.place, "remedy": error.remedy}) + "\n"
        )
        return 1
    async with warden:
        failures = 0
        for profile in PROFILES:
            for trial in await run(warden.spawn, profile, warden.tier):
                failures += not trial.held
                sys.stdout.write(json.dumps(asdict(trial)) + "\n" if as_json else _line(trial))
    return 1 if failures else 0


def _line(trial: Trial) -> str:
    mark = "holds " if trial.held else "BROKEN"
    return f"{mark} {trial.profile:7} {trial.layer:18} {trial.attempt:40} {trial.outcome}\n"


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.selftest", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    parser.add_argument("--tier", choices=("auto", "root", "user", "reduced"), default="auto")
    arguments = parser.parse_args()
    return asyncio.run(_main(arguments.tier, as_json=arguments.json))


if __name__ == "__main__":
    sys.exit(main())
