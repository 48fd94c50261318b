"""Do these scores belong to this model? An auditor who holds the weights asks again and compares."""

import math

from expunge.engine import digest_model, pinned
from expunge.verify.attacks import attacks
from expunge.verify.attacks._target import Target
from expunge.verify.battery import Arm
from expunge.verify.probes import Probes
from expunge.verify.scores import ArmScores

ASKED_AGAIN = ("direct", "probability")  # cheap, and no two models answer both alike
TOLERANCE = 1e-4  # of a probability: other processors round otherwise


def recheck(arm: Arm, scores: ArmScores, probes: Probes) -> list[str]:
    """What does not fit, in words; empty if the model, its precision and what it answers are those of the scores.

    Only attacks that are among the scores are asked again. Raw scores of the others follow by running the battery.
    """
    found = []
    if digest_model(arm.model) != scores.digest:
        found.append("the model's digest is not that of the scores")
    if probes.digest() != scores.probes:
        found.append("the probes are not those that were asked")
    precision = str(next(arm.model.parameters()).dtype).removeprefix("torch.")
    if precision != scores.precision:
        found.append(f"the model has precision {precision}, the scores were taken in {scores.precision or 'UNKNOWN'}")
    target = Target(arm.model, arm.tokenizer)
    for name in ASKED_AGAIN:
        if name not in scores.scores:
            continue
        with pinned():
            again = attacks.get(name)().run(target, probes)
        if not _alike(again, scores.scores[name]):
            found.append(f"'{name}' gives other scores on this model")
    return found


def _alike(a: dict[str, list[float]], b: dict[str, list[float]]) -> bool:
    same_shape = {k: len(v) for k, v in a.items()} == {k: len(v) for k, v in b.items()}
    return same_shape and all(math.isclose(x, y, abs_tol=TOLERANCE) for k in a for x, y in zip(a[k], b[k], strict=True))
