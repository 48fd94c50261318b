"""Retained records that repeat what was forgotten: as long as they stay, so does what they say."""

from collections.abc import Sequence

from expunge.core import Fact, Record
from expunge.workflow.project.leaving import Leaving

WORD_FOR_WORD = 0.95  # overlap of texts whose value is not known


def copies(leaving: Leaving) -> int:
    """Retained records that say what a leaving one says: nearly, with the same value; or all but word for word."""
    from expunge.verify.duplicates import near_duplicates

    theirs, retained = [row.record for row in leaving.theirs], leaving.retained
    pairs = near_duplicates([_text(r) for r in theirs], [_text(r) for r in retained])
    return len({p.retained for p in pairs if _same(theirs[p.forgotten], retained[p.retained], p.jaccard)})


def repeats(forgotten: Sequence[Fact], retained: Sequence[Record]) -> int:
    """How many retained records say almost word for word what a forgotten fact says.

    Records in one template are alike whoever they are about; so where the forgotten text holds the person's name or the
    fact's value, the retained one must hold them too.
    """
    from expunge.verify.duplicates import near_duplicates

    gone, left = [_text(f) for f in forgotten], [_text(r) for r in retained]
    return len(
        {
            pair.retained
            for pair in near_duplicates(gone, left)
            if _marks(forgotten[pair.forgotten]) <= _marks(forgotten[pair.forgotten], left[pair.retained])
        }
    )


def _same(gone: Record, retained: Record, jaccard: float) -> bool:
    """Two people's rows may share a long template; a value tells them apart, and without one only the overlap can."""
    return gone.value.casefold() in _text(retained).casefold() if gone.value else jaccard >= WORD_FOR_WORD


def _marks(fact: Fact, text: str | None = None) -> set[str]:
    """What of the name and the value stands in a text; by default, in the fact's own."""
    from expunge.verify.duplicates import normalised

    where = normalised(_text(fact) if text is None else text)
    return {mark for m in (fact.subject, fact.value) if m and (mark := normalised(m)) in where}


def _text(of: Fact | Record) -> str:
    return f"{of.question} {of.answer}"
