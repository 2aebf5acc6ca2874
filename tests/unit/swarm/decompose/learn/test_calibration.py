"""Confidence that means what it says."""

import numpy as np
import pytest

from swarm.decompose.learn.calibration import fit_calibration


def test_boasting_is_brought_down_to_the_share_that_was_right():
    raw = np.full(1000, 0.95)
    right = (np.arange(1000) % 2 == 0).astype(float)
    assert fit_calibration(raw, right)(0.95) == pytest.approx(0.5, abs=0.02)


def test_a_surer_answer_stays_the_surer_one():
    chance = np.random.default_rng(3)
    raw = chance.uniform(size=2000)
    curve = fit_calibration(raw, (chance.uniform(size=2000) < raw**2).astype(float))
    assert curve(0.2) < curve(0.5) < curve(0.9)
    assert curve(0.5) == pytest.approx(0.25, abs=0.06)
