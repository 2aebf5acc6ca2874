"""A few seeds of the world whose machines are lost with their disks; `make sim` goes through more."""

import pytest

from tests.simulation.disks_world import run_seed


@pytest.mark.parametrize("seed", range(6))
def test_machines_are_lost_with_their_disks_and_nothing_needed_is(seed):
    run_seed(seed)
