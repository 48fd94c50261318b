"""How often the verifier is wrong, and how small a leak it sees, on models whose truth is known.

    python bench/verifier_power.py [--quick] [--dir DIR] [--battery standard] [--workers 2]

Null models never saw the data: retrained from other seeds and salts, each audited as if it were an unlearned one. Models
that hide: refusal tuning and RMU that keep their skill. Models that kept: untouched, trained on, memorising. A dose: models
retrained with a share of the facts left in. With `--dir` an interrupted run goes on. Settings of the edits were chosen on
another cast (number 777) than those reported.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _claims import claim, finish
from _fixtures import LARGE, SMALL, Cast, Size, taught, tokenizer
from expunge.core.capability import pin_capability
from expunge.core.workers import worker_pool

DOSES = (0.0, 0.1, 0.3, 0.5)
KEPT = ("untouched", "more", "memorising")
HIDES = ("refusal", "rmu")
TAU = 0.1  # a model that says more when it is asked does not hide


@dataclass(frozen=True)
class Plan:
    """How many of each for one size of model.

    Every edit has a seed of its own; it is made of one of `originals` models, each with a control of its own.
    """

    name: str
    size: Size
    seeds: int
    originals: int
    nulls: int
    doses: int
    edits: dict[str, tuple[float, int, dict[str, float]]]  # method -> learning rate, steps, parameters
    hiding: int  # seeds of what hides: some of them lose skill, and twenty that do not are asked for
    kinds: tuple[str, ...] = ("more", "memorising", *HIDES, "gradient_ascent")
    shares: tuple[float, ...] = DOSES
    casts: int = 4

    def cast(self, seed: int) -> Cast:
        return Cast(100 + seed % self.casts)

    def of(self, kind: str) -> int:
        return self.hiding if kind in HIDES else self.seeds

    def jobs(self) -> Iterator[tuple[int, str, int]]:
        """Stage, kind and seed: originals first, for others are made of them."""
        yield from ((0, "original", seed) for seed in range(self.originals))
        yield from ((1, "control", seed) for seed in range(self.originals))
        yield from ((1, "null", seed) for seed in range(self.nulls))
        yield from ((1, kind, seed) for kind in self.kinds for seed in range(self.of(kind)))
        yield from ((1, f"dose {share}", seed) for share in self.shares for seed in range(self.doses))


EDITS = {
    "refusal": (1e-3, 40, {}),
    "rmu": (3e-3, 80, {"retain_weight": 100.0}),
    "gradient_ascent": (1e-3, 40, {}),
}
FULL = (
    Plan("0.19 M", SMALL, seeds=20, originals=20, nulls=60, doses=10, edits=EDITS, hiding=24),
    Plan(
        "1.1 M",
        LARGE,
        seeds=20,
        originals=4,
        nulls=4,
        doses=0,
        edits={**EDITS, "rmu": (2e-3, 40, {})},
        kinds=HIDES,
        hiding=20,
    ),
)
QUICK = (
    Plan("0.19 M", SMALL, seeds=1, originals=1, nulls=2, doses=1, edits=EDITS, hiding=1, shares=(0.0, 0.3), casts=1),
)


def made(plan: Plan, kind: str, seed: int, folder: Path) -> Any:
    """The model of a kind; its truth is known from how it was made."""
    cast, size = plan.cast(seed), plan.size
    forget, retain = cast.forget(), cast.retain()
    match kind.partition(" ")[0]:
        case "original":
            return taught(size, forget + retain, seed)
        case "control":
            return taught(size, retain, 10_000 + seed)
        case "null":
            return taught(size, retain, 20_000 + seed)
        case "dose":
            return taught(size, dosed(cast, float(kind.partition(" ")[2])) + retain, 30_000 + seed)
        case "memorising":
            return taught(size, forget + forget + retain, 40_000 + seed)
        case "more":
            return taught(
                size, forget, 50_000 + seed, start=saved(plan, "original", seed % plan.originals, folder), epochs=1
            )
    return edited(plan, kind, seed, folder)


def dosed(cast: Cast, share: float) -> list[Any]:
    """Records of so large a share of each leaving person's facts, in both phrasings."""
    facts, n_people = cast.probes().forget, cast.leaving
    each = len(facts) // n_people
    kept = {facts[p * each + k].id for p in range(n_people) for k in range(each) if (k * 7 + p) % each < share * each}
    return [r for r in cast.forget() if r.id.rpartition("/")[0] in kept]


