"""Is this data in this model? Every attack on the facts beside the same attack on made-up twins of them.

For one model and nothing else. There is no original to say what was known and no control to say what can be inferred, so
this carries no level and can never be a pass: it finds data, or it finds none and says how much it could have missed.
What a model knows from elsewhere, or can guess from the words of a question, counts as brought out.
"""

import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from expunge.core import Assurance, Fact, Flag
from expunge.core.errors import InvalidData
from expunge.synthetic.placebo import placebo
from expunge.verify.arms import attack_arms
from expunge.verify.attacks import attacks
from expunge.verify.batteries import added_to, battery_of, described
from expunge.verify.battery import Arm, Progress
from expunge.verify.names import fresh_salt, salted
from expunge.verify.passages import exchanged, passages
from expunge.verify.probes import Probes
from expunge.verify.sample_size import power
from expunge.verify.scores import ArmScores, documented
from expunge.verify.statistics import Scored, best, bounds_of, interval, resamplings
from expunge.verify.targets import targeted
from expunge.verify.thresholds import CONTRAST, FEWEST, TAU

FACTS, TWINS = "the facts", "made-up twins"


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One attack: its score on the facts and on their twins, and the share of facts that the twins do not explain.

    `share` is (facts - twins) / (1 - twins), what is left of a score when the rate of lucky guesses is taken out; `low` is
    its one-sided 95 % lower bound, which holds for all attacks together. `reason` says why there is none.
    """

    attack: str
    family: str
    facts: float | None = None
    twins: float | None = None
    share: float | None = None
    low: float | None = None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """What one model brings out of some facts. `assurance` and `flags` are always the lowest there are."""

    seen: tuple[Seen, ...]
    probes: Probes
    battery: str
    arms: Mapping[str, ArmScores]
    notes: tuple[str, ...] = ()  # what was left out, and how answers are taken
    elapsed_s: float = 0.0
    assurance: Assurance = Assurance.CLAIMED
    flags: tuple[Flag, ...] = (Flag.INCONCLUSIVE,)

    @property
    def worst(self) -> Seen | None:
        """The attack that brings out most for certain."""
        measured = [s for s in self.seen if s.low is not None]
        return max(measured, key=lambda s: s.low or 0.0) if measured else None

    @property
    def found(self) -> bool:
        """Whether the data is in the model: more than 0.10 of it, beyond doubt."""
        return self.worst is not None and (self.worst.low or 0.0) > TAU

    @property
    def sentence(self) -> str:
        """The result in words, with no more than it carries."""
        if self.found and self.worst is not None:
            return (
                f"This model brings out at least {self.worst.low or 0:.0%} of these facts beyond what made-up twins of them "
                f"explain (by {self.worst.attack}). Where the model has them from is not shown."
            )
        if self.worst is None:
            return "Nothing could be measured: no attack could run on both the facts and their made-up twins."
        n, detectable = len(self.probes.forget), power(self.probes, len(battery_of(self.battery))).detectable
        missed = (
            f"With {n} facts no difference of any size could have been seen."
            if detectable is None
            else f"With {n} of them a difference below {detectable:.0%} may have been missed."
        )
        return f"No difference above {TAU:.0%} was shown between these facts and made-up twins of them. {missed}"

    def to_json(self, salt: bytes | None = None) -> dict[str, Any]:
        """Everything but the probes' words; facts are named by digests under the salt, or under a fresh one."""
        salt = fresh_salt() if salt is None else salt
        return {
            "kind": "exposure",
            "assurance": self.assurance.name,
            "flags": [f.value for f in self.flags],
            "found": self.found,
            "at_least": self.worst.low if self.found and self.worst else None,
            "sentence": self.sentence,
            "attacks": [asdict(s) for s in self.seen],
            "notes": list(self.notes),
            "power": asdict(power(self.probes, len(battery_of(self.battery)))),
            "battery": described(self.battery),
            "arms": documented(self.arms, salt),
            "facts": [salted("fact", salt, f.id) for f in self.probes.forget],
            "elapsed_s": self.elapsed_s,
        }


