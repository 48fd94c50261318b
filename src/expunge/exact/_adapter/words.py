"""Which shard a question is about: the one that knows the words which the base did not expect.

A shard keeps a set of keyed hashes: the words of its own records, and the pairs of words that stand beside each other
there. The set is rebuilt with the shard, so it forgets with it, and nothing is counted across shards. A word of a
question weighs as many nats as the clean base is surprised by it: names weigh much, the language of the questions
little, and no list of common words has to be fitted on anybody's data.
"""

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from expunge.core import Record
from expunge.exact._adapter.questions import read_questions

MOST = 0.5  # a shard must know more than this share of a question, or the base answers. A fitted share would be data
_WORD = re.compile(r"\w+")
_BEFORE = 8  # tokens decoded together, so that a letter of several tokens and a leading space come out right


def known_words(records: Iterable[Record], salt: bytes) -> Tensor:
    """Keyed hashes of the words and pairs of words of these records: sorted, distinct, int64.

    >>> one = known_words([Record("1", "Ada", "Where was Ada born?", "In London.")], b"salt")
    >>> len(one), len(known_words([], b"salt"))
    (10, 0)
    """
    found: set[int] = set()
    for record in records:
        for text in (record.question, record.answer):
            words = [word for word, _, _ in _words(text)]
            found.update(_keyed(salt, word) for word in words)
            found.update(_keyed(salt, *pair) for pair in pairwise(words))
    return torch.tensor(sorted(found), dtype=torch.int64)


def most_known(
    base: Any, tokenizer: Any, known: Sequence[Tensor], salt: bytes, ids_BT: Tensor, mask_BT: Tensor
) -> list[int | None]:
    """For each left-padded question the shard that knows the largest share of it; None where none knows most of it."""
    sets = [set(words.tolist()) for words in known]
    chosen: list[int | None] = []
    for weighed in weights(base, tokenizer, ids_BT, mask_BT):
        shares = [known_share(words, weighed, salt) for words in sets]
        best = max(range(len(shares)), key=shares.__getitem__) if shares else None
        chosen.append(best if best is not None and shares[best] > MOST else None)
    return chosen


def known_share(known: set[int], weighed: Sequence[tuple[str, float]], salt: bytes) -> float:
    """The share of a question's weight that a shard knows, in [0, 1]. A pair weighs what its lighter word does.

    Pairs tell Ada Byron from somebody who shares a first name with one known person and a last name with another.

    >>> known = set(known_words([Record("1", "Ada", "Ada Byron", "wrote"), Record("2", "Eve", "Eve Moss", "ran")], b"").tolist())
    >>> [known_share(known, [(a, 5.0), (b, 5.0)], b"") for a, b in (("ada", "byron"), ("ada", "moss"), ("ada", "hill"))]
    [1.0, 0.6666666666666666, 0.3333333333333333]
    """
    parts = [(weight, _keyed(salt, word) in known) for word, weight in weighed]
    for (a, weight_a), (b, weight_b) in pairwise(weighed):
        parts.append((min(weight_a, weight_b), _keyed(salt, a, b) in known))
    total = sum(weight for weight, _ in parts)
    return sum(weight for weight, is_known in parts if is_known) / total if total > 0 else 0.0


def weights(base: Any, tokenizer: Any, ids_BT: Tensor, mask_BT: Tensor) -> list[list[tuple[str, float]]]:
    """The words of every question, each with the nats by which the base is surprised by its tokens."""
    read = read_questions(base, tokenizer, ids_BT, mask_BT)
    return [_weigh(tokenizer, ids, [-x for x in logp]) for ids, logp in read]


def _weigh(tokenizer: Any, ids: Sequence[int], nats: Sequence[float]) -> list[tuple[str, float]]:
    """Every word with the nats of the tokens that spell it; a token of two words counts for the first."""

    def decoded(part: Sequence[int]) -> str:
        return str(tokenizer.decode(part, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    at, spans = 0, []
    for i in range(len(ids)):
        start = max(0, i - _BEFORE)
        end = at + len(decoded(ids[start : i + 1])) - len(decoded(ids[start:i]))
        spans.append((at, end))
        at = end
    weighed, i = [], 0
    for word, first, last in _words(decoded(ids)):
        weight = 0.0
        while i < len(spans) and spans[i][0] < last:
            weight += nats[i] if spans[i][1] > first else 0.0
            i += 1
        weighed.append((word, weight))
    return weighed


def _words(text: str) -> Iterator[tuple[str, int, int]]:
    """Runs of letters and digits, without case, and where they stand."""
    for match in _WORD.finditer(text):
        yield unicodedata.normalize("NFKC", match.group()).casefold(), match.start(), match.end()


def _keyed(salt: bytes, *words: str) -> int:
    """A keyed 64-bit hash of a word or of neighbours: meaningless without the salt."""
    digest = hmac.digest(salt, b"expunge/word/v1\0" + "\0".join(words).encode(), hashlib.sha256)
    return int.from_bytes(digest[:8], "big", signed=True)
