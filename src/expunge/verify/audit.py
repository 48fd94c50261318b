"""Attack three arms and say what the result carries."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from expunge.core import Assurance, Finding, Flag, Guarantee, Outcome
from expunge.core.digests import digest_json
from expunge.core.errors import InvalidParameter, UnknownSubject
from expunge.verify.arms import attack_arms
from expunge.verify.battery import VERSION, Arm, ArmScores, Progress, battery_of
from expunge.verify.commitment import commitment
from expunge.verify.findings import TAU, beside_noise, findings
from expunge.verify.judgement import judge
from expunge.verify.membership_axis import membership
from expunge.verify.power import n_people, power
from expunge.verify.probes import Probes
from expunge.verify.skill import Skill, skill
from expunge.verify.views import curves, persons


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What an audit was asked to judge, beside the arms."""

    probes: Probes
    battery: str
    guarantee: Guarantee
    replay: bool | None
    duplicates: int | None
    procedure: "Audit | None" = None
    facts: tuple[int, ...] | None = None  # only these of the probes the arms were asked

    @property
    def people(self) -> list[str]:
        return [f.subject for f in self.probes.forget]


@dataclass(frozen=True, kw_only=True)
class Audit:
    """Findings, the level they carry, and the raw scores from which anybody can compute them again.

    Bound to the arms' digests, their precision and the battery's version: it says nothing about other weights. `noise` is
    what a second control seems to recover. With a `procedure` (the same method on canary people), the level and its doubts
    are the procedure's; the findings are those of the people asked about.
    """

    assurance: Assurance
    flags: tuple[Flag, ...]
    findings: tuple[Finding, ...]
    membership: Finding
    retained: Skill | None  # what the unlearned arm kept, beside the control
    arms: Mapping[str, ArmScores]
    asked: Asked
    noise: tuple[Finding, ...] = ()
    elapsed_s: float = 0.0

    @property
    def guarantee(self) -> Guarantee:
        return self.asked.guarantee

    @property
    def replay(self) -> bool | None:
        return self.asked.replay

    @property
    def duplicates(self) -> int | None:
        return self.asked.duplicates

    @property
    def battery(self) -> str:
        return self.asked.battery

    @cached_property
    def probes(self) -> Probes:
        """The facts that were judged, and those beside them."""
        facts, given = self.asked.facts, self.asked.probes
        return given if facts is None else replace(given, forget=tuple(given.forget[i] for i in facts))

    @property
    def skill(self) -> float | None:
        """Retained skill of the unlearned arm over the control's."""
        return self.retained.share if self.retained else None

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
        kept = tuple(i for i, who in enumerate(self.asked.people) if who in set(subjects))
        if not kept:
            raise UnknownSubject(f"none of the {len(subjects)} subjects is in these probes")
        return _judged(self.arms, replace(self.asked, facts=kept), self.elapsed_s)

    def to_json(self, salt: bytes = b"") -> dict[str, Any]:
        """Everything but the probes' words; facts and people are named by salted digests."""
        names = battery_of(self.battery)
        committed = commitment(self.asked.probes, self.battery, salt)
        control = self.arms.get("control")
        return {
            "battery": {"name": self.battery, "version": VERSION, "attacks": list(names), "tau": TAU},
            "assurance": self.assurance.name,
            "flags": [f.value for f in self.flags],
            "guarantee": self.guarantee.value,
            "replay": self.replay,
            "duplicates": self.duplicates,
            "skill": self.skill,
            "skill_high": self.retained.high if self.retained else None,
            "findings": [f.to_json() for f in self.findings],
            "membership": self.membership.to_json(),
            "arms": {
                name: {**scores.to_json(), "probes": _salted("probes", salt, scores.probes)}
                for name, scores in self.arms.items()
            },
            "facts": [_salted("fact", salt, f.id) for f in self.probes.forget],
            "control": {
                "kind": {"model": "retrained"}.get(control.kind, control.kind) if control else None,
                "second": "second control" in self.arms,
            },
            "noise_floor": _noise_floor(self.noise),
            "power": asdict(power(self.probes, len(names))),
            "commitment": committed["digest"],
            "curves": curves(self.arms, self.asked.facts),
            "persons": self._persons(salt),
            "procedure": self._procedure(),
            "elapsed_s": self.elapsed_s,
        }

    def _persons(self, salt: bytes) -> list[dict[str, Any]]:
        rows = persons(self.findings, [f.subject for f in self.probes.forget])
        return [{"person": _salted("person", salt, row.pop("subject")), **row} for row in rows]

    def _procedure(self) -> dict[str, Any] | None:
        found = self.asked.procedure
        if found is None:
            return None
        return {
            "assurance": found.assurance.name,
            "flags": [f.value for f in found.flags],
            "n_facts": len(found.probes.forget),
            "n_people": n_people(found.probes),
            "arms": {name: scores.digest for name, scores in found.arms.items()},
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
    second: Arm | ArmScores | None = None,
    placebos: bool = False,
    outs: Sequence[Arm] = (),
    procedure: Audit | None = None,
    workers: int = 1,
) -> Audit:
    """Run the battery on every arm and judge.

    `control` is a model that never saw the facts (retrained without them, with a fresh seed and salt); `second` another
    one, which shows how much two such models differ. Without a control, `placebos` asks the unlearned model about made-up
    twins of the facts instead: weaker, since it says nothing of what a model can infer from the data that remain. With
    neither, every finding is INCONCLUSIVE. `outs` are further models that never saw the facts, for membership.
    `replay` is whether an independent rebuild of an exact deletion gave the same bits. `duplicates` counts retained
    records that repeat forgotten ones; None: nobody looked. `procedure` is the audit of the same method on canaries.

    Means: an audit bounds leakage from below. It never proves absence.

    Raises: InvalidParameter, for placebos without a model to ask, or a second control that is another arm.
    """
    began = time.perf_counter()
    given: dict[str, Arm | ArmScores | None] = {"original": original, "unlearned": unlearned, "control": control}
    given["second control"] = second
    asked_of = {name: (arm, probes) for name, arm in given.items() if arm is not None}
    if control is None and placebos:
        if not isinstance(unlearned, Arm):
            raise InvalidParameter("placebos need the unlearned model itself, not its scores; give an Arm")
        from expunge.synthetic.placebo import placebo

        asked_of["control"] = (unlearned, replace(probes, forget=tuple(placebo(probes.forget))))
    if second is not None and any(arm and arm.digest == second.digest for arm in (original, unlearned, control)):
        raise InvalidParameter("the second control is another arm; train one more without the data, with its own seed")
    arms = attack_arms(asked_of, battery, cache, progress, outs, workers)
    if control is None and placebos:
        arms["control"] = replace(arms["control"], kind="placebo")
    asked = Asked(
        probes=probes,
        battery=battery,
        guarantee=guarantee,
        replay=replay,
        duplicates=duplicates,
        procedure=procedure,
    )
    return _judged(arms, asked, time.perf_counter() - began)


