from hypothesis import given
from hypothesis import strategies as st

from sandbox.errors import AgentFailed, CellError, Exceeded, Refused, clean_text


@given(st.text(max_size=5000))
def test_a_strangers_text_is_one_short_printable_line(text: str) -> None:
    found = clean_text(text)
    assert found.isprintable() or not found
    assert len(found) <= 2000


def test_what_steers_a_terminal_is_taken_out() -> None:
    assert "\x1b" not in clean_text("\x1b]0;title\x07")
    assert "\u202e" not in clean_text("abc\u202edef")
    assert clean_text("first\nsecond\r\nthird") == "first | second | third"


def test_an_error_says_the_place_and_the_remedy() -> None:
    assert str(Refused("no", place="seccomp", remedy="upgrade")) == "seccomp: no (upgrade)"
    assert str(CellError("plain")) == "plain"


def test_a_limit_that_is_hit_carries_its_numbers() -> None:
    error = Exceeded("memory_bytes", 1024, 2048)
    assert (error.limit, error.value, error.asked, error.code) == (
        "memory_bytes",
        1024,
        2048,
        "cell.exceeded",
    )
    assert "memory_bytes is 1024, asked: 2048" in str(error)


def test_the_words_of_an_agent_are_cleaned_and_cut() -> None:
    assert len(AgentFailed("x" * 10_000).message) == 2000
    assert "\x1b" not in str(AgentFailed("\x1b[2J", place="\x1b[2J"))
