"""Attack three arms and say what the result carries."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from expunge.core import Assurance, Finding, Flag, Guarantee
from expunge.core.digests import digest_json
from expunge.core.errors import UnknownSubject
from expunge.verify.battery import VERSION, Arm, ArmScores, Progress, attack_arm, battery_of
from expunge.verify.judgement import TAU, findings, judge, membership
from expunge.verify.probes import Probes


@dataclass(frozen=True, kw_only=True)
class Audit:
    """Findings, the level they carry, and the raw scores from which anybody can compute them again.

    Bound to the arms' digests: it says nothing about other weights or another precision.
    """

    assurance: Assurance
    flags: tuple[Flag, ...]
    findings: tuple[Finding, ...]
    membership: Finding
    skill: float | None  # retained skill of the unlearned arm over the control's
    guarantee: Guarantee
    replay: bool | None
    duplicates: int | None
    battery: str
    probes: Probes
    arms: Mapping[str, ArmScores]
    elapsed_s: float = 0.0

    @property
    def worst(self) -> Finding | None:
        """The attack that recovered most."""
        measured = [f for f in self.findings if f.recovered is not None]
        return max(measured, key=lambda f: f.recovered or 0.0) if measured else None

    @property
    def recall(self) -> float | None:
        """Plain recall of the unlearned arm."""
        plain = next((f for f in self.findings if f.attack == "direct"), None)
        return plain.arms["unlearned"].mean if plain and "unlearned" in plain.arms else None

    def about(self, subjects: Sequence[str]) -> "Audit":
        """The same attacks, judged on these subjects' facts alone.

        Raises: UnknownSubject, if no fact is about them.
        """
        kept = [i for i, f in enumerate(self.probes.forget) if f.subject in set(subjects)]
        if not kept:
            raise UnknownSubject(f"none of the {len(subjects)} subjects is in these probes")
        return _judged(
            self.arms, self.probes, self.battery, self.guarantee, self.replay, self.duplicates, kept, self.elapsed_s
        )

    def to_json(self, salt: bytes = b"") -> dict[str, Any]:
        """Everything but the probes' words; facts are named by salted digests."""
        return {
            "battery": {
                "name": self.battery,
                "version": VERSION,
                "attacks": list(battery_of(self.battery)),
                "tau": TAU,
            },
            "assurance": self.assurance.name,
            "flags": [f.value for f in self.flags],
            "guarantee": self.guarantee.value,
            "replay": self.replay,
            "duplicates": self.duplicates,
            "skill": self.skill,
            "findings": [f.to_json() for f in self.findings],
            "membership": self.membership.to_json(),
            "arms": {name: scores.to_json() for name, scores in self.arms.items()},
            "facts": [digest_json("fact", [salt.hex(), f.id])[7:23] for f in self.probes.forget],
            "elapsed_s": self.elapsed_s,
        }


def audit(
    *,
    original: Arm | ArmScores,
    unlearned: Arm | ArmScores,
    control: Arm | ArmScores | None,
    probes: Probes,
    battery: str = "standard",
    guarantee: Guarantee = Guarantee.EMPIRICAL,
    replay: bool | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
    duplicates: int | None = None,
) -> Audit:
    """Run the battery on every arm and judge.

    `control` is a model that never saw the facts (retrained without them, with a fresh seed and salt). Without one
    every finding is INCONCLUSIVE. `replay` is whether an independent rebuild of an exact deletion gave the same bits.
    `duplicates` counts retained records that repeat forgotten ones; None: nobody looked.
    Means: an audit bounds leakage from below. It never proves absence.
    """
    began = time.perf_counter()
    given = {"original": original, "unlearned": unlearned, "control": control}
    arms = {
        name: arm if isinstance(arm, ArmScores) else attack_arm(arm, probes, battery, cache, progress)
        for name, arm in given.items()
        if arm is not None
    }
    return _judged(arms, probes, battery, guarantee, replay, duplicates, None, time.perf_counter() - began)


def _judged(
    arms: Mapping[str, ArmScores],
    probes: Probes,
    battery: str,
    guarantee: Guarantee,
    replay: bool | None,
    duplicates: int | None,
    facts: list[int] | None,
    elapsed_s: float,
) -> Audit:
    found, member = findings(arms, battery_of(battery), facts), membership(arms, facts)
    skill = _skill(arms)
    judged = judge(found, member, skill, guarantee, replay, duplicates)
    return Audit(
        assurance=judged.assurance,
        flags=judged.flags,
        findings=tuple(found),
        membership=member,
        skill=skill,
        guarantee=guarantee,
        replay=replay,
        duplicates=duplicates,
        battery=battery,
        probes=probes if facts is None else replace(probes, forget=tuple(probes.forget[i] for i in facts)),
        arms=arms,
        elapsed_s=elapsed_s,
    )


def _skill(arms: Mapping[str, ArmScores]) -> float | None:
    """Retained recall of the unlearned arm over that of the control; None where it cannot be measured."""
    if "control" not in arms or not arms["control"].skill or not arms["unlearned"].skill:
        return None
    reference = sum(arms["control"].skill) / len(arms["control"].skill)
    if not reference > 0:
        return None
    ratio = sum(arms["unlearned"].skill) / len(arms["unlearned"].skill) / reference
    return ratio if math.isfinite(ratio) else None
