import pytest

from tests.unit.swarm.client.fake import World


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("fake-cluster"))
