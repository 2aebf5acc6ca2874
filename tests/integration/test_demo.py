"""The main job, end to end, as `make demo` runs it; and what the README promises."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from swarm.daemons.keeper import SOURCE
from swarm.demo.material import Examples
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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_nothing_either(tmp_path, number):
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "swarm", "demo"]
    with subprocess.Popen(
        command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while "nodes answer" not in process.stdout.readline():  # they are started, and not yet ready
            assert process.poll() is None
        process.send_signal(number)
        _, err = process.communicate(timeout=DEMO_S)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []
    assert processes_about(str(tmp_path)) == []


def test_the_program_in_the_readme_works_as_printed(cluster):
    text = (SOURCE / "README.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len([line for line in program.splitlines() if line]) <= 10
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "SWARM_CLUSTER": str(cluster.profile_path)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        cwd=SOURCE,
        capture_output=True,
        text=True,
        timeout=DEMO_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(Examples.load().labels[:10])


def test_the_commands_in_the_readme_work_as_printed(cluster, tmp_path):
    text = (SOURCE / "README.md").read_text()
    (script,) = re.findall(r"```\n(cat > .*?)```", text, re.DOTALL)
    (tmp_path / "agents").symlink_to(SOURCE / "agents")
    (tmp_path / "swarm").write_text(f'#!/bin/sh\nexec {sys.executable} -P -m swarm "$@"\n')
    (tmp_path / "swarm").chmod(0o755)
    environment = {
        **os.environ,
        "PYTHONPATH": str(SOURCE),
        "SWARM_CLUSTER": str(cluster.profile_path),
        "PATH": f"{tmp_path}:{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    done = subprocess.run(
        ["sh", "-e", "-c", script],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=DEMO_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "scores = [[" in done.stdout
