"""A node signs with its newest key, and makes another one when that is old."""

import os
import stat

import pytest

from swarm.adapters.resultkeys import KEYS_KEPT, open_result_keys
from swarm.errors import ConfigRefused


def test_a_key_is_made_once_and_for_its_owner_alone(tmp_path):
    first = open_result_keys(tmp_path / "keys")
    assert open_result_keys(tmp_path / "keys").public == first.public
    [path] = (tmp_path / "keys").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_old_key_is_followed_by_another_and_a_few_are_kept(tmp_path):
    seen = set()
    for _ in range(KEYS_KEPT + 3):
        seen.add(open_result_keys(tmp_path / "keys").public)
        for path in (tmp_path / "keys").iterdir():
            os.utime(path, (0, 0))
    assert len(seen) == KEYS_KEPT + 3
    assert len(list((tmp_path / "keys").iterdir())) == KEYS_KEPT


def test_what_is_no_key_is_refused(tmp_path):
    open_result_keys(tmp_path / "keys")
    [path] = (tmp_path / "keys").iterdir()
    path.write_text("nonsense")
    with pytest.raises(ConfigRefused):
        open_result_keys(tmp_path / "keys")
