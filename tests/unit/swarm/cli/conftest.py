"""What the tests of the command line share: a fake cluster, and a way to run one command against it."""

import contextlib
import json

import pytest
import yaml

from swarm.cli import run
from tests.unit.swarm.client.fake import World


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("fake-cluster"))


@pytest.fixture
def serving(world, tmp_path, monkeypatch):
    """A context manager: a fake cluster that $SWARM_CLUSTER points at."""

    @contextlib.contextmanager
    def serve(**scripts):
        with world.serving_in_background(**scripts) as (profile, fakes):
            path = tmp_path / "client.yaml"
            document = {
                "cluster": "demo",
                "endpoints": dict(profile.endpoints),
                "ca": str(profile.ca),
                "certificate": str(profile.certificate),
                "key": str(profile.key),
            }
            path.write_text(yaml.safe_dump(document))
            monkeypatch.setenv("SWARM_CLUSTER", str(path))
            yield fakes

    return serve


@pytest.fixture
def swarm(capsys):
    """Run `swarm ARGUMENTS...`: exit code, stdout (parsed, with --json) and stderr."""

    def command(*arguments):
        code = run(arguments)
        captured = capsys.readouterr()
        out = json.loads(captured.out) if "--json" in arguments and captured.out else captured.out
        return code, out, captured.err

    return command
