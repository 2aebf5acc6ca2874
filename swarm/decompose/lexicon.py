"""General English that capability descriptions rely on: words of one meaning, and words for kinds of data.

This is a dictionary, not a model: nothing in it was learnt from requests. A concept is written
`=name`, so that it can never be taken for a word. `KINDS` says which words, and which file
endings, mean which kind of data; `KIND_OF_WORD` is the same, turned round.
"""

from __future__ import annotations

from typing import Final


def spoken_list(text: str) -> list[str]:
    """The words of a text, so that a long list can be read and written as prose."""
    return text.split()


STOPWORDS: Final = frozenset(
    spoken_list(
        """a an and are as at be been but by can could do does for from had has have he her him his how i if
    in
    into is it its just let like may me might mine my need of on onto or our please shall she should
    so some such than that the their them then there these they this those to too up us very want
    was we were what when where which while who whom will with would you your given provided provide
    using use based following containing contains also finally first next after afterwards before
    lastly called named file files help new"""
    )
)

_CONCEPTS: Final = {
    "combine": "combine merge join splice splicer stitch concatenate blend mix unite append together single",
    "denoise": "noise denoise background unwanted hiss noisy cleanup reduces reduction",
    "transcribe": "transcribe transcription transcript speech spoken caption subtitle",
    "ocr": "ocr recognition optical",
    "summary": "summarize summary summarise shorten condense shorter brief concise points",
    "translate": "translate translation english language french spanish german chinese",
    "sentiment": "sentiment emotion mood tone positive negative neutral feeling",
    "grammar": "grammar grammatical error correct proofread mistake spelling corrections",
    "simple": "simple simplify simpler understandable easier plain easy",
    "expand": "expand detailed elaborate descriptive longer extend detail lengthen",
    "keyword": "keyword keywords key terms phrases important",
    "paraphrase": "paraphrase rephrase reword different wording rewrite rewrites",
    "unique": "unique spin spinner synonyms syntax plagiarism article",
    "topic": "topic topics idea ideas brainstorm",
    "download": "download downloads fetch retrieve downloader",
    "search": "search find look searches query internet web online browse lookup inquire inquiry enquire",
    "effects": "effect effects reverb chorus equalization echo equalizer",
    "voice": "voice pitch gender tone",
    "waveform": "waveform spectrogram visually represent visualize visual representation visualization",
    "slideshow": "slideshow slide",
    "panorama": "panorama collage panoramic",
    "color": "color colour colorize colourize black white colorful colored",
    "style": "style artistic stylize",
    "stable": "stabilize stabilise stable shaky smooth smoother steady",
    "speed": "speed faster slower slow playback double fast",
    "sync": "synchronize synchronise sync timing align match",
    "voiceover": "voiceover narration narrate narrator",
    "similar": "similar resembling alike lookalike",
    "frame": "still frame screenshot snapshot",
    "create": "create generate make produce build compose write add establish open register",
    "change": "change modify adjust alter update edit revise convert transform turn replace reschedule",
    "cancel": "cancel cancellation remove delete drop withdraw unsubscribe revoke del cancelling",
    "set": "set schedule arrange plan setup configure",
    "book": "book reserve reservation booking order purchase buy",
    "send": "send email mail sms message notify forward transmit",
    "check": "check query verify view see status information detail track tracking inquire read",
    "count": "count number total sum tally many",
    "detect": "detect recognize identify classify determine recognise detection classification label",
    "sort": "sort rank order arrange",
    "filter": "filter select choose keep only exclude",
    "compare": "compare comparison difference versus diff",
    "compute": "compute calculate calculation evaluate work estimate",
    "predict": "predict forecast prediction score",
}

KINDS: Final = {
    "image": "image picture photo photograph panorama collage frame screenshot jpg jpeg png gif bmp waveform"
    " spectrogram drawing painting illustration",
    "video": "video clip footage movie film slideshow mp4 mov avi mkv webm",
    "audio": "audio sound recording music voice speech song track podcast wav mp3 flac ogg m4a soundtrack"
    " voiceover narration",
    "text": "text document article script description sentence paragraph note transcript story essay content"
    " txt words caption message letter summary instruction instructions topics keywords review blog",
    "url": "url link website address http https www webpage",
    "table": "table spreadsheet csv tsv dataset rows columns xlsx",
    "number": "number count total value figure",
}

CONCEPT_OF_WORD: Final[dict[str, tuple[str, ...]]] = {}
for _concept, _words in _CONCEPTS.items():
    for _word in _words.split():
        CONCEPT_OF_WORD[_word] = (*CONCEPT_OF_WORD.get(_word, ()), f"={_concept}")

KIND_OF_WORD: Final = {word: kind for kind, words in KINDS.items() for word in words.split()}
