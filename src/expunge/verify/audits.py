"""What an audit says: findings on every arm, the level and the flags they carry, and the raw scores they come from.

Of language models and of classifiers. Both are made of scores alone: nothing here needs a model, or torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from expunge.core import Assurance, Finding, Flag, Guarantee, Outcome
from expunge.core.errors import UnknownSubject
from expunge.verify.attacks import attacks
from expunge.verify.batteries import added_to, battery_of, described
from expunge.verify.commitments import commitment
from expunge.verify.findings import MEMBERSHIP, beside_noise, findings
from expunge.verify.judgement import Judgement, Skill, judge
from expunge.verify.membership_axis import membership
from expunge.verify.names import fresh_salt, salted
from expunge.verify.probes import Probes
from expunge.verify.sample_size import n_people, power
from expunge.verify.scores import ArmScores, documented
from expunge.verify.skill import skill
from expunge.verify.statistics import owners
from expunge.verify.views import curves, persons, worst

if TYPE_CHECKING:
    from expunge.verify.classifiers.klom import Klom
    from expunge.verify.classifiers.relearn_time import RelearnSteps


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Findings, and the judgement that they carry, bound to the arms' digests: it says nothing about other weights."""

    findings: tuple[Finding, ...]
    membership: Finding
    retained: Skill | None  # what the unlearned arm kept, beside the control
    people: tuple[str, ...]  # whose each forgotten fact is, "" for nobody's
    guarantee: Guarantee
    replay: bool | None
    duplicates: int | None
    arms: Mapping[str, ArmScores]
    elapsed_s: float = 0.0

    @cached_property
    def judgement(self) -> Judgement:
        control = self.arms.get("control")
        return judge(
            self.findings,
            self._membership,
            self.retained,
            self.guarantee,
            self.replay,
            self.duplicates,
            len(set(owners(self.people))),
            control is not None and control.kind == "placebo",
            self._added,
        )

    @property
    def _membership(self) -> Finding:
        """What of membership is judged."""
        return self.membership

    @property
    def _added(self) -> tuple[str, ...]:
        """Attacks beside those of the battery."""
        return ()

    @property
    def assurance(self) -> Assurance:
        return self.judgement.assurance

    @property
    def flags(self) -> tuple[Flag, ...]:
        return self.judgement.flags

    @property
    def skill(self) -> float | None:
        """Retained skill of the unlearned arm over the control's."""
        return self.retained.share if self.retained else None

    @property
    def worst(self) -> Finding | None:
        """The attack that recovered most."""
        return worst(self.findings)

    def _document(self, battery: Mapping[str, Any], own: Mapping[str, Any], salt: bytes) -> dict[str, Any]:
        """What the audits of both kinds say, around what is particular to one."""
        return {
            "battery": dict(battery),
            "assurance": self.assurance.name,
            "flags": [f.value for f in self.flags],
            "guarantee": self.guarantee.value,
            "replay": self.replay,
            "duplicates": self.duplicates,
            "skill": self.skill,
            "skill_high": self.retained.high if self.retained else None,
            "findings": [f.to_json() for f in self.findings],
            "membership": self.membership.to_json(),
            "arms": documented(self.arms, salt),
            **own,
            "elapsed_s": self.elapsed_s,
        }


