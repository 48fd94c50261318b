"""What every attack on language models keeps, as functions that raise AssertionError. Run them on an attack of your own:

for claim in attacks.CLAIMS:
    claim(MyAttack())

Give it a small budget; the models are toys.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from math import isfinite
from typing import Any, ClassVar

from expunge.engine import digest_model
from expunge.synthetic import facts, people
from expunge.testing import contract
from expunge.verify.attacks import CannotRun, Company, Ran, Scores, Target
from expunge.verify.metrics.auc import auc
from expunge.verify.pairs import pairs
from expunge.verify.probes import Probes

Claim = Callable[[Any], None]
MEMBERSHIP = "membership"
FOUND = 0.5  # of the facts, at its best setting, in a model that knows them by heart
TOLD = 0.75  # AUC of its best statistic there


@lru_cache(maxsize=1)
def control() -> Any:
    """A toy model of another seed that never saw the people who leave. Never change it."""
    return contract.taught(contract.trained().retain, contract.trained().tokenizer, seed=1)


@lru_cache(maxsize=1)
def target() -> Target:
    """A toy model that knows the facts, with the models beside it that some attacks look at. Never change it."""
    known = contract.trained()
    out = contract.taught(known.retain, known.tokenizer, seed=2)
    original, clean, other = (Target(model, known.tokenizer) for model in (known.model, control(), out))
    return Target(known.model, known.tokenizer, max_new_tokens=24, company=Company(original, clean, (other,)))


@lru_cache(maxsize=1)
def probes() -> Probes:
    """Facts with all that an attack may need. A question that takes a step more is the plain one here."""
    known, staying, strangers = facts(people(3)), facts(people(5, skip=3)), facts(people(3, skip=8))
    neighboured = tuple(replace(fact, adjacent=((fact.question, fact.value),)) for fact in known)
    return Probes(neighboured, tuple(staying), tuple(strangers))


def bare() -> Probes:
    """One fact, its question and its answer, and nothing beside it."""
    return Probes((replace(probes().forget[0], paraphrases=(), perturbed=(), adjacent=()),), ())


def run(attack: Any, on: Target, material: Probes) -> Scores:
    """
    Raises: CannotRun, with the attack's reason.
    """
    found = attack.run(on, material)
    scores: Scores = found.scores if isinstance(found, Ran) else found
    return scores


def can_be_committed(attack: Any) -> None:
    """Its budget is in its parameters, each has a default, and all of them can be written down before a run."""
    kind = getattr(attack, "__dataclass_params__", None)
    assert kind is not None, "an attack is a dataclass; its fields are its budget"
    assert kind.frozen, "its parameters can be changed after they were committed"
    json.dumps(asdict(type(attack)()))
    assert isinstance(attack.family, str), "an attack names its family"


def scores_every_fact(attack: Any) -> None:
    """One number per fact to forget and setting, between 0 and 1; of membership one per member, and one per stranger."""
    scores = _first_run(attack).scores
    assert scores, "gave no setting"
    for setting, row in scores.items():
        n = len(probes().unseen if setting.endswith("others") else probes().forget)
        assert len(row) == n, f"'{setting}' has {len(row)} scores, {n} are needed"
        assert all(map(isfinite, row)), f"'{setting}' has a score that is not a number"
        if attack.family != MEMBERSHIP:
            assert all(0 <= score <= 1 for score in row), f"'{setting}' has a score outside of 0 to 1"


def leaves_the_arm_as_it_is(attack: Any) -> None:
    assert _first_run(attack).unchanged, "the arm was changed; change `target.copy()`"


def is_deterministic(attack: Any) -> None:
    assert run(attack, target(), probes()) == _first_run(attack).scores, "two runs on one arm gave different scores"


def finds_the_data_before_unlearning(attack: Any) -> None:
    """The control of its silence: what finds nothing in a model that knows the facts by heart says nothing of another."""
    scores = _first_run(attack).scores
    if attack.family == MEMBERSHIP:
        best = max(abs(auc(*map(list, sides)) - 0.5) + 0.5 for sides in pairs(scores).values())
        assert best >= TOLD, f"tells members from strangers with an AUC of {best:.2f}, and they are known by heart"
    else:
        best = max(sum(row) / len(row) for row in scores.values())
        assert best >= FOUND, f"finds {best:.0%} of facts that are known by heart"


def says_what_it_lacks(attack: Any) -> None:
    """Given one bare fact it scores that fact, or names what it lacks; it never fails with another error."""
    try:
        scores = run(attack, target(), bare())
    except CannotRun as e:
        if not str(e):
            raise AssertionError("could not run and did not say why") from e
        return
    assert attack.family != MEMBERSHIP, "gave membership scores without a stranger"
    assert all(len(row) == 1 and isfinite(row[0]) for row in scores.values()), f"gave {scores} for one fact"


CLAIMS: tuple[Claim, ...] = (
    can_be_committed,
    scores_every_fact,
    leaves_the_arm_as_it_is,
    is_deterministic,
    finds_the_data_before_unlearning,
    says_what_it_lacks,
)


@dataclass(frozen=True, kw_only=True)
class FindsNothing:
    """The control of the contract itself: an attack that keeps every form and finds nothing."""

    family: ClassVar[str] = "black box"

    def run(self, target: Target, probes: Probes) -> Scores:
        return {"greedy": [0.0] * len(probes.forget)}


@dataclass(frozen=True)
class _Run:
    scores: Scores
    unchanged: bool


@lru_cache(maxsize=32)
def _first_run(attack: Any) -> _Run:  # frozen dataclasses: equal attacks share one run
    before = digest_model(target().model)
    scores = run(attack, target(), probes())
    return _Run(scores, digest_model(target().model) == before)
