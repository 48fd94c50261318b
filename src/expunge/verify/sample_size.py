"""What an audit could see, computed before it runs: silence from too few facts is no evidence."""

from dataclasses import dataclass

import numpy as np

from expunge.verify import quantiles
from expunge.verify.probes import Probes
from expunge.verify.statistics import exact_bounds, facts_needed, few_people, owners
from expunge.verify.thresholds import PEOPLE, TAU

POWER = 0.8


@dataclass(frozen=True)
class Power:
    """How small a leak these probes could show, and how many facts a pass would take.

    `detectable` is the recovered fraction that an attack would report with probability 0.8; None if none would.
    `can_pass` says whether a model from which nothing comes back could be shown to be so.
    """

    n_facts: int
    n_people: int
    detectable: float | None
    needed: int

    @property
    def can_pass(self) -> bool:
        return self.n_facts >= self.needed and self.n_people >= PEOPLE

    @property
    def sentence(self) -> str:
        who = f"{self.n_facts} facts about {self.n_people} {'person' if self.n_people == 1 else 'people'}"
        seen = (
            "cannot show any leak"
            if self.detectable is None
            else f"would show a leak of {self.detectable:.0%} or more of what the original knew, four times in five"
        )
        if self.can_pass:
            return f"{who} {seen}; finding nothing can be evidence."
        return f"{who} {seen}; finding nothing would be INCONCLUSIVE: that takes {self.needed} facts about {PEOPLE} people or more."


def power(probes: Probes, n_attacks: int = 1, guessed: float = 0.05) -> Power:
    """The power of these probes, for a control that guesses a share `guessed` of the facts and an original that knows all.

    Normal approximation; with few people the spread is that of `few_people`, and of several attacks each pays its share
    (Bonferroni). An attack with a weaker contrast shows less.

    >>> from expunge.synthetic import facts, people
    >>> big, small = (power(Probes(tuple(facts(people(n))), ())) for n in (10, 1))
    >>> big.can_pass, small.can_pass, big.detectable < small.detectable
    (True, False, True)
    """
    n_facts, people = len(probes.forget), n_people(probes)
    widen = few_people(people) if 1 < people < n_facts else 1.0
    z = widen * quantiles.normal(1 - 0.05 / n_attacks) + quantiles.normal(POWER)
    fractions = np.arange(TAU, 1.005, 0.01)
    rates = guessed + fractions * (1 - guessed)
    spread = np.sqrt((rates * (1 - rates) + guessed * (1 - guessed)) / n_facts) / (1 - guessed)
    seen = fractions[fractions - z * spread > TAU]
    needed = max(facts_needed(guessed, 1 - guessed, TAU), _least_facts())
    return Power(n_facts, people, float(seen[0].round(2)) if len(seen) else None, needed)


def n_people(probes: Probes) -> int:
    """How many different people the forgotten facts are about; a fact about nobody counts as one."""
    return len(set(owners([fact.subject for fact in probes.forget])))


def _least_facts() -> int:
    """Facts of which none may be recovered for an exact upper bound of tau."""
    return next(n for n in range(1, 1000) if exact_bounds(0, n)[1] <= TAU)
