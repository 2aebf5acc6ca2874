import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
PROMISES = (ROOT / "sandbox/THREATS.md").read_text(encoding="utf-8")


def test_every_promise_names_a_test_that_exists() -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", PROMISES))
    missing = {name for name in named if f"def {name}(" not in sources}
    assert not missing


def test_every_promise_has_a_test() -> None:
    section = PROMISES.split("## What we promise")[1].split("## What we do not")[0]
    promises = [line for line in section.splitlines() if line.startswith("| ")][1:]
    assert len(promises) > 10
    assert [row for row in promises if "`test_" not in row.rsplit("|", 2)[1]] == []