def _judged(arms: Mapping[str, ArmScores], asked: Asked, elapsed_s: float) -> Audit:
    names, facts = battery_of(asked.battery), asked.facts
    noise: list[Finding] = []
    found = findings(arms, names, facts, asked.people)
    if second := arms.get("second control"):
        noise = findings({**arms, "unlearned": second}, names, facts, asked.people)
        found = beside_noise(found, noise)
    member, retained = membership(arms, facts), _retained(arms, asked.probes)
    people = [asked.people[i] for i in facts] if facts is not None else asked.people
    n = len({who or f"fact {i}" for i, who in enumerate(people)})
    placebos = "control" in arms and arms["control"].kind == "placebo"
    judged = judge(found, member, retained, asked.guarantee, asked.replay, asked.duplicates, n, placebos)
    level, flags = judged.assurance, judged.flags
    if asked.procedure is not None and level is not Assurance.EXACT:
        level, flags = _of_procedure(asked.procedure, found, flags)
    return Audit(
        assurance=level,
        flags=flags,
        findings=tuple(found),
        membership=member,
        retained=retained,
        arms=arms,
        asked=asked,
        noise=tuple(noise),
        elapsed_s=elapsed_s,
    )


def _of_procedure(
    procedure: Audit, found: Sequence[Finding], flags: Sequence[Flag]
) -> tuple[Assurance, tuple[Flag, ...]]:
    """The procedure's level and doubts, beside what was found about these people, who are too few for their own."""
    level = procedure.assurance
    plain = any(f.outcome is Outcome.RECOVERED and f.attack in ("direct", "paraphrase") for f in found)
    if plain or {Flag.RETAINED, Flag.PARTIAL, Flag.DAMAGED} & set(flags):
        level = Assurance.CLAIMED
    elif any(f.outcome is Outcome.RECOVERED for f in found):
        level = min(level, Assurance.SUPPRESSED)
    own = [f for f in flags if f is not Flag.INCONCLUSIVE]
    return level, tuple(dict.fromkeys([*own, *procedure.flags]))


def _retained(arms: Mapping[str, ArmScores], probes: Probes) -> Skill | None:
    """Placebos are asked of the unlearned model itself, so there the original is the measure."""
    if "control" not in arms:
        return None
    reference = arms["original"] if arms["control"].kind == "placebo" else arms["control"]
    return skill(arms["unlearned"].skill, reference.skill, [f.subject for f in probes.retain])


def _noise_floor(noise: Sequence[Finding]) -> dict[str, Any] | None:
    measured = [f for f in noise if f.recovered is not None]
    if not measured:
        return None
    worst = max(measured, key=lambda f: f.recovered or 0.0)
    return {"attack": worst.attack, "recovered": worst.recovered}


def _salted(kind: str, salt: bytes, name: str) -> str:
    return digest_json(kind, [salt.hex(), name])[7:23]
