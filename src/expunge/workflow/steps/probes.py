"""What the version of a request is asked: what its records said, or the user's better probes about the same people."""

from collections.abc import Sequence
from pathlib import Path

from expunge.core import Fact, Record
from expunge.report.words import plural
from expunge.verify import Probes, read_probes
from expunge.workflow.project.leaving import facts_of

RETAIN_FACTS = 200


def probes_of(
    path: Path | None, forgotten: Sequence[Fact], live: Sequence[Record], retained: Sequence[Record]
) -> tuple[Probes, tuple[str, ...]]:
    """Facts about those who left, about those who stay, and about strangers; and a note for each of the user's left out.

    `retained` are the live records without canaries, which nobody is asked about beside people.
    """
    left, stay = {fact.subject for fact in forgotten}, {record.subject for record in live}
    stated = tuple(facts_of(retained)[:RETAIN_FACTS])
    if path is None:
        return Probes(tuple(forgotten), stated), ()
    given, notes = read_probes(path), []
    theirs = tuple(fact for fact in given if fact.subject in left)
    if n := sum(not fact.subject for fact in given):
        notes.append(
            f"{plural(n, 'probe')} without a subject could be asked of nobody and {'was' if n == 1 else 'were'} left out"
        )
    if not theirs:
        notes.append("no probe given is about the people of this request; what their own records say was asked instead")
    probes = Probes(
        theirs or tuple(forgotten),
        tuple(fact for fact in given if fact.subject in stay)[:RETAIN_FACTS] or stated,
        tuple(fact for fact in given if fact.subject and fact.subject not in left | stay),
    )
    return probes, tuple(notes)
