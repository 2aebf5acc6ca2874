"""`swarm doctor` on this very machine: it attacks real cells."""

import json
import os

import pytest

from sandbox import Refused, Warden
from swarm.cli import run


def test_what_held_here_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["serves"] is True
    assert report["tier"] == ("root" if os.geteuid() == 0 else "user")
    assert {"network", "filesystem", "processes", "syscalls"} <= set(report["held"])
    assert all(found["reason"] and found["remedy"] for found in report["missing"])


def test_the_tier_without_processes_says_what_it_lacks(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--tier", "wasm-only"]) == 0
    said = capsys.readouterr().out
    assert "holds  wasm" in said
    assert "lacks  network" in said


def test_a_host_that_refuses_is_told_with_its_remedy(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> Warden:
        raise Refused("no user namespaces", place="namespaces", remedy="sysctl -w user.max_user_namespaces=9")

    monkeypatch.setattr(Warden, "start", refuse)
    assert run(["doctor", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["serves"] is False
    assert report["missing"][0]["remedy"].startswith("sysctl")


def test_a_tier_nobody_knows_is_a_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--tier", "strongest"]) == 2
    assert "none of auto" in capsys.readouterr().err
