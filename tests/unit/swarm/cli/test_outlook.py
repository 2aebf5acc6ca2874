"""What `swarm runs show` says of a run that goes on."""

from swarm.cli.runs import PATH_STEPS_SHOWN, _outlook
from swarm.client import ProgressInfo, RunDetails, RunInfo


def details(status, **progress):
    run = RunInfo("r", "g", "d", status, "", 9, 1, 0, 0, 1, 0, "ann", 2, False)
    given = {"done": 1, "running": 2, "ready": 3, "waiting": 4, "left_ms": None, "critical_path": ("a", "b")}
    return RunDetails(run, (), ProgressInfo(**given | progress))


def test_it_says_what_goes_on_how_long_it_may_take_and_what_it_hangs_on():
    said = _outlook(details("running", left_ms=2_340.0))
    assert said == "\n2 running, 3 ready, 4 waiting; about 2.3 s left; it hangs on a > b"


def test_it_does_not_guess_before_there_is_a_result_and_cuts_a_long_path():
    said = _outlook(details("running", critical_path=tuple("abcdefghij")))
    assert "nothing to estimate by yet" in said
    assert said.endswith(" > ".join("abcdefghij"[:PATH_STEPS_SHOWN]) + " > ...")


def test_of_a_run_that_is_over_there_is_nothing_to_say():
    assert _outlook(details("succeeded")) == ""
