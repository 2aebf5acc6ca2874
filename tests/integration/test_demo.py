"""The main job, end to end, as `make demo` runs it."""

import json
import os
import subprocess
import sys

from swarm.daemons.local import SOURCE
from tests.integration.cluster import processes_about

DEMO_S = 60  # on an idle machine it takes under ten


def demo(directory, *arguments):
    """`swarm demo` as a process whose temporary files go to `directory`."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "TMPDIR": str(directory)}
    command = [sys.executable, "-m", "swarm", "demo", *arguments]
    return subprocess.run(
        command, env=environment, cwd=directory, capture_output=True, text=True, timeout=DEMO_S, check=False
    )


def test_the_main_job_loses_nothing_when_its_leader_is_killed(tmp_path):
    done = demo(tmp_path, "--json")
    facts = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert facts["accuracy"] >= 0.96
    assert (facts["steps"], facts["lost"], facts["killed"]) == (543, 0, True)
    assert sum(facts["nodes"].values()) == 543
    assert len(facts["nodes"]) == 3
    assert facts["new_leader"] not in (None, facts["killed_node"])
    assert 0 < facts["failover_s"] < 10
    assert facts["reexecuted"] >= 0
    assert 543 / 3 <= facts["killed_at_step"] < 543
    assert facts["images"] == sum(row["count"] for row in facts["per_digit"]) == 540
    assert list(tmp_path.iterdir()) == []
    assert processes_about(str(tmp_path)) == []
    for text in ("kill -9 n", "leads", "Accuracy per digit", "Doubtful images", "lost", "@@"):
        assert text in done.stderr