def exposure(
    arm: Arm,
    probes: Probes,
    battery: str = "quick",
    cache: Path | None = None,
    progress: Progress | None = None,
    workers: int = 1,
) -> Exposure:
    """Run the battery on the facts and on made-up twins of them, in one and the same model.

    Facts without a question are documents: they are asked in passages, a beginning and what follows (`passages`). Facts
    that a guess could match are left out (`targeted`), which `notes` say.
    `probes.retain` serves attacks that learn on other facts; without it they do not run, which is listed.

    Raises: InvalidData, where facts have no twins.
    """
    began = time.perf_counter()
    documents = plain_texts(probes.forget)
    if documents:
        arm, probes = without_template(arm), replace(probes, forget=tuple(passages(probes.forget)))
    targets = targeted(probes.forget)
    told_apart, probes = targets.facts, replace(probes, forget=targets.facts)
    made_up = exchanged(told_apart) if documents else placebo(told_apart)
    questions = {FACTS: (arm, probes), TWINS: (arm, replace(probes, forget=tuple(made_up)))}
    arms = attack_arms(questions, battery, cache, progress, workers=workers)
    arms[TWINS] = replace(arms[TWINS], kind="placebo")
    names = [name for name in battery_of(battery) if attacks.get(name).family != "membership"]
    fair = targets.fair and not documents
    found = _compared(arms, names, [f.subject for f in told_apart], fair, added_to(battery))
    took = time.perf_counter() - began
    return Exposure(seen=tuple(found), probes=probes, battery=battery, arms=arms, notes=targets.notes, elapsed_s=took)


def plain_texts(facts: Sequence[Fact]) -> bool:
    """Whether these are documents rather than questions with answers.

    Raises: InvalidData, for both together.
    """
    n = sum(not fact.question for fact in facts)
    if 0 < n < len(facts):
        raise InvalidData(
            f"{n} of {len(facts)} facts are plain texts, the others questions; ask about one kind at a time"
        )
    return n > 0


def without_template(arm: Arm) -> Arm:
    """The same model, asked to go on with a text: a chat template would make a question of it."""
    if not getattr(arm.tokenizer, "chat_template", None):
        return arm
    tokenizer = copy.deepcopy(arm.tokenizer)
    tokenizer.chat_template = None
    return replace(arm, tokenizer=tokenizer)


def _compared(
    arms: Mapping[str, ArmScores],
    names: Sequence[str],
    people: Sequence[str],
    fair: bool,
    added: Sequence[str] = (),
) -> list[Seen]:
    """`fair`: twins suit their questions, so that likelihoods can be compared as well as what is said."""
    draws, ready, result = resamplings(people), dict[str, Scored](), dict[str, Seen]()
    for name in names:
        if reason := _why_not(name, arms, len(people), fair):
            result[name] = Seen(attack=name, family=attacks.get(name).family, reason=reason)
        else:
            facts_SN, twins_SN = (np.array(list(arms[arm].scores[name].values())) for arm in (FACTS, TWINS))
            ready[name] = Scored(np.ones((1, len(people))), facts_SN, twins_SN)
    enough = len(people) >= FEWEST
    usable = {n: s for n, s in ready.items() if enough and 1 - interval(s.control, draws)[1] >= CONTRAST}
    bounds = bounds_of(usable, draws, added)
    for name, scored in ready.items():
        high = "the made-up twins score too high for a difference to mean anything"
        if not enough:
            high = f"{len(people)} facts are too few for bounds; give {FEWEST} or more"
        result[name] = Seen(
            attack=name,
            family=attacks.get(name).family,
            facts=best(scored.unlearned),
            twins=best(scored.control),
            share=scored.recovered() if name in bounds else None,
            low=bounds.get(name, (None, None))[0],
            reason="" if name in bounds else high,
        )
    return [result[name] for name in names]


def _why_not(name: str, arms: Mapping[str, ArmScores], n_facts: int, fair: bool) -> str:
    """Why an attack says nothing; empty if it can be compared."""
    for arm in (FACTS, TWINS):
        if name in arms[arm].failed:
            return f"could not run on {arm}: {arms[arm].failed[name]}"
        rows = arms[arm].scores.get(name, {}).values()
        if not rows or not all(len(row) for row in rows):
            return f"gave no scores on {arm}"
        if not all(np.isfinite(row).all() for row in rows):
            return f"gave a score that is not a number on {arm}"
    first, second = ({k: len(row) for k, row in arms[arm].scores[name].items()} for arm in (FACTS, TWINS))
    if first != second or set(first.values()) != {n_facts}:
        return f"gave other settings, or scores for another number of facts than {n_facts}, on one of the two"
    values = [score for arm in (FACTS, TWINS) for row in arms[arm].scores[name].values() for score in row]
    if not fair and not set(values) <= {0.0, 1.0}:
        return (
            "gives likelihoods, which cannot be compared here: made-up twins do not fit these questions or texts, and are "
            "unlikely in any model"
        )
    return ""
