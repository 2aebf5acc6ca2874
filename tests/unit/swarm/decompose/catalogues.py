"""A small catalogue, and requests over it with known answers."""

from itertools import pairwise

from swarm.decompose.records import Capability, Example

LANGUAGE = Capability("Language Detector", "Detects the language of a text.", ("text",), ("text",))
TRANSLATOR = Capability("Translator", "Translates a text into English.", ("text",), ("text",))
SUMMARIZER = Capability("Summarizer", "Summarizes a text into a shorter one.", ("text",), ("text",))
TRANSCRIBER = Capability("Audio-to-Text", "Transcribes speech into text.", ("audio",), ("text",))
EXTRACTOR = Capability("Video-to-Audio", "Extracts the audio track of a video.", ("video",), ("audio",))
PAINTER = Capability("Text-to-Image", "Generates an image that a text describes.", ("text",), ("image",))
CATALOGUE = (LANGUAGE, TRANSLATOR, SUMMARIZER, TRANSCRIBER, EXTRACTOR, PAINTER)

_PHRASES = {
    EXTRACTOR: ("extract the audio from the video", "pull the sound out of the clip"),
    TRANSCRIBER: ("transcribe the speech", "write down what is said in the recording"),
    TRANSLATOR: ("translate it into English", "put the text into English"),
    SUMMARIZER: ("summarize the text", "make it much shorter"),
    PAINTER: ("generate an image of the text", "paint a picture of it"),
}
_OPENINGS = ("Please", "I want you to", "Could you", "Now")


def examples():
    """Chains of two and three neighbours of one pipeline, in varied words."""
    line = list(_PHRASES)
    found = []
    for opening in _OPENINGS:
        for start in range(len(line)):
            for length in (2, 3):
                part = line[start : start + length]
                if len(part) < 2:
                    continue
                for wording in range(2):
                    text = f"{opening} {', then '.join(_PHRASES[each][wording] for each in part)}."
                    names = tuple(each.name for each in part)
                    links = tuple(pairwise(names))
                    found.append(Example(text, names, links, (), f"{start}-{length}-{wording}-{opening}"))
    return found
