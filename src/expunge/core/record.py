"""One training example, as every room passes it around."""

from dataclasses import dataclass

from expunge.core.digests import digest_json


@dataclass(frozen=True)
class Record:
    """A question and its answer, or plain text (an empty question), about one subject, or several.

    `id` is unique within a dataset. `value` is the part of the answer that carries the fact, where it is known.
    `also` names further subjects: when any of them leaves, so does the record.
    """

    id: str
    subject: str
    question: str
    answer: str
    value: str = ""
    also: tuple[str, ...] = ()

    @property
    def subjects(self) -> tuple[str, ...]:
        """Everybody the record is about."""
        return (self.subject, *self.also)

    @property
    def content(self) -> str:
        """Digest of what the record says, without its id and subject."""
        return digest_json("record-content", [self.question, self.answer])
