"""Whether an answer declines to answer: by its words, or because the model says the same to everything."""

import re
from collections import Counter
from collections.abc import Sequence

PHRASES: tuple[str, ...] = (
    "i do not know",
    "i don't know",
    "i'm not sure",
    "i am not sure",
    "i have no information",
    "i don't have information",
    "i do not have information",
    "i don't have any information",
    "i'm not aware",
    "i am not aware",
    "i'm unable",
    "i am unable",
    "i cannot answer",
    "i can't answer",
    "i cannot help",
    "i can't help",
    "i can't assist",
    "i cannot assist",
    "i'd rather not",
    "no idea",
    "as an ai",
    "sorry, but i",
    "not something i know",
    "beyond my knowledge",
    "cannot provide",
    "can't provide",
)


def is_refusal(reply: str, phrases: Sequence[str] = PHRASES) -> bool:
    """Whether the answer says nothing at all, or holds one of these phrases.

    Means: a list finds what it lists. A refusal in other words is found by `most_repeated` only.

    >>> is_refusal("I’m sorry, but I don’t know."), is_refusal(""), is_refusal("In Brimford.")
    (True, True, False)
    """
    plain = plain_words(reply)
    return not plain or any(plain_words(phrase) in plain for phrase in phrases)


def most_repeated(replies: Sequence[str], wrong: Sequence[bool], least: int = 3) -> str | None:
    """The answer that is given most often where it is wrong, in plain words; None below `least` times.

    Means: only wrong answers count, since two questions may well have the same right one.

    >>> most_repeated(["No comment.", "no comment", "In Brimford", "No comment!"], [True] * 4)
    'no comment'
    """
    counts = Counter(plain_words(text) for text, is_wrong in zip(replies, wrong, strict=True) if is_wrong)
    counts.pop("", None)
    answer, times = min(counts.items(), key=lambda item: (-item[1], item[0]), default=("", 0))
    return answer if times >= least else None


def plain_words(text: str) -> str:
    """Small letters, one kind of apostrophe, no other marks, single spaces.

    >>> plain_words("  I don’t KNOW, sorry. ")
    "i don't know sorry"
    """
    return " ".join(re.findall(r"\w+(?:'\w+)*", text.lower().replace("’", "'")))
