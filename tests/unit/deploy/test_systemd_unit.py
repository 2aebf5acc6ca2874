"""The unit file: what it starts exists, and it keeps what the daemon relies on."""

import configparser
import shlex
from pathlib import Path

from swarm import limits

UNIT = Path(__file__).parents[3] / "deploy" / "systemd" / "swarm-node@.service"


def service():
    parser = configparser.ConfigParser(strict=True, interpolation=None)
    parser.optionxform = str
    parser.read_string(UNIT.read_text())
    return parser["Service"]


def test_the_unit_starts_a_command_the_package_installs():
    command = shlex.split(service()["ExecStart"])
    assert Path(command[0]).name == "swarm"
    assert command[1:3] == ["node", "--config"]


def test_the_unit_gives_the_daemon_longer_to_drain_than_it_takes():
    assert int(service()["TimeoutStopSec"]) * 1000 > limits.DRAIN_MS_MAX


def test_the_unit_delegates_the_controllers_cells_are_limited_by():
    assert set(service()["Delegate"].split()) >= {"cpu", "memory", "pids"}