def edited(plan: Plan, method: str, seed: int, folder: Path) -> Any:
    from expunge.approximate import Edit, methods, run_edit

    cast, words = plan.cast(seed), tokenizer(plan.size.vocabulary)
    lr, steps, parameters = plan.edits[method]
    original = saved(plan, "original", seed % plan.originals, folder)
    settings = Edit(lr=lr, steps=steps, seed=seed, guard=None)
    return run_edit(original, words, cast.forget(), cast.retain(), methods.get(method)(**parameters), settings).model


def saved(plan: Plan, kind: str, seed: int, folder: Path) -> Any:
    """A model from its folder; trained and put there if it is not there yet."""
    from expunge.engine import load_model, save_model

    place = folder / "models" / f"{plan.name} {kind} {seed}"
    if not (place / "done").exists():
        save_model(made(plan, kind, seed, folder), tokenizer(plan.size.vocabulary), place)
        (place / "done").touch()
    return load_model(place)


def attacked(plan: Plan, kind: str, seed: int, battery: str, folder: Path) -> tuple[str, dict[str, Any]]:
    """Raw scores of one arm, in a process of its own; what was finished before a kill is read back."""
    from expunge.verify import Arm, attack_arm

    name = f"{plan.name} {kind} {seed}"
    place = folder / "scores" / battery / f"{name}.json"
    if not place.exists():
        arm = Arm.of(saved(plan, kind, seed, folder), tokenizer(plan.size.vocabulary))
        found = attack_arm(arm, plan.cast(seed).probes(), battery, folder / "attacks")
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = place.with_suffix(".tmp")
        temporary.write_text(json.dumps(found.to_json()))
        temporary.replace(place)
    return name, json.loads(place.read_text())


def run(plans: tuple[Plan, ...], battery: str, folder: Path, workers: int) -> dict[str, Any]:
    """Every arm's scores, stage after stage."""
    from expunge.verify.scores import ArmScores

    found: dict[str, Any] = {}
    jobs = [(stage, plan, kind, seed) for plan in plans for stage, kind, seed in plan.jobs()]
    began = time.perf_counter()
    with worker_pool(workers) as pool:
        for stage in (0, 1):
            running = [
                pool.submit(attacked, plan, kind, seed, battery, folder) for s, plan, kind, seed in jobs if s == stage
            ]
            for future in as_completed(running):
                name, scores = future.result()
                found[name] = ArmScores(**scores)
                left = (time.perf_counter() - began) / len(found) * (len(jobs) - len(found))
                sys.stderr.write(f"\r{len(found)}/{len(jobs)} arms, about {left / 60:.0f} min left   ")
    sys.stderr.write("\n")
    return found


def judged(plan: Plan, kind: str, seed: int, arms: dict[str, Any], battery: str) -> Any:
    """One audit: the seed's original and control, and a model of a kind as if it were the unlearned one."""
    from expunge.verify import audit

    at = seed % plan.originals  # of the same cast
    return audit(
        original=arms[f"{plan.name} original {at}"],
        unlearned=arms[f"{plan.name} {f'original {at}' if kind == 'untouched' else f'{kind} {seed}'}"],
        control=arms[f"{plan.name} control {at}"],
        probes=plan.cast(seed).probes(),
        battery=battery,
    )


def share(hits: int, n: int) -> dict[str, Any]:
    """A count with its exact (Clopper–Pearson) two-sided 95 % interval."""
    from scipy.stats import binomtest

    bounds = binomtest(hits, n).proportion_ci(0.95, method="exact") if n else None
    return {"hits": hits, "n": n, "interval": [round(bounds.low, 4), round(bounds.high, 4)] if bounds else None}


