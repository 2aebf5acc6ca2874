"""What every test run needs before its first test is collected, and the marker for tests that need root."""

import os

import pytest
from hypothesis import HealthCheck, settings

# Must run before anything loads gRPC: servers in the tests are held to TLS 1.3 like the real ones.
import swarm.adapters.tls.tls13  # noqa: F401 - imported for its effect

# A deadline per example measures the machine, not the code; pytest-timeout bounds the whole test.
settings.register_profile(
    "swarm", deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("swarm")


def pytest_collection_modifyitems(items):
    if os.geteuid() == 0:
        return
    skip = pytest.mark.skip(reason="needs root: user and mount namespaces with a uid range")
    for item in items:
        if item.get_closest_marker("root"):
            item.add_marker(skip)
