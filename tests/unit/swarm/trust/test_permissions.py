"""The page about permissions says what the code does."""

from pathlib import Path

import swarm
from swarm.trust import Role
from swarm.trust.permissions import PERMISSIONS, table

PAGE = Path(swarm.__file__).parents[1] / "docs" / "permissions.md"


def test_the_page_is_the_table():
    assert PAGE.read_text() == table(), "python -m swarm.trust.permissions > docs/permissions.md"


def test_every_method_has_a_line_and_no_worker_submits_or_deploys():
    assert all(f"`{method.removeprefix('/swarm.v1.')}`" in table() for method in PERMISSIONS)
    for method in ("Submit", "CancelRun", "Deploy", "RemoveAgent", "CreateToken", "SpendToken"):
        assert Role.WORKER not in PERMISSIONS[f"/swarm.v1.Swarm/{method}"]
        assert Role.OBSERVER not in PERMISSIONS[f"/swarm.v1.Swarm/{method}"]
