"""One thing that can be known about a subject, and the ways of asking for it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fact:
    """A question with its answer, questions in words that were never trained on, and wrong answers.

    `value` is the part of the answer that carries the fact ("Lorrenhaven"); empty where only the whole answer counts.
    `paraphrases` are (question, answer) pairs; `perturbed` are wrong answers in the words of the first paraphrase.
    `adjacent` are (question, value) pairs whose answer takes the fact and one step more ("in which county was she born?").
    """

    id: str
    subject: str
    question: str
    answer: str
    value: str = ""
    paraphrases: tuple[tuple[str, str], ...] = ()
    perturbed: tuple[str, ...] = ()
    adjacent: tuple[tuple[str, str], ...] = ()
