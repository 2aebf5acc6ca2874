"""`python -m tests.whole`: every test, as `make test` runs them.

Tests with real processes meet the weather of the machine they run on. Where few of them failed and nothing
else did, the files they are in run once more from a fresh start, and what then passed is named at the end as
unsteady: it does not stop the build, and it is a defect to be looked into. Nothing else is tried again.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Final

import pytest

UNSTEADY_MAX: Final = 3  # more at once is no weather
WITH_PROCESSES: Final = ("tests/integration/", "tests/security/", "tests/conformance/")
ESCAPES: Final = "tests/security/test_attempts.py"  # what gets out once has got out


class Failures:
    """A pytest plugin that remembers what failed."""

    def __init__(self) -> None:
        self.tests: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and report.nodeid not in self.tests:
            self.tests.append(report.nodeid)


def deserves_another(failed: list[str]) -> bool:
    """Whether these failures may be the machine's."""
    return 0 < len(failed) <= UNSTEADY_MAX and all(
        test.startswith(WITH_PROCESSES) and not test.startswith(ESCAPES) for test in failed
    )


def main(arguments: list[str]) -> int:
    failures = Failures()
    code = int(pytest.main(["-q", *arguments], plugins=[failures]))
    if code != pytest.ExitCode.TESTS_FAILED or not deserves_another(failures.tests):
        return code
    files = list(dict.fromkeys(test.partition("::")[0] for test in failures.tests))
    sys.stdout.write(f"\n== once more, from a fresh start: {' '.join(files)}\n")
    sys.stdout.flush()
    code = subprocess.run([sys.executable, "-m", "pytest", "-q", *files], check=False).returncode
    if code == 0:
        sys.stdout.write("\n== UNSTEADY: failed at first, passed at the second attempt; please report\n")
        sys.stdout.writelines(f"   {test}\n" for test in failures.tests)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
