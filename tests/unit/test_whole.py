"""Which failures are tried once more, and that the second word counts."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.whole import UNSTEADY_MAX, deserves_another

ROOT = Path(__file__).parents[2]
CLUSTER = "tests/integration/test_cluster.py::test_it_runs"


@pytest.mark.parametrize(
    ("failed", "again"),
    [
        ([], False),
        ([CLUSTER], True),
        ([CLUSTER] * UNSTEADY_MAX, True),
        ([CLUSTER] * (UNSTEADY_MAX + 1), False),
        ([CLUSTER, "tests/unit/swarm/test_ids.py::test_names"], False),
        (["tests/security/test_attempts.py::test_an_attempt"], False),
        (["tests/security/test_kill_chain.py::test_nobody_is_left"], True),
    ],
)
def test_few_failures_of_tests_with_processes_alone_are_tried_again(failed, again):
    assert deserves_another(failed) is again


def test_what_fails_in_a_unit_test_stays_failed(tmp_path):
    wrong = tmp_path / "test_wrong.py"
    wrong.write_text("def test_wrong():\n    assert False\n")
    command = [sys.executable, "-m", "tests.whole", str(wrong), "-p", "no:cacheprovider", "--no-header"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode == 1
    assert "once more" not in ended.stdout
