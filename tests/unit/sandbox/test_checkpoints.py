import pytest

from sandbox import checkpoints
from sandbox.errors import AgentFailed

CODE, WEIGHTS, STATE = b"code", bytes(range(8)), bytes(range(4))
DATA = checkpoints.pack(CODE, WEIGHTS, STATE)


def unpacked(data, code=CODE, state=4):
    return bytes(checkpoints.unpack("agent", code, data, 8, state))


def test_weights_and_state_come_back_as_they_were():
    assert unpacked(DATA) == WEIGHTS + STATE == checkpoints.content(DATA)
    assert len(DATA) == 80 + 12
    assert checkpoints.content(WEIGHTS) == WEIGHTS


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "at least 80 bytes, got 0"),
        (DATA[:79], "at least 80 bytes, got 79"),
        (b"JUNK" + DATA[4:], "no checkpoint"),
        (DATA[:4] + b"\2\0" + DATA[6:], "version is 2, this host reads 1"),
        (DATA[:-1], "announces 92 bytes and has 91"),
        (DATA + b"\0", "announces 92 bytes and has 93"),
        (DATA[:-1] + b"\xff", "it was changed"),
        (DATA[:48] + bytes(32) + DATA[80:], "it was changed"),
    ],
)
def test_what_is_no_checkpoint_or_was_changed_is_refused(data, reason):
    with pytest.raises(AgentFailed, match=reason):
        unpacked(data)


def test_a_checkpoint_of_another_agent_is_refused():
    with pytest.raises(AgentFailed, match="another agent"):
        unpacked(DATA, code=b"other")
    with pytest.raises(AgentFailed, match=r"this agent has 8 \+ 0 bytes.*it holds 8 \+ 4"):
        unpacked(DATA, state=0)