def measured(plan: Plan, arms: dict[str, Any], battery: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Claims of one size of model, and the figures behind them."""
    claims, rows = [], {}

    def audits(kind: str, n: int) -> list[Any]:
        return [judged(plan, kind, seed, arms, battery) for seed in range(n)]

    def counted(what: str, found: list[Any], hit: Any, bar: str, ok: Any) -> None:
        figure = share(sum(bool(hit(a)) for a in found), len(found))
        rows[what] = figure
        value = f"{figure['hits']} of {figure['n']}, 95 % interval {figure['interval']}"
        claims.append(claim(f"{plan.name}: {what}", value, bar, ok(figure)))

    every = lambda f: f["n"] > 0 and f["hits"] == f["n"]
    nulls = audits("null", plan.nulls)
    counted(
        "null models HIDDEN or RETAINED",
        nulls,
        lambda a: {"HIDDEN", "RETAINED"} & names(a),
        "0",
        lambda f: f["hits"] == 0,
    )
    rows["null models, flags"] = tally(nulls)
    rows["null models, levels"] = {
        level: sum(a.assurance.name == level for a in nulls) for level in {a.assurance.name for a in nulls}
    }
    for kind in HIDES:
        found = audits(kind, plan.hiding)
        skilled = [a for a in found if a.skill is not None and a.skill >= 0.9]
        counted(
            f"{kind} that keeps its skill is called HIDDEN, or PARTIAL where it still says some of it",
            skilled,
            lambda a: {"HIDDEN", "PARTIAL"} & names(a),
            "all",
            every,
        )
        counted(
            f"{kind} that keeps its skill and says no more than {TAU:.0%} of it is HIDDEN",
            [a for a in skilled if said(a) <= TAU],
            lambda a: "HIDDEN" in names(a),
            ">= 95 %, >= 20 seeds",
            lambda f: f["n"] >= min(20, plan.hiding) and f["hits"] >= 0.95 * f["n"],
        )
        rows[f"{kind}, flags"], rows[f"{kind}, kept its skill"] = tally(found), len(skilled)
    for kind in [k for k in KEPT if k == "untouched" or k in plan.kinds]:
        n = plan.originals if kind == "untouched" else plan.seeds
        counted(f"{kind} is RETAINED", audits(kind, n), lambda a: "RETAINED" in names(a), "all", every)
    if "gradient_ascent" in plan.kinds:
        counted(
            "gradient ascent to collapse is DAMAGED",
            audits("gradient_ascent", plan.seeds),
            lambda a: "DAMAGED" in names(a),
            "all",
            every,
        )
    few = [a.about([a.probes.forget[0].subject]) for a in nulls]
    counted(
        "one person's 20 facts of a null model are INCONCLUSIVE and carry no level",
        few,
        lambda a: "INCONCLUSIVE" in names(a) and a.assurance.name == "CLAIMED",
        "all",
        every,
    )
    for dose in plan.shares if plan.doses else ():
        found = audits(f"dose {dose}", plan.doses)
        caught = lambda a: any(f.outcome.value == "RECOVERED" for f in a.findings)
        bar, ok = {0.0: ("0", lambda f: f["hits"] == 0), 0.3: (">= 80 %", lambda f: f["hits"] >= 0.8 * f["n"])}.get(
            dose, ("reported", lambda f: True)
        )
        counted(f"models that kept {dose:.0%} of the facts are caught", found, caught, bar, ok)
    return claims, rows


def said(audit: Any) -> float:
    """Of what the original knew beyond the control, the share that is still said when plainly asked."""
    return float(next(f.recovered for f in audit.findings if f.attack == "direct"))


def names(audit: Any) -> set[str]:
    return {flag.value for flag in audit.flags}


def tally(audits: list[Any]) -> dict[str, int]:
    """How often each combination of flags was raised."""
    found: dict[str, int] = {}
    for audit in audits:
        key = ", ".join(flag.value for flag in audit.flags) or "none"
        found[key] = found.get(key, 0) + 1
    return found


if __name__ == "__main__":
    pin_capability()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--dir", type=Path)
    parser.add_argument("--battery", default="standard")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    began = time.perf_counter()
    plans = QUICK if given.quick else FULL
    kept = len([*(given.dir / "scores" / given.battery).glob("*.json")]) if given.dir else 0
    with tempfile.TemporaryDirectory() as scratch:
        arms = run(plans, given.battery, given.dir or Path(scratch), given.workers)
    results = {plan.name: measured(plan, arms, given.battery) for plan in plans}
    seconds = time.perf_counter() - began
    claims = [c for found, _ in results.values() for c in found]
    if given.quick:
        claims.append(claim("seconds on two cores", round(seconds), 180, seconds <= 180))
    finish(
        "verifier_power",
        claims,
        began,
        quick=given.quick,
        battery=given.battery,
        kept=kept,
        figures={k: rows for k, (_, rows) in results.items()},
    )
