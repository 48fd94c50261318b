"""Names that nobody bears: of the people who are trained on, and of strangers who can be none of them."""

import random
from collections.abc import Iterator, Set

from expunge.core.errors import InvalidParameter


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FIRST = _words("Al Bren Cor Del El Far Gal Hel Is Jor Kel Lor Mar Nel Or Per Quin Ros Sel Tor Ul Ver Wil Yor Zan")
MIDDLE = _words("a e i o u an en in ar or")
LAST = _words("bert dine fric gund lia mir nora phus rick sa tha vina wen xis")
HOUSE = _words(
    "Ash Birk Crane Dahl Ekman Falk Gran Holm Ives Jarl Krog Lund Moss Nord Oak Pike Rask Sten Thorpe Vinter"
)
ENDING = _words("berg by dale feld garth hurst ley more ness over quist sen ton vale wood yard")
STRANGE = _words("brook gaard holt lind rup skog strand tofte")  # endings that only strangers' names have


def names(seed: int, skip: int, n: int) -> Iterator[str]:
    """Distinct names by walking a full cycle over all combinations, from a seeded start with a coprime stride."""
    sizes = [len(FIRST), len(MIDDLE), len(LAST), len(HOUSE), len(ENDING)]
    total = 1
    for size in sizes:
        total *= size
    if skip + n > total:
        raise InvalidParameter(f"asked for people up to number {skip + n}, there are {total} names")
    start = random.Random(f"names/{seed}").randrange(total)
    stride = 654_323  # a prime that divides none of the sizes, so the walk meets every combination once
    for i in range(skip, skip + n):
        rest, parts = (start + i * stride) % total, []
        for pool in (FIRST, MIDDLE, LAST, HOUSE, ENDING):
            rest, k = divmod(rest, len(pool))
            parts.append(pool[k])
        yield f"{parts[0]}{parts[1]}{parts[2]} {parts[3]}{parts[4]}"


def stranger(key: str, n_words: int, length: int, taken: Set[str] = frozenset(), tries: int = 200) -> str:
    """A name of up to four words, near `length` letters, that nobody in `people` bears; the same key gives the same name.

    Neither it nor a word of it is in `taken`, which is in lower case. Raises: InvalidParameter, when no name tried is free.

    >>> name = stranger("somebody", n_words=2, length=15)
    >>> name == stranger("somebody", n_words=2, length=15), len(name.split())
    (True, 2)
    """
    draw = random.Random(f"stranger/{key}")
    tried = [_strange(draw, min(n_words, 4)) for _ in range(tries)]
    found = [name for name in tried if taken.isdisjoint([name.casefold(), *name.casefold().split()])]
    if not found:
        raise InvalidParameter(
            f"none of {tries} made-up names of {n_words} words is free; {len(taken)} words are taken"
        )
    return min(found, key=lambda name: abs(len(name) - length))


def _strange(draw: random.Random, n_words: int) -> str:
    if n_words < 2:
        return draw.choice(FIRST) + draw.choice(MIDDLE) + draw.choice(STRANGE)
    forenames = [draw.choice(FIRST) + draw.choice(MIDDLE) + draw.choice(LAST) for _ in range(n_words - 1)]
    return " ".join([*forenames, draw.choice(HOUSE) + draw.choice(STRANGE)])
