import errno

import pytest

from sandbox.errors import AgentFailed, Broken, Exceeded
from sandbox.overruns import Bounds, lasts, overrun

BOUNDS = Bounds(disk_bytes=1 << 20, open_files=32, threads=8)


@pytest.mark.parametrize(
    ("error", "limit", "asked"),
    [
        (OSError(errno.ENOSPC, "full"), "disk_bytes", "more room or more files"),
        (OSError(errno.EFBIG, "too large"), "disk_bytes", "more room or more files"),
        (OSError(errno.EMFILE, "too many"), "open_files", 33),
        (RuntimeError("can't start new thread"), "threads", 9),
    ],
)
def test_an_error_of_the_kernel_is_told_as_the_limit_behind_it(
    error: Exception, limit: str, asked: object
) -> None:
    met = overrun(error, BOUNDS, "someone.process_input")
    assert met is not None
    assert (met.limit, met.value, met.asked) == (limit, getattr(BOUNDS, limit), asked)
    assert met.place == "someone.process_input"
    assert lasts(met)


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOENT, "none"), OSError("no number"), RuntimeError("no"), ValueError("x")]
)
def test_any_other_error_is_the_agents_own(error: Exception) -> None:
    assert overrun(error, BOUNDS, "someone") is None


def test_time_and_output_leave_nothing_behind() -> None:
    assert not lasts(Exceeded("wall_ms", 1, "more time"))
    assert not lasts(Exceeded("output_bytes", 1, 2))
    assert not lasts(AgentFailed("x"))
    assert not lasts(Broken("x"))
