"""Forgotten texts that were kept under another name: near-duplicates among the retained data, which make a result TAINTED.

MinHash signatures (Broder 1997) cut into bands (Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, Sec. 3.4) propose
pairs; each is then compared exactly. So nothing is reported that is not a near-duplicate, texts that are equal after
normalisation are always found, and a near-duplicate is missed with a probability that is known.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from expunge.core.errors import InvalidParameter

SHINGLE = 5  # characters
ROWS = 6  # hashes per band
BANDS = 30
LOOSENED = 0.15  # a signature estimates an overlap with a deviation of 0.035 at most; further below, a pair is dropped
LOWEST = 0.7  # threshold, below which too many pairs would be missed
_BLOCK = 4096  # texts at a time, which bounds memory
_NOT_WORD = re.compile(r"\W+")
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))  # splitmix64 (Steele, Lea, Flood 2014)

Words = NDArray[np.uint64]
Places = NDArray[np.intp]


@dataclass(frozen=True)
class NearDuplicate:
    """Positions in the two lists, and the share of shingles that both texts have among those that either has."""

    forgotten: int
    retained: int
    jaccard: float


def near_duplicates(forgotten: Sequence[str], retained: Sequence[str], threshold: float = 0.8) -> list[NearDuplicate]:
    """Pairs of a forgotten and a retained text whose shingles overlap by `threshold` or more, sorted by position.

    Shingles: runs of 5 characters of the normalised text (`normalised`). A text without any character is nobody's duplicate.
    Means: a short passage inside of a long document has a small overlap and is not found; neither is a translation or a
    retelling. Two people's records in one template overlap by what the template says: look at the pairs.
    Guarantee: all pairs with equal normalised texts; of pairs with overlap s all but a share of `miss_probability(s)`,
    and one in 10,000 at most whose signature misjudges them.

    Raises: InvalidParameter, for a threshold outside [0.7, 1].

    >>> near_duplicates(["Ada was born in Brimford, in 1901."], ["Bo lives in Askel.", "ADA was born in Brimford in 1901"])
    [NearDuplicate(forgotten=0, retained=1, jaccard=1.0)]
    """
    if not LOWEST <= threshold <= 1:
        raise InvalidParameter(
            f"threshold must lie in [{LOWEST}, 1], got {threshold}; below, too many pairs are missed"
        )
    gone = _Shingled.of(forgotten)
    found: list[NearDuplicate] = []
    for start in range(0, len(retained), _BLOCK):
        staying = _Shingled.of(retained[start : start + _BLOCK])
        for i, j in _candidates(gone, staying, threshold):
            if (overlap := jaccard(gone.sets[i], staying.sets[j])) >= threshold:
                found.append(NearDuplicate(int(gone.places[i]), start + int(staying.places[j]), overlap))
    return sorted(found, key=lambda pair: (pair.forgotten, pair.retained))


def miss_probability(overlap: float) -> float:
    """How likely a pair of this overlap shares no band, and so is never compared: (1 - s^rows)^bands.

    >>> [round(miss_probability(s), 6) for s in (0.7, 0.8, 0.9, 1.0)]
    [0.023401, 0.000109, 0.0, 0.0]
    """
    return float((1 - overlap**ROWS) ** BANDS)


def normalised(text: str) -> str:
    """Lower case, compatibility forms, words apart by single spaces; the text itself where it has no word.

    >>> normalised("  The “Ｑuick”,\\tbrown-fox!"), normalised("?!")
    ('the quick brown fox', '?!')
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _NOT_WORD.sub(" ", folded).strip() or folded.strip()


def jaccard(a: Words, b: Words) -> float:
    """Overlap of two sorted arrays of distinct hashes.

    >>> jaccard(np.array([1, 2, 3], np.uint64), np.array([2, 3, 4], np.uint64))
    0.5
    """
    both = len(np.intersect1d(a, b, assume_unique=True))
    return both / (len(a) + len(b) - both)


