"""The same request in other words, by rule, so that training hears more than one way to ask.

People who wrote the examples share their habits: one always "inquires", another "looks up". A model that was
taught by one of them leans on those words. So each request that came without rephrasings is heard once more
with other openings and with words exchanged for others of the same sense. This is a plain list of general
English, no model: it knows no capability, and what stands in quotation marks stays as it is. One text always
becomes the same other text.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from swarm.decompose.parse.language import QUOTED
from swarm.decompose.records import Example

EXCHANGED: Final = 0.7  # of the words that could be exchanged
LEFT_OUT: Final = 0.5  # of what only joins or softens
OPENED: Final = 0.5  # of the requests get another opening

_SENSES: Final = """
check|look up|verify|see|inspect|examine|take a look at
query|look up|ask about|find out|look into|request
inquire about|ask about|enquire about|find out|look into|check on
find|look for|search for|locate|seek|track down
search|look|hunt
search for|look for|find|seek
buy|purchase|get|acquire|pick up
purchase|buy|get|acquire
create|make|set up|prepare|draw up
generate|produce|make|create|prepare
make|create|produce|prepare
delete|remove|erase|get rid of|discard
remove|take away|delete|drop|strip
change|alter|modify|switch|move|shift
modify|change|alter|edit|revise
update|change|revise|renew|bring up to date
adjust|change|alter|tweak|adapt
edit|change|revise|rework
replace|swap|exchange|substitute
reschedule|move|postpone|shift|put off
cancel|call off|drop|withdraw|annul|undo
book|reserve|secure|get|order
reserve|book|secure|hold
reservation|booking
booking|reservation
appointment|booking|slot
send|forward|deliver|pass on|mail
submit|hand in|send in|file|put in
tell me|let me know|inform me of|show me
inform|tell|notify|advise
notify|inform|alert|tell
provide|give|supply|hand
give|provide|offer
confirm|verify|make sure of|double-check
ensure|make sure|see to it
verify|check|confirm|validate
set|put|fix|arrange
arrange|organize|set up|plan
schedule|plan|arrange|time
start|begin|launch|open
begin|start|commence
open|launch|start
close|shut|end
end|finish|stop
stop|halt|end
complete|finish|carry out
show|display|present|bring up
view|see|look at|show
read|look through|go through
combine|merge|join|put together|blend
merge|combine|join|unite
convert|turn|transform|change
transform|turn|convert|change
extract|pull out|take out|get
apply|use|add|put
use|employ|make use of
add|insert|include|put in
write|put down|note|compose
record|note down|write down|capture
compose|write|draft
calculate|compute|work out|figure out
compute|calculate|work out
count|tally|number
transfer|move|send|wire
move|shift|transfer
pay|settle|cover
log into|sign in to|access
log in|sign in
describe|explain|outline
explain|describe|clarify
improve|enhance|better|refine
enhance|improve|boost
download|fetch|retrieve|get
obtain|get|acquire
retrieve|get|fetch
analyze|examine|study|look into
analyse|examine|study|look into
evaluate|assess|judge|rate
identify|recognize|spot|tell
determine|find out|work out|establish
detect|spot|find|notice
translate|render|put
summarize|sum up|condense|shorten
shorten|condense|cut down
expand|extend|lengthen|elaborate
rewrite|rephrase|reword
select|choose|pick
choose|pick|select
compare|contrast|set side by side
recommend|suggest|propose
suggest|propose|recommend
understand|grasp|learn
learn|find out|get to know
know|learn|hear
repair|fix|mend
fix|repair|mend
problem|issue|trouble|fault
issue|problem|trouble
information|details|data|facts
details|particulars|information
detailed|full|complete|exact
current|present|latest
available|free|open
picture|image|photo
photo|picture|image
movie|film
document|file|paper
trip|journey|travel
hotel|inn
meeting|conference|gathering
price|cost
cost|price
amount|sum
money|funds|cash
job|position|work
car|vehicle
buddy|friend
quickly|fast|soon
immediately|at once|right away|without delay
then|after that|next|afterwards
next|then|after that
after that|then|next|afterwards
finally|in the end|lastly|at last
lastly|finally|in the end
first|to begin with|at first|initially
also|as well|in addition|too
in addition|also|besides
because|since|as
originally|at first|initially
as soon as possible|soon|promptly
i want to|i would like to|i wish to|i mean to|i plan to
i need to|i have to|i must|i want to|i would like to
i would like to|i want to|i'd like to|i wish to|i need to
i need you to|would you|can you|i want you to
i need|i want|i could use|i am after
i want|i need|i wish for|i would like
help me|assist me to|lend me a hand to
please help me|could you|can you|would you please
please|kindly|could you
could you|can you|would you|please
can you|could you|would you|please
"""
_SOFT: Final = "please|also|then|finally|first|just|next|now|at the same time|in addition|help me|kindly"
_OPENINGS: Final = (
    "Hi. ",
    "Good morning. ",
    "I have a request. ",
    "Here is what is to be done. ",
    "When you have a moment: ",
    "Could you do this for me? ",
    "Thanks in advance. ",
    "This is what I am looking for. ",
)
_OTHERS: Final = {line.split("|")[0]: tuple(line.split("|")[1:]) for line in _SENSES.strip().splitlines()}
_WORDS: Final = re.compile(
    r"\b(?:" + "|".join(sorted(map(re.escape, _OTHERS), key=len, reverse=True)) + r")\b", re.IGNORECASE
)
_SOFTENERS: Final = re.compile(rf"\b(?:{_SOFT})\b,?\s*", re.IGNORECASE)


def reworded(text: str) -> str:
    """The same request in other words."""
    dice = np.random.default_rng(zlib.crc32(text.encode()))

    def softer(found: re.Match[str]) -> str:
        return "" if dice.random() < LEFT_OUT else found[0]

    def exchanged(found: re.Match[str]) -> str:
        others = _OTHERS[found[0].lower()]
        if dice.random() >= EXCHANGED:
            return found[0]
        other = others[int(dice.integers(0, len(others)))]
        return other.capitalize() if found[0][0].isupper() else other

    parts, start = [], 0
    for quoted in [*QUOTED.finditer(text), None]:
        plain = text[start : quoted.start() if quoted else len(text)]
        parts.append(_WORDS.sub(exchanged, _SOFTENERS.sub(softer, plain)))
        if quoted:
            parts.append(quoted[0])
            start = quoted.end()
    changed = "".join(parts).strip()
    if dice.random() < OPENED:
        changed = _OPENINGS[int(dice.integers(0, len(_OPENINGS)))] + changed
    return changed or text


def in_other_words(examples: Sequence[Example]) -> list[Example]:
    """One rewording of each request that came without rephrasings, in the group of its request."""
    seen: dict[str, int] = {}
    for each in examples:
        seen[group_of(each)] = seen.get(group_of(each), 0) + 1
    return [
        replace(
            each,
            text=reworded(each.text),
            steps=tuple((name, reworded(words)) for name, words in each.steps),
            group=group_of(each),
        )
        for each in examples
        if seen[group_of(each)] == 1
    ]


def group_of(example: Example) -> str:
    """What rephrasings of one request share."""
    return example.group or example.text
