"""Every hostile attempt in every tier and profile, with its exact outcome, and without a sandbox."""

import functools
import json
import os
import re
import subprocess
import sys

import pytest

from sandbox.attempts import ESCAPED
from sandbox.spec import PROFILES
from tests.security import expected
from tests.security.battery import ALL
from tests.security.unprivileged import REPOSITORY

BATTERY_S = 400
ROOT = os.geteuid() == 0


@functools.cache
def outcomes(mode: str) -> dict[tuple[str, str], str]:
    """What came of each attempt in each profile; runs the battery once for a mode."""
    battery = ["-m", "tests.security.battery", mode]
    command = battery if mode in {"root", "open"} else ["-m", "tests.security.unprivileged", *battery]
    done = subprocess.run(
        [sys.executable, *command],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=BATTERY_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {(line["profile"], line["attempt"]): line["outcome"] for line in lines}


@pytest.mark.timeout(BATTERY_S)
@pytest.mark.parametrize("attempt", sorted(ALL))
@pytest.mark.parametrize("tier", ["root", "user", "reduced"])
def test_an_attempt_fails_as_written_down(tier: str, attempt: str) -> None:
    if tier == "root" and not ROOT:
        pytest.skip("needs root")
    if tier not in ALL[attempt].tiers:
        pytest.skip(f"the {tier} tier does not promise this")
    pattern = expected.LETHAL_OUTCOME if ALL[attempt].lethal else expected.pattern_of(attempt, tier)
    found = {profile: outcomes(tier)[profile, attempt] for profile in PROFILES}
    wrong = {profile: line for profile, line in found.items() if not re.fullmatch(pattern, line)}
    assert not wrong, f"expected {pattern!r}"


@pytest.mark.timeout(BATTERY_S)
@pytest.mark.parametrize("attempt", sorted(expected.BITES))
def test_the_same_attempt_succeeds_without_a_sandbox(attempt: str) -> None:
    assert outcomes("bare")["bare", attempt].startswith(ESCAPED)


@pytest.mark.timeout(BATTERY_S)
@pytest.mark.parametrize("attempt", sorted(expected.BITES_WHERE_ALLOWED))
def test_the_same_attempt_succeeds_without_a_sandbox_or_this_kernel_says_why_not(attempt: str) -> None:
    outcome = outcomes("bare")["bare", attempt]
    assert outcome.startswith(ESCAPED) or re.fullmatch(expected.REFUSED_BY_THE_KERNEL, outcome)


@pytest.mark.timeout(BATTERY_S)
@pytest.mark.parametrize("attempt", expected.FILTER_ONLY)
def test_a_filter_that_allows_everything_is_found_out(attempt: str) -> None:
    assert not ALL[attempt].lethal or "SIGSYS" not in outcomes("open")["strict", attempt]
    assert outcomes("open")["strict", attempt].startswith(ESCAPED)


def test_there_are_many_attempts_and_each_has_an_outcome_written_down() -> None:
    assert len(ALL) >= 150
    bites = expected.BITES | expected.BITES_WHERE_ALLOWED
    assert len(bites) >= 120
    assert set(ALL) >= bites
    assert not expected.BITES & expected.BITES_WHERE_ALLOWED
    for name, attempt in ALL.items():
        if not attempt.lethal:
            for tier in attempt.tiers:
                expected.pattern_of(name, tier)
