"""The arms of language models: whole ones, or the scores of many small ones put together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from expunge.core import Fact
from expunge.core.digests import digest_json
from expunge.core.errors import InvalidData
from expunge.engine import load_model, load_tokenizer
from expunge.synthetic.placebo import placebo
from expunge.verify import Arm, Audit, Probes, audit
from expunge.verify.attacks import attacks
from expunge.verify.batteries import battery_of
from expunge.verify.scores import ArmScores
from expunge.workflow.shapes.arms import Case, Claim
from expunge.workflow.shapes.made import Progress

NO_PLACEBO = "no made-up twins could be made of these facts, so there is no control; name one with --control"


@dataclass(frozen=True, kw_only=True)
class TextArms:
    """Language models or their scores, and what they are asked. With `placebos` made-up twins stand in for a control.

    `outs` are further models that never saw the facts.
    """

    case: Case
    models: Mapping[str, Arm | ArmScores]
    probes: Probes
    placebos: bool = False
    outs: tuple[Arm, ...] = ()
    notes: tuple[str, ...] = ()

    def audit(self, claim: Claim) -> Audit:
        return audit(
            original=self.models["original"],
            unlearned=self.models["unlearned"],
            control=self.models.get("control"),
            probes=self.probes,
            battery=self.case.battery,
            guarantee=claim.guarantee,
            replay=claim.replay,
            cache=self.case.work / "scores",
            progress=self.case.progress,
            duplicates=claim.duplicates,
            placebos=self.placebos,
            outs=self.outs,
            procedure=claim.procedure,
        )

    def document(self, audit: Audit, secret: bytes) -> dict[str, Any]:
        """With facts and people named by digests under the secret."""
        return audit.to_json(secret)


def unattacked(case: Case, reason: str) -> TextArms:
    """Arms on which no attack ran."""
    failed = dict.fromkeys(battery_of(case.battery), reason)
    versions = {"original": case.before, "unlearned": case.after}
    scores = {name: ArmScores(version.digest, {}, failed, (), {}) for name, version in versions.items()}
    return TextArms(case=case, models=scores, probes=case.probes, notes=case.notes)


def arm_of(folder: Path | str) -> Arm:
    """The model of a folder."""
    return Arm.of(load_model(folder), load_tokenizer(folder))


def has_twins(facts: Sequence[Fact]) -> bool:
    """Whether made-up twins can be made of these facts."""
    try:
        return bool(placebo(facts))
    except InvalidData:
        return False


def compares_with_outs(battery: str) -> bool:
    """Whether an attack of the battery looks at models that never saw the facts."""
    return any("outs" in getattr(attacks.get(name), "needs", ()) for name in battery_of(battery))


def named(progress: Progress, arm: str) -> Progress:
    """Progress under an arm's name."""
    return lambda attack, k, n: progress(f"{arm}: {attack}", k, n)


def join(parts: Sequence[ArmScores]) -> ArmScores:
    """Scores of the same attacks on different people as one arm's. An attack that failed on one person failed.

    What an attack found out about itself is that of the person where it went worst.
    """
    failed = {k: v for part in parts for k, v in part.failed.items()}
    names = [n for n in parts[0].scores if n not in failed]
    scores = {
        name: {setting: [x for part in parts for x in part.scores[name][setting]] for setting in parts[0].scores[name]}
        for name in names
    }
    return replace(
        parts[0],
        digest=digest_json("arms", [part.digest for part in parts]),
        scores=scores,
        failed=failed,
        elapsed_s={name: sum(part.elapsed_s.get(name, 0.0) for part in parts) for name in parts[0].elapsed_s},
        checks={name: _worst([part.checks.get(name, {}) for part in parts]) for name in names},
        spent={name: _added([part.spent.get(name, {}) for part in parts]) for name in names},
        unseen=tuple(sum(known) / len(parts) for known in zip(*(part.unseen for part in parts), strict=True)),
        skill=tuple(hit for part in parts for hit in part.skill),
    )


def _worst(checks: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of `learnt` and of what each setting `kept`, the least; what one person lacks is lacking."""
    if not all(checks):
        return {}
    learnt = [check["learnt"] for check in checks]
    lowest = {setting: min(check["kept"].get(setting, 0.0) for check in checks) for setting in checks[0]["kept"]}
    return {"learnt": None if None in learnt else min(learnt), "kept": lowest}


def _added(spent: Sequence[dict[str, int]]) -> dict[str, int]:
    return {what: sum(one.get(what, 0) for one in spent) for what in (spent[0] if spent else {})}
