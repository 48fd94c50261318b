"""Attack the arms of an audit, one after the other or side by side in processes of their own, and judge their scores."""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import replace
from pathlib import Path

from expunge.core import Guarantee
from expunge.core.errors import InvalidParameter
from expunge.core.workers import worker_pool
from expunge.synthetic.placebo import placebo
from expunge.verify.audits import Audit
from expunge.verify.batteries import battery_of
from expunge.verify.battery import Arm, Beside, Progress, attack_arm
from expunge.verify.probes import Probes
from expunge.verify.scores import ArmScores


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
    if second is not None and any(arm and arm.digest == second.digest for arm in (original, unlearned, control)):
        raise InvalidParameter("the second control is another arm; train one more without the data, with its own seed")
    given = {"original": original, "unlearned": unlearned, "control": control, "second control": second}
    questions = {name: (arm, probes) for name, arm in given.items() if arm is not None}
    if asks_twins := control is None and placebos:
        if not isinstance(unlearned, Arm):
            raise InvalidParameter("placebos need the unlearned model itself, not its scores; give an Arm")
        questions["control"] = (unlearned, replace(probes, forget=tuple(placebo(probes.forget))))
    arms = attack_arms(questions, battery, cache, progress, outs, workers)
    if asks_twins:
        arms["control"] = replace(arms["control"], kind="placebo")
    return Audit.of(
        arms,
        probes,
        battery,
        guarantee=guarantee,
        replay=replay,
        duplicates=duplicates,
        procedure=procedure,
        elapsed_s=time.perf_counter() - began,
    )


def attack_arms(
    questions: Mapping[str, tuple[Arm | ArmScores, Probes]],
    battery: str = "standard",
    cache: Path | None = None,
    progress: Progress | None = None,
    outs: Sequence[Arm] = (),
    workers: int = 1,
) -> dict[str, ArmScores]:
    """Scores of every arm; scores that are given are taken as they are. Attacks see the arms that are models."""
    models = {name: arm for name, (arm, _) in questions.items() if isinstance(arm, Arm)}
    control = models.get("control") if models.get("control") is not models.get("unlearned") else None
    beside = Beside(models.get("original"), control, tuple(outs))
    todo = {name: (models[name], probes) for name, (_, probes) in questions.items() if name in models}
    done = {name: arm for name, (arm, _) in questions.items() if isinstance(arm, ArmScores)}
    if workers > 1 and len(todo) > 1:
        done |= _side_by_side(todo, battery, cache, progress, beside, workers)
    else:
        for name, (arm, probes) in todo.items():
            done[name] = attack_arm(arm, probes, battery, cache, _named(progress, name), beside=beside)
    return {name: done[name] for name in questions}


def _side_by_side(
    todo: Mapping[str, tuple[Arm, Probes]],
    battery: str,
    cache: Path | None,
    progress: Progress | None,
    beside: Beside,
    workers: int,
) -> dict[str, ArmScores]:
    """One process an arm, started afresh: a forked torch may hang. Models travel between processes of one user."""
    done: dict[str, ArmScores] = {}
    n_attacks = len(battery_of(battery))
    with worker_pool(workers) as pool:
        running = {
            pool.submit(attack_arm, arm, probes, battery, cache, None, 1, beside): name
            for name, (arm, probes) in todo.items()
        }
        for future in as_completed(running):
            done[running[future]] = future.result()
            if progress:
                progress(running[future], len(done) * n_attacks, len(todo) * n_attacks)
    return done


def _named(progress: Progress | None, arm: str) -> Progress | None:
    return (lambda attack, k, n: progress(f"{arm}: {attack}", k, n)) if progress else None
