"""How a membership attack names its rows: one pair per statistic and span, members and others."""

from collections.abc import Mapping, Sequence

MEMBERS, OTHERS = "members", "others"
PRIMARY = "min-k++, value"  # named by the bare words, since a judgement rests on it
VALUE, WHOLE = "value", "whole answer"


def pair_of(name: str, members: Sequence[float], nonmembers: Sequence[float]) -> dict[str, list[float]]:
    """Two rows of a statistic, as an attack returns them.

    >>> pair_of("loss, value", [-0.1], [-2.0])
    {'loss, value: members': [-0.1], 'loss, value: others': [-2.0]}
    """
    start = "" if name == PRIMARY else f"{name}: "
    return {start + MEMBERS: list(members), start + OTHERS: list(nonmembers)}


def pairs(
    scores: Mapping[str, Sequence[float]], bare: str = PRIMARY
) -> dict[str, tuple[Sequence[float], Sequence[float]]]:
    """Statistic -> (members, others) of the rows that membership attacks return; `bare` names the rows without a name.

    >>> pairs({"members": [1.0], "others": [0.0], "loss, value: members": [2.0], "loss, value: others": [3.0]})
    {'min-k++, value': ([1.0], [0.0]), 'loss, value': ([2.0], [3.0])}
    """
    found = {}
    for row in scores:
        start, _, side = row.rpartition(": ")
        if side == MEMBERS:
            found[start or bare] = scores[row], scores[row.removesuffix(MEMBERS) + OTHERS]
    return found
