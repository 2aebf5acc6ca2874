"""Nodes sign what they found, and whoever reads the log can tell."""

import numpy as np
import pytest

from swarm.errors import NotFound
from tests.integration.cluster import digit_graph, slow_graph


def test_signed_results_hold_on_the_cluster_that_made_them(swarm, command):
    run = swarm.submit(slow_graph(20, 0), sign=True)
    run.result()
    checked = run.verify()
    assert len(checked) == 20
    assert {each.fault for each in checked} == {""}
    code, found = command("runs", "verify", run.id)
    assert (code, found) == (0, {"holds": True, "results": 20, "faults": []})
    image = np.zeros((1, 64), np.float32)
    seen = swarm.submit(digit_graph(), {"image": image}, sign=True)
    seen.result()
    assert [each.fault for each in seen.verify()] == [""]


def test_results_nobody_asked_to_sign_cannot_be_verified(swarm):
    run = swarm.submit(slow_graph(1, 0))
    run.result()
    with pytest.raises(NotFound, match="not to be signed"):
        run.verify()
