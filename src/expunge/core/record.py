"""One training example, as every room passes it around."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from expunge.core.digests import digest_json

Value = int | float | str | bool | datetime | None  # of a feature; None is nothing


@dataclass(frozen=True)
class Record:
    """A question and its answer, or plain text (an empty question), about one subject, or several.

    `id` is unique within a dataset. `value` is the part of the answer that carries the fact, where it is known.
    `also` names further subjects: when any of them leaves, so does the record. `features` are the named values of a row of
    a table, which the question holds as JSON; empty for texts.
    """

    id: str
    subject: str
    question: str
    answer: str
    value: str = ""
    also: tuple[str, ...] = ()
    features: Mapping[str, Value] = field(default_factory=dict, compare=False, repr=False)

    @property
    def subjects(self) -> tuple[str, ...]:
        """Everybody the record is about."""
        return (self.subject, *self.also)

    @property
    def content(self) -> str:
        """Digest of what the record says, without its id and subject."""
        return digest_json("record-content", [self.question, self.answer])
