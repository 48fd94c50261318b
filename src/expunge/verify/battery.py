"""Run every attack on one arm, at the same budget for all arms, and keep the raw scores.

Scores are cached by the digests of the model, its tokenizer, the probes and the attack's configuration:
an audit that was stopped goes on, an arm used in several audits is attacked once, and a changed model is never judged
by old scores.
"""

import json
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from expunge.core.digests import digest_json
from expunge.core.errors import UnknownMethod
from expunge.engine import digest_model, digest_tokenizer, pinned
from expunge.verify.attacks import attacks
from expunge.verify.attacks._target import CannotRun, Scores, Target
from expunge.verify.probes import Probes

BATTERIES: dict[str, tuple[str, ...]] = {
    "standard": (
        "direct",
        "probability",
        "paraphrase",
        "quantise",
        "linear_probe",
        "retain_finetune",
        "relearn",
        "membership",
    ),
    "quick": ("direct", "probability", "paraphrase", "quantise", "linear_probe", "membership"),
}
VERSION = 1


@dataclass(frozen=True)
class Arm:
    """A model that attacks run on. `digest` names its bits and keys the cache."""

    model: Any
    tokenizer: Any
    digest: str

    @classmethod
    def of(cls, model: Any, tokenizer: Any) -> "Arm":
        return cls(model, tokenizer, digest_model(model))


@dataclass(frozen=True)
class ArmScores:
    """Raw scores of one arm: attack -> setting -> one number per fact; why an attack could not run; retained skill."""

    digest: str
    scores: dict[str, Scores]
    failed: dict[str, str]
    skill: tuple[float, ...]
    elapsed_s: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


Progress = Callable[[str, int, int], None]  # attack, attacks done, attacks in all


def battery_of(name: str) -> tuple[str, ...]:
    """The attacks of a battery.

    Raises: UnknownMethod.
    """
    if name not in BATTERIES:
        raise UnknownMethod(f"no battery '{name}'; available: {', '.join(BATTERIES)}")
    return BATTERIES[name]


def attack_arm(
    arm: Arm,
    probes: Probes,
    battery: str = "standard",
    cache: Path | None = None,
    progress: Progress | None = None,
    threads: int = 1,
) -> ArmScores:
    """Every attack of the battery on one arm. What cannot run is listed with its reason; other errors are raised."""
    target = Target(arm.model, arm.tokenizer)
    scores: dict[str, Scores] = {}
    failed: dict[str, str] = {}
    elapsed: dict[str, float] = {}
    names = battery_of(battery)
    asked = [VERSION, arm.digest, digest_tokenizer(arm.tokenizer), probes.digest()]
    with pinned(threads):
        for i, name in enumerate(names):
            if progress:
                progress(name, i, len(names))
            attack = attacks.get(name)()
            key = digest_json("attack", [*asked, name, _config(attack)])
            began = time.perf_counter()
            try:
                scores[name] = _cached(cache, key, lambda attack=attack: attack.run(target, probes))  # type: ignore[misc]
            except CannotRun as e:
                failed[name] = str(e)
            elapsed[name] = time.perf_counter() - began
        key = digest_json("attack", [*asked, "skill"])
        skill = _cached(cache, key, lambda: {"plain": target.recalls(probes.retain) if probes.retain else []})
    if progress:
        progress("", len(names), len(names))
    return ArmScores(arm.digest, scores, failed, tuple(skill["plain"]), elapsed)


def _config(attack: Any) -> Any:
    return json.loads(json.dumps(asdict(attack)))


def _cached(folder: Path | None, key: str, compute: Callable[[], Scores]) -> Scores:
    path = folder / f"{key.removeprefix('sha256:')}.json" if folder else None
    if path and path.exists():
        with suppress(ValueError):  # a file cut short by a crash: not finished, so attack again
            found: Scores = json.loads(path.read_text())
            return found
    scores = compute()
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".tmp", delete=False) as file:
            json.dump(scores, file)
        os.replace(file.name, path)
    return scores
