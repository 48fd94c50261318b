"""Records from what `AdapterShards.fit` takes, and the records that a request names."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from expunge.core import Record
from expunge.core.digests import digest_json
from expunge.core.errors import EmptyForgetSet, InvalidData, UnknownRecord, UnknownSubject
from expunge.core.identity import canonical_identity, identity_of, is_missing

Subjects = Sequence[str | Sequence[str]]


def as_records(
    texts: Sequence[Record | tuple[str, str] | str], subjects: Subjects | None, ids: Sequence[str] | None
) -> list[Record]:
    """Records of texts with their subjects: one name each, or several as a tuple.

    Ids default to a digest of content and subjects: equal records have one name, and leave together. A count in it would
    be that of a record which may have to leave.

    Raises: InvalidData.

    >>> as_records([("Who wrote it?", "Ada and Eve.")], [("Ada", "Eve")], ["r1"])[0].subjects
    ('Ada', 'Eve')
    """
    if not texts:
        raise InvalidData("nothing to train on: texts is empty")
    if subjects is None and not all(isinstance(t, Record) for t in texts):
        raise InvalidData("texts that are not Records need subjects=, one per text")
    if (subjects is not None and len(subjects) != len(texts)) or (ids is not None and len(ids) != len(texts)):
        raise InvalidData(f"{len(texts)} texts need as many subjects and ids")
    records: list[Record] = []
    for i, text in enumerate(texts):
        if isinstance(text, Record):
            first, *also = _names(text.subjects)
            record = replace(text, subject=first, also=tuple(also))
        else:
            question, answer = ("", text) if isinstance(text, str) else text
            first, *also = _names((subjects or [])[i])
            record = Record("", first, question, answer, also=tuple(also))
            record = replace(record, id=ids[i] if ids is not None else record_id(record))
        records.append(record)
    named = [r.id for i, r in enumerate(records) if ids is not None or isinstance(texts[i], Record)]
    if missing := sum(name == "" or is_missing(name) for name in named):
        raise InvalidData(f"{missing} of {len(records)} record ids are missing; each record needs its own")
    if len(set(named)) < len(named):
        raise InvalidData("record ids are not unique; each record needs its own")
    return records


def record_id(record: Record) -> str:
    """A name for a record by what it says and about whom, and by nothing that other records decide."""
    return digest_json("record-id", [record.subject if not record.also else sorted(record.subjects), record.content])


def ids_of(records: Iterable[Record], subjects: Sequence[str], named: Sequence[str]) -> set[str]:
    """Ids of the records that are about any of these subjects, or that are named.

    Raises: EmptyForgetSet; UnknownSubject and UnknownRecord, if there is nothing for a name.
    """
    if isinstance(subjects, str) or isinstance(named, str):
        raise InvalidData("subjects and records are lists of names; a single name belongs in a list of one")
    if not subjects and not named:
        raise EmptyForgetSet("no subjects or records were named; forgetting needs at least one")
    if strange := [name for name in (*subjects, *named) if not isinstance(name, str)]:
        raise InvalidData(f"names are text, got {strange[0]!r}; write it as it stands in the records")
    subjects = list(map(canonical_identity, subjects))
    about: dict[str, set[str]] = {}
    every = set()
    for record in records:
        every.add(record.id)
        for subject in record.subjects:
            about.setdefault(subject, set()).add(record.id)
    if missing := set(subjects) - set(about):
        raise UnknownSubject(f"{len(missing)} of {len(set(subjects))} subjects have no record in this model")
    if unknown := set(named) - every:
        raise UnknownRecord(f"{len(unknown)} of {len(set(named))} records are not in this model")
    return set(named).union(*(about[subject] for subject in subjects))


def _names(subjects: str | Sequence[str]) -> list[str]:
    """Names without repetition, in the order given."""
    several = isinstance(subjects, Iterable) and not isinstance(subjects, str)
    names: list[Any] = list(subjects) if several else [subjects]
    if not names or not all(isinstance(name, str) for name in names):
        found = next((type(name).__name__ for name in names if not isinstance(name, str)), "none")
        raise InvalidData(
            f"a record needs the name of its subject as text, or several as a tuple of names; got {found}"
        )
    return list(dict.fromkeys(map(identity_of, names)))