@dataclass(frozen=True, kw_only=True)
class Audit(Verdict):
    """Of language models. `noise` is what a second control seems to recover. With a `procedure` (the same method on canary
    people), the level and its doubts are the procedure's; the findings are those of the people asked about.
    """

    material: Probes  # all that the arms were asked
    battery: str
    facts: tuple[int, ...] | None = None  # which of them are judged, if not all
    noise: tuple[Finding, ...] = ()
    procedure: "Audit | None" = None

    @classmethod
    def of(
        cls,
        arms: Mapping[str, ArmScores],
        probes: Probes,
        battery: str,
        *,
        guarantee: Guarantee = Guarantee.EMPIRICAL,
        replay: bool | None = None,
        duplicates: int | None = None,
        procedure: "Audit | None" = None,
        facts: tuple[int, ...] | None = None,
        elapsed_s: float = 0.0,
    ) -> "Audit":
        """Judge scores, of all facts or of some; the rest is what `expunge.verify.audit` says of it."""
        names, added, people = battery_of(battery), added_to(battery), [f.subject for f in probes.forget]
        found, noise = findings(arms, names, facts, people, added=added), list[Finding]()
        if second := arms.get("second control"):
            noise = findings({**arms, "unlearned": second}, names, facts, people, added=added)
            found = beside_noise(found, noise)
        return cls(
            findings=tuple(found),
            noise=tuple(noise),
            membership=membership(arms, facts, added=[a for a in added if attacks.get(a).family == MEMBERSHIP]),
            retained=_retained(arms, probes),
            people=tuple(people if facts is None else (people[i] for i in facts)),
            guarantee=guarantee,
            replay=replay,
            duplicates=duplicates,
            arms=arms,
            material=probes,
            battery=battery,
            facts=facts,
            procedure=procedure,
            elapsed_s=elapsed_s,
        )

    def about(self, subjects: Sequence[str]) -> "Audit":
        """The same attacks, judged on these subjects' facts alone.

        Raises: UnknownSubject, if no fact is about them.
        """
        facts = tuple(i for i, fact in enumerate(self.material.forget) if fact.subject in set(subjects))
        if not facts:
            raise UnknownSubject(f"none of the {len(subjects)} subjects is in these probes")
        return Audit.of(
            self.arms,
            self.material,
            self.battery,
            guarantee=self.guarantee,
            replay=self.replay,
            duplicates=self.duplicates,
            procedure=self.procedure,
            facts=facts,
            elapsed_s=self.elapsed_s,
        )

    @cached_property
    def judgement(self) -> Judgement:
        own = super().judgement
        if self.procedure is None or own.assurance is Assurance.EXACT:
            return own
        return _of_procedure(self.procedure.judgement, self.findings, own.flags)

    @property
    def _added(self) -> tuple[str, ...]:
        return added_to(self.battery)

    @cached_property
    def probes(self) -> Probes:
        """The facts that were judged, and those beside them."""
        given = self.material
        return given if self.facts is None else replace(given, forget=tuple(given.forget[i] for i in self.facts))

    @property
    def recall(self) -> float | None:
        """Plain recall of the unlearned arm."""
        plain = next((f for f in self.findings if f.attack == "direct"), None)
        return plain.arms["unlearned"].mean if plain and "unlearned" in plain.arms else None

    def to_json(self, salt: bytes | None = None) -> dict[str, Any]:
        """Everything but the probes' words; facts and people are named by digests under the salt, or under a fresh one."""
        salt, control = fresh_salt() if salt is None else salt, self.arms.get("control")
        floor = worst(self.noise)
        return self._document(
            described(self.battery),
            {
                "facts": [salted("fact", salt, f.id) for f in self.probes.forget],
                "control": {
                    "kind": {"model": "retrained"}.get(control.kind, control.kind) if control else None,
                    "second": "second control" in self.arms,
                },
                "noise_floor": {"attack": floor.attack, "recovered": floor.recovered} if floor else None,
                "power": asdict(power(self.probes, len(battery_of(self.battery)))),
                "commitment": commitment(self.material, self.battery, salt=salt)["digest"],
                "curves": curves(self.arms, self.facts),
                "persons": [
                    {"person": salted("person", salt, row.pop("subject")), **row}
                    for row in persons(self.findings, self.people)
                ],
                "procedure": self.procedure._summary() if self.procedure else None,
            },
            salt,
        )

    def _summary(self) -> dict[str, Any]:
        """What of a procedure's audit stands in that of a request."""
        return {
            "assurance": self.assurance.name,
            "flags": [f.value for f in self.flags],
            "n_facts": len(self.probes.forget),
            "n_people": n_people(self.probes),
            "arms": {name: scores.digest for name, scores in self.arms.items()},
        }


@dataclass(frozen=True, kw_only=True)
class ClassifierAudit(Verdict):
    """Of classifiers. `findings` are about recovery, `membership` is the axis of its own, `ensembles` are what shadow models
    showed about the procedure (U-LiRA, KLOM).
    """

    ensembles: tuple[Finding, ...]
    relearning: "RelearnSteps | None"
    klom: "Mapping[str, Klom]"
    battery: Mapping[str, Any]  # its name, its version, its attacks
    rows: tuple[str, ...]  # digests of the rows to forget

    @property
    def _membership(self) -> Finding:
        """An ensemble that tells who was forgotten outweighs the test of one model."""
        telling = [f for f in self.ensembles if f.attack == "u_lira" and f.outcome is Outcome.RECOVERED]
        return telling[-1] if telling else self.membership

    def to_json(self, salt: bytes | None = None) -> dict[str, Any]:
        """Everything but the rows, which are named by digests under the salt, or under a fresh one."""
        salt = fresh_salt() if salt is None else salt
        return self._document(
            self.battery,
            {
                "ensembles": [f.to_json() for f in self.ensembles],
                "facts": [salted("fact", salt, row) for row in self.rows],
                "relearning": asdict(self.relearning) if self.relearning else None,
                "klom": {name: asdict(found) for name, found in self.klom.items()},
            },
            salt,
        )


def _retained(arms: Mapping[str, ArmScores], probes: Probes) -> Skill | None:
    """Placebos are asked of the unlearned model itself, so there the original is the measure."""
    if "control" not in arms:
        return None
    reference = arms["original"] if arms["control"].kind == "placebo" else arms["control"]
    return skill(arms["unlearned"].skill, reference.skill, [f.subject for f in probes.retain])


def _of_procedure(procedure: Judgement, found: Sequence[Finding], flags: Sequence[Flag]) -> Judgement:
    """The procedure's level and doubts, beside what was found about these people, who are too few for their own."""
    level = procedure.assurance
    plain = any(f.outcome is Outcome.RECOVERED and f.attack in ("direct", "paraphrase") for f in found)
    if plain or {Flag.RETAINED, Flag.PARTIAL, Flag.DAMAGED} & set(flags):
        level = Assurance.CLAIMED
    elif any(f.outcome is Outcome.RECOVERED for f in found):
        level = min(level, Assurance.SUPPRESSED)
    own = [f for f in flags if f is not Flag.INCONCLUSIVE]
    return Judgement(level, tuple(dict.fromkeys([*own, *procedure.flags])))
