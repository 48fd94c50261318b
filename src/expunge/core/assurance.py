"""The level of claim that evidence carries, and the flags that override it. See DESIGN, "Promises"."""

from enum import IntEnum, StrEnum


class Assurance(IntEnum):
    """One ladder, ordered. A level is the strongest sentence that may be said.

    >>> Assurance.SUPPRESSED < Assurance.EXACT
    True
    """

    CLAIMED = 0
    SUPPRESSED = 1
    RESISTS_BLACK_BOX = 2
    RESISTS_WHITE_BOX = 3
    CERTIFIED = 4
    EXACT = 5

    @property
    def sentence(self) -> str:
        """What may be said at this level, and no more."""
        return _SENTENCES[self]


_SENTENCES = {
    Assurance.CLAIMED: "The request was processed. Nothing more is shown.",
    Assurance.SUPPRESSED: "Ordinary questions no longer bring the data out. It may still be in the weights.",
    Assurance.RESISTS_BLACK_BOX: "The black-box attacks of this battery did not bring the data out at their budget. "
    "That is no proof of absence.",
    Assurance.RESISTS_WHITE_BOX: "No attack of this battery, with access to the weights, brought the data out at its budget. "
    "That is no proof of absence.",
    Assurance.CERTIFIED: "The model is within a stated (epsilon, delta) of one trained without the data, under stated assumptions.",
    Assurance.EXACT: "The delivered state equals training without the data under the recorded recipe, and a replay matched.",
}


class Flag(StrEnum):
    """What overrides a level."""

    RETAINED = "RETAINED"
    HIDDEN = "HIDDEN"
    PARTIAL = "PARTIAL"
    OVER_FORGOTTEN = "OVER_FORGOTTEN"
    DAMAGED = "DAMAGED"
    TAINTED = "TAINTED"
    EXPIRED = "EXPIRED"
    INCONCLUSIVE = "INCONCLUSIVE"
    EXCEPTIONS = "EXCEPTIONS"

    @property
    def blocks(self) -> bool:
        """Whether nothing may be delivered over it without an override by name: all that accuse, or void what was measured."""
        return self not in (Flag.OVER_FORGOTTEN, Flag.INCONCLUSIVE, Flag.EXCEPTIONS)

    @property
    def sentence(self) -> str:
        return _FLAGS[self]


_FLAGS = {
    Flag.RETAINED: "Plain questions still recover at least half of what the original knew.",
    Flag.HIDDEN: "Plain questions find little, but an attack brings the data back: it was hidden, not forgotten.",
    Flag.PARTIAL: "Plain questions still recover part of what the original knew.",
    Flag.OVER_FORGOTTEN: "The model knows less than one that never saw the data; the gap itself gives away what was removed.",
    Flag.DAMAGED: "Retained skill fell below 0.9 of the control; a wrecked model resists every attack.",
    Flag.TAINTED: "Duplicates of the data remain in what the model was trained on.",
    Flag.EXPIRED: "The weights or their precision changed after the audit.",
    Flag.EXCEPTIONS: "Something that holds, or may hold, what was asked for was not dealt with; it is named.",
    Flag.INCONCLUSIVE: "The evidence does not suffice: too few facts, no control, or an attack that could not run.",
}
