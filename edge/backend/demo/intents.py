"""What the agent understands, and what it says to it: a table, read from top to bottom."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from edge.backend.demo import story

CAPITALS: Final[Mapping[str, str]] = {
    "france": "Paris",
    "germany": "Berlin",
    "italy": "Rome",
    "spain": "Madrid",
    "england": "London",
    "japan": "Tokyo",
    "china": "Beijing",
    "canada": "Ottawa",
    "russia": "Moscow",
    "egypt": "Cairo",
    "greece": "Athens",
    "poland": "Warsaw",
}

# The first pattern that is found in the caller's words (lower case, no punctuation) gives the answer. In it
# stand: {words}, all that was said; {rest}, {place}: of the pattern; {capital} of the place; {heard}, the
# agent's last words that the caller has heard; {time} and {date} of the node.
TABLE: Final = (
    ("nothing", r"^$", "I did not catch that. Please say it again."),
    ("last words", r"\bwhat (did|were) you (just )?(say|saying|said|stay)\b|\b(last thing you said|say that again)\b", "I said: {heard}"),
    ("repeat", r"\b(repeat|say|stay) after me (?P<rest>.+)", "{rest}."),
    ("capital", r"\bcapital (city )?of (?P<place>[a-z]+)", "The capital of {place} is {capital}."),
    ("story", r"\bstory\b", " ".join(story.TEXT.split())),
    ("time", r"\bwhat time\b|\bthe time\b", "It is {time}."),
    ("date", r"\bwhat day\b|\bthe date\b|\bwhat is the day\b", "Today is {date}."),
    ("week", r"\bdays\b.*\bweek\b", "A week has seven days."),
    ("spider", r"\blegs\b.*\bspider\b", "A spider has eight legs."),
    ("moon", r"\bhow far\b.*\bmoon\b", "The moon is about four hundred thousand kilometers away."),
    ("light", r"\bspeed of light\b", "Light travels three hundred thousand kilometers in a second."),
    ("name", r"\bwho are you\b|\byour name\b", "I am the demo agent of this edge."),
    ("skills", r"\bwhat can you do\b|^help\b", "Ask me for a story, and interrupt me. Or ask for the capital of France."),
    ("method", r"\bhow does this work\b", "I listen, I look into a table, and I speak. All of it happens on this machine."),
    ("mood", r"\bhow are you\b", "I am fine, thank you."),
    ("thanks", r"\bthank(s| you)\b", "You are welcome."),
    ("stop", r"^(please )?(stop|be quiet)\b", "All right."),
    ("goodbye", r"\bgood ?bye\b|\bsee you\b", "Goodbye. It was good to talk to you."),
    ("greeting", r"^(hello|hi|good (morning|afternoon|evening))\b", "Hello. What would you like to know?"),
    ("echo", r"", "You said: {words}."),
)  # fmt: skip

_INTENTS: Final = tuple((name, re.compile(pattern), reply) for name, pattern, reply in TABLE)
_NOT_A_WORD = re.compile(r"[^a-z0-9' ]+")


@dataclass(frozen=True, slots=True)
class Answer:
    """``text`` to be spoken. ``fixed``: it is the same every time, worth keeping once it has been synthesized."""

    intent: str
    text: str
    fixed: bool


GREETING: Final = Answer("greeting", "Hello. I am listening.", fixed=True)


def answer(words: str, *, now: datetime, heard: str) -> Answer:
    """What to say to ``words``. ``heard`` are the agent's own last ones."""
    words = " ".join(_NOT_A_WORD.sub(" ", words.lower()).split())
    for name, pattern, reply in _INTENTS:
        found = pattern.search(words)
        if found is None:
            continue
        slots = {
            **found.groupdict(),
            "words": words,
            "heard": heard or "nothing yet.",
            "time": now.strftime("%H:%M"),
            "date": f"{now:%A}, {now:%B} {now.day}",
        }
        place = slots.get("place")
        if place is not None and place not in CAPITALS:
            return Answer(name, f"I do not know the capital of {place}.", fixed=False)
        slots["capital"] = CAPITALS.get(place or "", "")
        slots["place"] = (place or "").capitalize()
        return Answer(name, reply.format(**slots), fixed="{" not in reply)
    raise AssertionError("the last pattern is found in everything")
