"""Every block of docs/python.md runs as it stands, and prints what it says it prints."""

import re
import runpy
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "python.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
SAID = re.compile(r"print\(.*\)  # (.*)")


def test_the_page_has_examples():
    assert len(BLOCKS) >= 4


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_an_example_runs_as_it_stands(block, cluster, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SWARM_CLUSTER", str(cluster.profile_path))
    path = tmp_path / "example.py"
    path.write_text(block)
    runpy.run_path(str(path), run_name="__main__")
    printed = capsys.readouterr().out
    assert printed
    for line in SAID.findall(block):
        assert line in printed
