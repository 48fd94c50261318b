"""What a certificate says beside its level, in sentences: what a reader must not miss."""

from collections.abc import Iterator, Mapping
from typing import Any

from expunge.core.assurance import Flag


def said(statement: Mapping[str, Any]) -> tuple[str, ...]:
    """Flags, overrides, what was not dealt with, not reached or not known, and superseded versions, one sentence each.

    >>> said({"predicate": {"flags": ["TAINTED"], "unknown": ["training data"]}})
    ('flag TAINTED: Duplicates of the data remain in what the model was trained on.', 'unknown: training data')
    """
    return tuple(_sentences(statement["predicate"]))


def _sentences(predicate: Mapping[str, Any]) -> Iterator[str]:
    for flag in predicate.get("flags", ()):
        yield f"flag {flag}: {Flag(flag).sentence}"
    delivery = _object(predicate.get("delivery"))
    override = delivery.get("override")
    for name in override if isinstance(override, list) else [override] if override else []:
        yield f"delivered all the same, with override {name}"
    for target in _objects(predicate.get("targets")):
        if target.get("result") == "declared gone":
            yield f"declared gone by its owner, and not seen to be: {target.get('target')}"
        elif target.get("result") not in ("done", "nothing held"):
            reason = f" ({target['reason']})" if target.get("reason") else ""
            yield f"not dealt with: {target.get('target')}, {target.get('decision')}, {target.get('result')}{reason}"
    for action in _objects(predicate.get("actions")):
        for note in _list(action.get("notes")):
            if isinstance(note, str) and note.startswith("not dealt with"):
                yield note
    yield from (f"not reached: {uri}" for uri in _list(delivery.get("unreachable")))
    yield from (f"unknown: {part}" for part in _list(predicate.get("unknown")))
    yield from (f"superseded since by a later delivery: {name}" for name in _list(predicate.get("superseded")))
    if since := _object(predicate.get("events")).get("since"):
        yield f"events are chained since {since}; those before are bound as they were found then"


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in _list(value) if isinstance(item, Mapping)]
