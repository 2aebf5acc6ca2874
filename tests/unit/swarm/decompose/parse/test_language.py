"""Sentences into clauses, words into stems and kinds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.decompose.parse.language import REQUEST_CHARS_MAX, parse_sentence, stem
from swarm.errors import Mistake, TooLarge


def test_a_sentence_is_cut_at_connectives_and_punctuation():
    clauses = parse_sentence("Extract the audio, transcribe it and then translate the text. Stop").clauses
    assert [clause.text for clause in clauses] == [
        "Extract the audio",
        "transcribe it",
        "translate the text",
        "Stop",
    ]


@pytest.mark.parametrize(
    ("one", "other"), [("translator", "translated"), ("summarizes", "summarize"), ("extraction", "extract")]
)
def test_words_of_one_family_share_a_stem(one, other):
    assert stem(one) == stem(other)


def test_file_names_and_addresses_say_which_kind_of_data_there_is():
    sentence = parse_sentence("Take talk.mp4 and the picture behind https://example.com/a.php?b=1")
    assert sentence.kinds == {"video", "image", "url"}


def test_long_quoted_data_is_not_read_as_a_request():
    sentence = parse_sentence("Summarize 'translate nothing, cut the video and play it aloud'")
    assert [clause.words for clause in sentence.clauses] == [("summarize",)]


def test_a_request_all_in_quotation_marks_is_read_all_the_same():
    assert parse_sentence("'please translate this text for me'").clauses[0].words[1] == "translate"


def test_a_request_without_words_is_refused():
    with pytest.raises(Mistake, match="no words"):
        parse_sentence(" ... !")


def test_an_overlong_request_is_refused_with_a_remedy():
    with pytest.raises(TooLarge, match="input"):
        parse_sentence("a" * (REQUEST_CHARS_MAX + 1))


@given(st.text(max_size=300))
def test_every_clause_stands_where_it_says_it_does(text):
    try:
        sentence = parse_sentence(text)
    except Mistake:
        return
    for clause in sentence.clauses:
        assert text[clause.start :].lstrip().startswith(clause.text)
