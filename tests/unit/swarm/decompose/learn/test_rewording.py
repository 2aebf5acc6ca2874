"""Requests in other words: the same one always the same way, data untouched, nothing said twice."""

from swarm.decompose.learn.rewording import in_other_words, reworded
from swarm.decompose.records import Example

REQUEST = "Please check the balance of my account, then inquire about flights and buy a ticket."


def test_a_request_becomes_another_one_and_always_the_same():
    other = reworded(REQUEST)
    assert other != REQUEST
    assert other == reworded(REQUEST)
    assert {"balance", "account", "flights", "ticket"} <= set(other.replace(",", "").strip(".").split())


def test_what_is_quoted_stays_as_it_is():
    for number in range(20):
        text = f"Please create note {number} and write 'please cancel, then check and buy' into it."
        assert "'please cancel, then check and buy'" in reworded(text)


def test_a_text_without_known_words_may_stay_and_is_never_empty():
    assert reworded("xyzzy").endswith("xyzzy")
    assert reworded("please") != ""


def test_only_requests_without_rephrasings_are_reworded_within_their_group():
    alone = Example(REQUEST, ("a",), (), (("a", "check the balance"),), "1")
    twice = [Example(text, ("b",), (), (), "2") for text in ("cancel it", "call it off")]
    (heard,) = in_other_words([alone, *twice])
    assert (heard.group, heard.nodes) == ("1", ("a",))
    assert [name for name, _ in heard.steps] == ["a"]
    (unnamed,) = in_other_words([Example(REQUEST, ("a",), ())])
    assert unnamed.group == REQUEST
