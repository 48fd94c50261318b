"""How an outcome or a flag looks: always a word and a shape, and a colour that colour-blind readers tell apart.

Colours: Okabe and Ito (2008). They live in the style sheet under the names used here, with a light and a dark variant.
"""

from dataclasses import dataclass

from expunge.core import Flag, Outcome
from expunge.report.words import NOT_RUN, UNKNOWN

# Outlines in a box of 12 by 12.
SHAPES = {
    "circle": "M6 1a5 5 0 1 0 0 10A5 5 0 1 0 6 1z",
    "ring": "M6 1a5 5 0 1 0 0 10A5 5 0 1 0 6 1zM6 3.2a2.8 2.8 0 1 1 0 5.6 2.8 2.8 0 1 1 0-5.6z",
    "up": "M6 .8 11.6 11H.4z",
    "down": "M6 11.2 11.6 1H.4z",
    "diamond": "M6 .3 11.7 6 6 11.7.3 6z",
    "square": "M1.2 1.2h9.6v9.6H1.2z",
    "half": "M6 1a5 5 0 1 0 0 10zM7.2 1.2v9.6A5 5 0 0 0 7.2 1.2z",
    "plus": "M4.4 1h3.2v3.4H11v3.2H7.6V11H4.4V7.6H1V4.4h3.4z",
    "cross": "M2.8.8 6 4 9.2.8l2 2L8 6l3.2 3.2-2 2L6 8l-3.2 3.2-2-2L4 6 .8 2.8z",
    "bar": "M.8 4.4h10.4v3.2H.8z",
}


@dataclass(frozen=True)
class Mark:
    """A word, a shape and the name of a colour."""

    word: str
    shape: str
    colour: str

    @property
    def path(self) -> str:
        return SHAPES[self.shape]


_OUTCOMES = {
    Outcome.RECOVERED: Mark("RECOVERED", "up", "vermillion"),
    Outcome.NOT_RECOVERED: Mark("NOT_RECOVERED", "circle", "blue"),
    Outcome.INCONCLUSIVE: Mark("INCONCLUSIVE", "diamond", "orange"),
    Outcome.NO_CONTRAST: Mark("NO_CONTRAST", "ring", "purple"),
}
_FLAGS = {
    Flag.RETAINED: Mark("RETAINED", "cross", "vermillion"),
    Flag.HIDDEN: Mark("HIDDEN", "up", "vermillion"),
    Flag.PARTIAL: Mark("PARTIAL", "half", "orange"),
    Flag.OVER_FORGOTTEN: Mark("OVER_FORGOTTEN", "down", "purple"),
    Flag.DAMAGED: Mark("DAMAGED", "plus", "vermillion"),
    Flag.TAINTED: Mark("TAINTED", "square", "vermillion"),
    Flag.EXPIRED: Mark("EXPIRED", "ring", "orange"),
    Flag.INCONCLUSIVE: Mark("INCONCLUSIVE", "diamond", "orange"),
}
_REPLAYS = {
    True: Mark("MATCHED", "circle", "blue"),
    False: Mark("DID NOT MATCH", "cross", "vermillion"),
}


def outcome_mark(outcome: object) -> Mark:
    """An outcome that this version does not know is unknown, not good."""
    known = {str(name): mark for name, mark in _OUTCOMES.items()}
    return known.get(str(outcome), Mark(UNKNOWN, "bar", "muted"))


def flag_mark(flag: object) -> Mark:
    """A flag that this version does not know keeps its word."""
    known = {str(name): mark for name, mark in _FLAGS.items()}
    return known.get(str(flag), Mark(str(flag), "bar", "vermillion"))


def replay_mark(replay: object) -> Mark:
    return _REPLAYS[replay] if isinstance(replay, bool) else Mark(NOT_RUN, "bar", "muted")
