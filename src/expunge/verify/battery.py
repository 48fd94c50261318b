"""Run every attack on one arm, at the same budget for all arms, and keep the raw scores.

Scores are cached by the digests of the model, its tokenizer, the probes and the attack's configuration, and of the other
models that an attack looks at: an audit that was stopped goes on, an arm used in several audits is attacked once, and a
changed model is never judged by old scores.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from expunge.core.digests import digest_json
from expunge.core.durable import write_durably
from expunge.core.errors import DigestMismatch
from expunge.engine import digest_model, digest_tokenizer, pinned
from expunge.verify.attacks import attacks
from expunge.verify.attacks._target import CannotRun, Company, Ran, Target
from expunge.verify.batteries import VERSION, battery_of, parameters
from expunge.verify.probes import Probes
from expunge.verify.scores import ArmScores, Scores

Progress = Callable[[str, int, int], None]  # attack, attacks done, attacks in all


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
class Beside:
    """Other models that some attacks look at. `outs` never saw the facts and are no arm: shards, a base, other seeds."""

    original: Arm | None = None
    control: Arm | None = None
    outs: tuple[Arm, ...] = ()

    def company(self) -> Company:
        def target(arm: Arm | None) -> Target | None:
            return Target(arm.model, arm.tokenizer) if arm else None

        outs = tuple(Target(out.model, out.tokenizer) for out in self.outs)
        return Company(target(self.original), target(self.control), outs)

    def digests(self, names: tuple[str, ...]) -> list[list[str]]:
        """What is named of these, for the key of a cache."""
        given: dict[str, list[Arm | None]] = {
            "original": [self.original],
            "control": [self.control],
            "outs": list(self.outs),
        }
        return [[arm.digest for arm in given[name] if arm] for name in names]


def attack_arm(
    arm: Arm,
    probes: Probes,
    battery: str = "standard",
    cache: Path | None = None,
    progress: Progress | None = None,
    threads: int = 1,
    beside: Beside | None = None,
) -> ArmScores:
    """Every attack of the battery on one arm. What cannot run is listed with its reason; other errors are raised.

    Raises: UnknownMethod, for a battery that nobody offers; DigestMismatch, if the arm's digest is not its model's: scores would
    be filed under another model's name.
    """
    if digest_model(arm.model) != arm.digest:
        raise DigestMismatch("the arm's digest is not that of its model; make the arm with Arm.of")
    beside = beside or Beside()
    target = Target(arm.model, arm.tokenizer, company=beside.company())
    scores: dict[str, Scores] = {}
    failed: dict[str, str] = {}
    elapsed: dict[str, float] = {}
    checks: dict[str, dict[str, Any]] = {}
    spent: dict[str, dict[str, int]] = {}
    names = battery_of(battery)
    material = [VERSION, arm.digest, digest_tokenizer(arm.tokenizer), probes.digest()]
    with pinned(threads):
        for i, name in enumerate(names):
            if progress:
                progress(name, i, len(names))
            attack = attacks.get(name)()
            company = beside.digests(getattr(attack, "needs", ()))
            key = digest_json("attack", [*material, name, parameters(name), company])
            try:
                ran = _cached(cache, key, lambda attack=attack: _counted(attack, target, probes))  # type: ignore[misc]
                scores[name], checks[name], spent[name] = ran["scores"], ran["checks"], ran["spent"]
                elapsed[name] = ran["elapsed_s"]
            except CannotRun as e:
                failed[name], elapsed[name] = str(e), 0.0
        key = digest_json("attack", [*material, "skill"])
        plain = _cached(
            cache, key, lambda: {"retain": target.recalls(probes.retain), "unseen": target.recalls(probes.unseen)}
        )
    if progress:
        progress("", len(names), len(names))
    precision = str(next(arm.model.parameters()).dtype).removeprefix("torch.")
    return ArmScores(
        arm.digest,
        scores,
        failed,
        tuple(plain["retain"]),
        elapsed,
        checks,
        spent,
        probes.digest(),
        precision,
        unseen=tuple(plain["unseen"]),
    )


def _counted(attack: Any, target: Target, probes: Probes) -> dict[str, Any]:
    """Run an attack and count what it took of the model, and how long."""
    began = time.perf_counter()
    with _counting(target.model) as count:
        found = attack.run(target, probes)
    ran = found if isinstance(found, Ran) else Ran(found)
    if attack.family != "membership" and (wrong := {len(row) for row in ran.scores.values()} - {len(probes.forget)}):
        raise CannotRun(f"gave {min(wrong)} scores for {len(probes.forget)} facts; one score per fact is needed")
    checks = {"learnt": ran.learnt, "kept": ran.retained} if ran.learnt is not None or ran.retained else {}
    return {"scores": ran.scores, "checks": checks, "spent": count, "elapsed_s": time.perf_counter() - began}


@contextmanager
def _counting(model: Any) -> Iterator[dict[str, int]]:
    """Counts tokens and passes with gradients, of the model and of every copy that is made of it meanwhile."""
    count = {"tokens": 0, "steps": 0}

    def before(_module: Any, args: Any, kwargs: Any) -> None:
        given = kwargs.get("input_ids", kwargs.get("inputs_embeds", args[0] if args else None))
        if given is not None:
            count["tokens"] += given.shape[0] * given.shape[1]
        count["steps"] += torch.is_grad_enabled()

    handle = model.register_forward_pre_hook(before, with_kwargs=True)  # copies take functions along
    try:
        yield count
    finally:
        handle.remove()


def _cached(folder: Path | None, key: str, compute: Callable[[], Any]) -> Any:
    path = folder / f"{key.removeprefix('sha256:')}.json" if folder else None
    if path and path.exists():
        with suppress(ValueError):  # a file cut short by a crash: not finished, so attack again
            return json.loads(path.read_text())
    found = compute()
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(path, json.dumps(found).encode())
    return found
