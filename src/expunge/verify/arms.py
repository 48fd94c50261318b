"""Attack several arms, one after the other or side by side in processes of their own; the scores are the same."""

from collections.abc import Mapping, Sequence
from concurrent.futures import as_completed
from pathlib import Path

from expunge.core.workers import worker_pool
from expunge.verify.battery import Arm, ArmScores, Beside, Progress, attack_arm, battery_of
from expunge.verify.probes import Probes


def attack_arms(
    asked_of: Mapping[str, tuple[Arm | ArmScores, Probes]],
    battery: str = "standard",
    cache: Path | None = None,
    progress: Progress | None = None,
    outs: Sequence[Arm] = (),
    workers: int = 1,
) -> dict[str, ArmScores]:
    """Scores of every arm; scores that are given are taken as they are. Attacks see the arms that are models."""
    models = {name: arm for name, (arm, _) in asked_of.items() if isinstance(arm, Arm)}
    control = models.get("control") if models.get("control") is not models.get("unlearned") else None
    beside = Beside(models.get("original"), control, tuple(outs))
    todo = {name: (models[name], probes) for name, (_, probes) in asked_of.items() if name in models}
    done = {name: arm for name, (arm, _) in asked_of.items() if isinstance(arm, ArmScores)}
    if workers > 1 and len(todo) > 1:
        done |= _side_by_side(todo, battery, cache, progress, beside, workers)
    else:
        for name, (arm, probes) in todo.items():
            done[name] = attack_arm(arm, probes, battery, cache, _named(progress, name), beside=beside)
    return {name: done[name] for name in asked_of}


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
