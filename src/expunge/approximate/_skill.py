"""What a model can do with its retained rows, in two numbers, and whether too much of it is gone."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

KNEW = 0.05  # a share below this is nothing that could be lost, or no more than chance
ASKED = 0.25  # of a few answers: where fewer are right, these measure nothing


@dataclass(frozen=True, kw_only=True)
class Skill:
    """`tokens`: share right of `n_tokens` that tell something (a classifier's: of rows). `chance`: what saying the commonest
    of them all the time would get. `answers`: share of what `n_answers` greedy answers must hold; None where none are asked.
    """

    tokens: float
    n_tokens: int
    chance: float
    answers: float | None = None
    n_answers: int = 0
    text: bool = True

    @property
    def knows(self) -> bool:
        """Whether there is anything to lose."""
        return self.tokens >= KNEW

    def least(self, part: float) -> float:
        """What must be right at least, where this part must be left of what is above chance; of all, where nothing is.

        >>> Skill(tokens=1.0, n_tokens=10, chance=0.5).least(0.8)
        0.9
        """
        chance = self.chance if self.tokens - self.chance >= KNEW else 0.0
        return chance + part * (self.tokens - chance)

    def lost(self, now: "Skill", part: float) -> bool:
        """Whether less than this part is left; of the few greedy answers, which vary more, less than half of it."""
        if not self.knows:
            return False
        speechless = self.answers is not None and now.answers is not None and self.answers >= ASKED
        if speechless and now.answers < part / 2 * self.answers:  # type: ignore[operator]
            return True
        return now.tokens < self.least(part)


@dataclass(frozen=True)
class Kept:
    """The skill before an edit and after it."""

    before: Skill
    after: Skill

    def sentence(self) -> str:
        """
        >>> before, after = (Skill(tokens=t, n_tokens=40, chance=0.1, answers=t, n_answers=8) for t in (1.0, 0.875))
        >>> Kept(before, after).sentence()
        'retained tokens right 100% -> 88%, of 40 that the question does not give away; 8 greedy answers right 100% -> 88%'
        """
        before, after = self.before, self.after
        if not before.knows:
            what = "tokens that the question does not give away" if before.text else "rows"
            return (
                f"nothing to measure: the model knew none of it before ({before.tokens:.0%} of {before.n_tokens} retained "
                f"{what} right)"
            )
        share = f"{before.tokens:.0%} -> {after.tokens:.0%}"
        if not before.text:
            return f"retained rows right {share}, of {before.n_tokens}"
        sentence = f"retained tokens right {share}, of {before.n_tokens} that the question does not give away"
        if before.answers is None or after.answers is None:
            return sentence
        return f"{sentence}; {before.n_answers} greedy answers right {before.answers:.0%} -> {after.answers:.0%}"


def by_chance(labels: Sequence[int]) -> float:
    """The share that saying the commonest label all the time would get right, of the labels beside the one that names it.

    Where there is only one, saying it is all there is to know.

    >>> by_chance([1, 1, 1, 2, 2]), by_chance([1, 2, 3]), by_chance([1, 1, 1])
    (0.5, 0.0, 0.0)
    """
    counts = Counter(labels)
    return (max(counts.values()) - 1) / (len(labels) - 1) if len(counts) > 1 else 0.0
