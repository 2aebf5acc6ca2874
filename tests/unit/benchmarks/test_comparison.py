"""What is said of us beside others, from lines as benchmarks print them."""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.benchmarks.comparison import GOALS, UNFAIR, markdown, medians, ratios
from tests.benchmarks.plot import svg

ROOT = Path(__file__).parents[3]


def line(peer, case, variant="v", **figures):
    return {"peer": peer, "variant": variant, "tls": False, "case": case, "n": 1, **figures}


LINES = [
    line("swarm", "throughput", "3-nodes", per_s=9_000.0, cpu_us=100.0, p50_us=None),
    line("swarm", "throughput", "3-nodes", per_s=11_000.0, cpu_us=120.0),
    line("swarm", "throughput", "3-nodes", per_s=10_000.0, cpu_us=110.0),
    line("swarm", "throughput", "3-nodes-relaxed", per_s=15_000.0, cpu_us=90.0),
    line("ray", "throughput", "actor", per_s=1_000.0, cpu_us=500.0),
    line("ray", "throughput", "tasks", per_s=700.0, cpu_us=400.0),
    line("swarm", "idle", "3-nodes", per_s=1.0, seconds=2.0, cold_s=2.0, pss_mb=150.0),
    line("ray", "idle", "actor", per_s=1.0, seconds=5.0, cold_s=5.0, pss_mb=550.0, client_pss_mb=50.0),
    line("swarm", "fault", "3-nodes", per_s=500.0, seconds=12.0, baseline_s=10.0, lost=0),
    line("ray", "inference", "inference-single", per_s=3_000.0),
    line("ray", "inference", "inference-together", per_s=90_000.0),
]


def found(case, figure, **fields):
    (one,) = [
        one
        for one in ratios(LINES)
        if one["case"] == case and one["figure"] == figure and all(one[k] == v for k, v in fields.items())
    ]
    return one


def test_a_figure_is_the_median_of_its_rounds_and_a_peer_counts_by_its_better_variant():
    assert medians(LINES)["ray", "throughput"]["per_s"] == (1_000.0, "actor")
    assert medians(LINES)["ray", "throughput"]["cpu_us"] == (400.0, "tasks")
    assert found("throughput", "per_s", ours="swarm")["ratio"] == 10
    assert found("throughput", "per_s", ours="swarm relaxed")["ratio"] == 15
    assert found("throughput", "cpu_us")["ratio"] == 0.275


def test_a_goal_is_reached_or_missed_in_its_own_direction():
    assert found("throughput", "per_s", ours="swarm")["reached"]
    assert not found("throughput", "cpu_us")["reached"]
    assert found("fault", "share")["reached"]
    assert found("idle", "daemons_mb")["ratio"] == 0.3


def test_a_lost_result_is_not_made_up_for_by_speed():
    lost = [line("swarm", "fault", per_s=1.0, seconds=1.0, baseline_s=10.0, lost=1)]
    assert not ratios(lost)[0]["reached"]


def test_what_was_not_measured_is_compared_with_nothing():
    assert not any("celery" in one["peer"] or "dask" in one["peer"] for one in ratios(LINES))
    assert not any(one["case"] == "inference" for one in ratios(LINES))


def test_every_case_of_a_goal_says_where_it_is_unfair():
    assert {goal.case for goal in GOALS} == set(UNFAIR)


def test_the_table_and_the_plot_name_everybody_and_what_is_missing():
    table = markdown(LINES, {"celery tuned": "no environment: pip install celery"}, "Two rounds.")
    assert "| throughput | per_s | swarm: 10,000 | ray actor: 1,000 | 10 | >= 10 | reached |" in table
    assert "pip install celery" in table
    assert UNFAIR["idle"] in table
    drawn = ET.fromstring(svg(LINES))
    said = [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert {"throughput", "swarm relaxed", "ray together", "90,000"} <= set(said)


def test_a_peer_that_is_not_installed_is_told_with_how_to_install_it(tmp_path):
    command = [
        sys.executable,
        "-m",
        "tests.benchmarks.compare",
        "--peers",
        tmp_path,
        "--out",
        tmp_path / "out",
    ]
    command += ["--out", tmp_path / "out", "--case", "fault", "--only", "ray", "--budget-s", "0", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "pip install ray" in done.stdout
    assert "Not measured" in (tmp_path / "out" / "comparison.md").read_text()
