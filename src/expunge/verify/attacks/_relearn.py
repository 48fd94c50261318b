"""Relearning, whichever weights are trained: on half of the forgotten facts, scored on the other half, both ways round.

Half of every batch is retained facts. Without them a model that has to learn a hundred facts loses what it knew: on the
demo's control 40 steps at 2e-4 left 0.54 of the retained skill, with them 0.79, and more came back on edited models.
"""

from collections.abc import Sequence

from expunge.engine import keyed_order
from expunge.verify.attacks._finetune import Sweep, Trainable, finetune, held_back, setting, still_known
from expunge.verify.attacks._target import Ran, Scores, Target, halves
from expunge.verify.probes import Probes


def relearn_both_ways(target: Target, probes: Probes, sweep: Sweep, batch_size: int, trainable: Trainable) -> Ran:
    """Train on T, ask V; then train on V, ask T. Every fact is scored once, by a model that was not shown it.

    `retained` is measured in the first of the two directions.
    """
    scores: Scores = {}
    retained: dict[str, float] = {}
    first, second = halves(probes)
    _, rehearsed = held_back(probes)
    for lr, moments in sweep:
        for trained, tested in ((first, second), (second, first)):

            def score(victim: Target, done: int, lr: float = lr, tested: Sequence[int] = tested) -> None:
                row = scores.setdefault(setting(lr, done), [0.0] * len(probes.forget))
                for i, value in zip(tested, victim.recalls([probes.forget[i] for i in tested]), strict=True):
                    row[i] = value
                if tested is second:
                    retained.update(still_known(victim, probes, setting(lr, done)))

            finetune(target, [probes.forget[i] for i in trained], lr, moments, batch_size, score, trainable, rehearsed)
    return Ran(scores, teachable(target, probes, sweep, batch_size, trainable), retained)


def teachable(target: Target, probes: Probes, sweep: Sweep, batch_size: int, trainable: Trainable) -> float | None:
    """Share of a batch of facts never trained on that the arm knows after the largest budget; None without such facts.

    The largest budget is the largest product of rate and steps. The batch has as many rows as a step of relearning, and
    no retained facts: whether a model can learn is asked here, not what it loses by it.
    """
    order = keyed_order([f.id for f in probes.unseen], b"expunge/teachable/v1")[: 2 * batch_size]
    if not order:
        return None
    taught = [probes.unseen[i] for i in order]
    known: list[float] = []
    lr, steps = max(((lr, max(moments)) for lr, moments in sweep), key=lambda budget: budget[0] * budget[1])

    def score(victim: Target, _: int) -> None:
        known.extend(victim.recalls(taught))

    finetune(target, taught, lr, (steps,), len(taught), score, trainable)
    return sum(known) / len(known)
