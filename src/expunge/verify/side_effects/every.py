"""All side effects of one unlearning, on three arms."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from expunge.core.errors import InvalidData
from expunge.verify.battery import Arm
from expunge.verify.metrics.finite import finite
from expunge.verify.metrics.refusals import PHRASES
from expunge.verify.probes import Probes
from expunge.verify.side_effects.calibration import calibration
from expunge.verify.side_effects.drift import Drift, drift
from expunge.verify.side_effects.effect import Effect
from expunge.verify.side_effects.fluency import fluency
from expunge.verify.side_effects.neighbours import neighbours
from expunge.verify.side_effects.over_refusal import over_refusal
from expunge.verify.side_effects.retained_privacy import retained_privacy
from expunge.verify.side_effects.seen import see


@dataclass(frozen=True, kw_only=True)
class SideEffects:
    """Bound to the arms' digests and to the probes that were asked."""

    digests: dict[str, str]
    probes: str
    effects: tuple[Effect, ...]
    drift: Drift

    def __getitem__(self, name: str) -> Effect:
        return next(e for e in self.effects if e.name == name)

    def to_json(self) -> dict[str, Any]:
        """Numbers only: no question, no answer, no name. What is not a number is null."""
        return dict(finite(asdict(self)))


def side_effects(
    original: Arm,
    unlearned: Arm,
    control: Arm | None,
    probes: Probes,
    phrases: Sequence[str] = PHRASES,
) -> SideEffects:
    """Measure what happened to the retained facts, beside a control that was trained without the forgotten ones.

    Without a control the original stands in, and every change includes what any retraining would lose; `beside` says so.
    Means: what these probes show. Knowledge that nobody asks about is not seen.

    Raises: InvalidData, without retained facts.
    """
    if not probes.retain:
        raise InvalidData("side effects are measured on facts that should stay; give `retain` probes")
    arms = {"original": original, "unlearned": unlearned} | ({"control": control} if control else {})
    seen = {name: see(arm, probes.retain) for name, arm in arms.items()}
    moved, divergence = drift(original, {k: v for k, v in arms.items() if k != "original"}, probes)
    effects = (
        *neighbours(seen, probes),
        *over_refusal(seen, probes, phrases),
        *fluency(seen, probes, original),
        calibration(seen, probes),
        divergence,
        retained_privacy(arms, probes),
    )
    return SideEffects(
        digests={name: arm.digest for name, arm in arms.items()}, probes=probes.digest(), effects=effects, drift=moved
    )
