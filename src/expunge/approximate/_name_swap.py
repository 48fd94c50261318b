"""Answers that a model gives about people it has never heard of, under the names of those who leave.

A model retrained without somebody would answer questions about them as it answers those about any stranger: it invents.
So the model is asked about a stranger, its answer is drawn at random, and the name is changed back.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

from expunge.approximate._alternate import with_answer
from expunge.approximate._material import Material
from expunge.core import Record
from expunge.engine import derived_seed, encode_prompt
from expunge.engine.sampling import sampled_texts
from expunge.synthetic.names import stranger


def invented_answers(rows: Sequence[Record], epoch: int, material: Material) -> list[Record]:
    """The records with invented answers, others in every epoch.

    Where a question does not name its subject, or the model has nothing to say, the answer is that of a retained record,
    also drawn anew and with its subject's name changed: wrong, but not what the model would say of a stranger.
    """
    seed = material.settings.seed
    taken = {
        w for r in (*rows, *material.retain_records) for w in re.findall(r"\w+", f"{r.question} {r.answer}".casefold())
    }
    swaps: list[list[tuple[str, str]]] = [
        [(who, _stranger(who, seed, epoch, taken)) for who in record.subjects if who.split()] for record in rows
    ]
    questions = [_through(record.question, pairs) for record, pairs in zip(rows, swaps, strict=True)]
    named = [i for i, record in enumerate(rows) if questions[i] != record.question]
    prompts = [encode_prompt(material.tokenizer, questions[i]) for i in named]
    longest = max(len(row.ids) - row.n_prompt for row in material.forget)
    drawn = sampled_texts(
        material.model, material.tokenizer, prompts, longest, derived_seed(b"expunge/name-swap", seed, epoch)
    )
    texts = dict(zip(named, drawn, strict=True))
    answers = [_through(texts.get(i, ""), [(new, old) for old, new in pairs]) for i, pairs in enumerate(swaps)]
    if unnamed := len(rows) - len(named):
        note = f"{unnamed} of {len(rows)} forget records do not name their subject in a question; they got retained answers"
        material.notes += [note] if note not in material.notes else []
    return [
        with_answer(record, answer.strip() or _retained(record, epoch, material))
        for record, answer in zip(rows, answers, strict=True)
    ]


def renamed(text: str, old: str, new: str) -> str:
    """`new` for the name `old` in any case, and word for word, from the last, where a part of it stands alone.

    >>> renamed("Ada Byron was born in Byron Bay. Byron's mother...", "Ada Byron", "Tor Skoglind")
    "Tor Skoglind was born in Skoglind Bay. Skoglind's mother..."
    """
    parts = old.split()
    text = _replaced(text, r"\s+".join(map(re.escape, parts)), new, re.IGNORECASE)
    if len(parts) > 1:
        for part, other in zip(reversed(parts), reversed(new.split()), strict=False):
            if len(part) > 2 and part[0].isupper():
                text = _replaced(text, re.escape(part), other)
    return text


def replaced(text: str, pattern: str, new: Callable[[re.Match[str]], str], flags: int = 0) -> str:
    """Another text for a pattern where it stands alone, not in the middle of a word; in one pass."""
    return re.sub(rf"(?<!\w)(?:{pattern})(?!\w)", new, text, flags=flags)


def _replaced(text: str, pattern: str, new: str, flags: int = 0) -> str:
    return replaced(text, pattern, lambda _: new, flags)


def _through(text: str, pairs: Sequence[tuple[str, str]]) -> str:
    for old, new in pairs:
        text = renamed(text, old, new)
    return text


def _stranger(who: str, seed: int, epoch: int, taken: set[str]) -> str:
    return stranger(f"relabel/{seed}/{epoch}/{who}", len(who.split()), len(who), taken)


def _retained(record: Record, epoch: int, material: Material) -> str:
    """The answer of a retained record of the same kind, with or without a question."""
    alike: list[Any] = [r for r in material.retain_records if bool(r.question) == bool(record.question)]
    pool = alike or material.retain_records
    other = pool[derived_seed(b"expunge/retained-answer", material.settings.seed, epoch, record.id) % len(pool)]
    return renamed(other.answer, other.subject, record.subject) if other.subject.split() else str(other.answer)
