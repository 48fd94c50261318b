"""The units of a model that hold records of somebody who leaves."""

from collections.abc import Mapping, Set

from expunge.core import TouchedUnit


def touched_units(members: Mapping[str, Mapping[bytes, int]], gone: Set[bytes]) -> list[TouchedUnit]:
    """Of units whose members are known by commitment and slice, those that lose some, each from the first slice that does.

    >>> touched_units({"a": {b"1": 1, b"2": 2}, "b": {b"3": 1}}, {b"2"})
    [TouchedUnit(id='a', n_removed=1, first_slice=2)]
    """
    return [
        TouchedUnit(unit, len(lost), min(held[commitment] for commitment in lost))
        for unit, held in members.items()
        if (lost := gone & held.keys())
    ]