@dataclass(frozen=True)
class _Shingled:
    """Texts that have any shingle: their places in the list given, sets of shingle hashes, and signatures [N, hashes]."""

    places: Places
    sets: list[Words]
    signatures: Words

    @classmethod
    def of(cls, texts: Sequence[str]) -> "_Shingled":
        words = [normalised(text) for text in texts]
        places = np.array([i for i, w in enumerate(words) if w], dtype=np.intp)
        sets = _shingles([words[i] for i in places])
        return cls(places, sets, _signatures(sets))


def _shingles(texts: Sequence[str]) -> list[Words]:
    """The distinct hashes of each text's shingles, sorted; a text shorter than a shingle is one shingle."""
    if not texts:
        return []
    padded = [t.ljust(SHINGLE, "\0") for t in texts]
    codes = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    hashes = np.zeros(len(codes) - SHINGLE + 1, dtype=np.uint64)
    for k in range(SHINGLE):
        hashes = _mixed(hashes + codes[k : k + len(hashes)] + np.uint64(1))
    ends = np.cumsum([len(t) for t in padded])
    starts = ends - [len(t) for t in padded]
    return [np.unique(hashes[a : b - SHINGLE + 1]) for a, b in zip(starts, ends, strict=True)]


def _signatures(sets: Sequence[Words]) -> Words:
    """The smallest value of each of ROWS x BANDS keyed hashes over a text's shingles, [N, hashes]."""
    found = np.empty((len(sets), ROWS * BANDS), dtype=np.uint64)
    if not sets:
        return found
    flat, starts = np.concatenate(sets), np.concatenate([[0], np.cumsum([len(s) for s in sets])[:-1]]).astype(np.intp)
    for k, key in enumerate(_mixed(np.arange(1, ROWS * BANDS + 1, dtype=np.uint64))):
        found[:, k] = np.minimum.reduceat(_mixed(flat ^ key), starts)
    return found


def _candidates(gone: _Shingled, staying: _Shingled, threshold: float) -> list[tuple[int, int]]:
    """Pairs that share a band and whose signatures do not rule the threshold out, in order."""
    if not gone.sets or not staying.sets:
        return []
    pairs = [_equal(_band(gone.signatures, k), _band(staying.signatures, k)) for k in range(BANDS)]
    both = np.unique(np.concatenate([i * len(staying.sets) + j for i, j in pairs]))
    found: list[tuple[int, int]] = []
    for part in np.array_split(both, max(1, len(both) // 100_000)):
        i, j = np.divmod(part, len(staying.sets))
        alike = (gone.signatures[i] == staying.signatures[j]).mean(axis=1) >= threshold - LOOSENED
        found += zip(i[alike].tolist(), j[alike].tolist(), strict=True)
    return found


def _band(signatures: Words, k: int) -> Words:
    """One number per text for the hashes of a band."""
    number = np.zeros(len(signatures), dtype=np.uint64)
    for row in range(k * ROWS, (k + 1) * ROWS):
        number = _mixed(number + signatures[:, row])
    return number


def _equal(a: Words, b: Words) -> tuple[Places, Places]:
    """All (i, j) with a[i] == b[j]."""
    order = np.argsort(b, kind="stable")
    first, last = (np.searchsorted(b[order], a, side=side) for side in ("left", "right"))
    n = last - first
    i = np.repeat(np.arange(len(a)), n)
    within = np.arange(len(i)) - np.repeat(np.cumsum(n) - n, n)
    return i, order[np.repeat(first, n) + within]


def _mixed(x: Words) -> Words:
    """splitmix64's finaliser: a bijection of 64 bits that scatters neighbours; arithmetic wraps on purpose."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * _MIX[0]
    x = (x ^ (x >> np.uint64(27))) * _MIX[1]
    return np.asarray(x ^ (x >> np.uint64(31)), dtype=np.uint64)
