"""Is SPUNGE around a method no worse than the method: offensive speech of small models taught on tweets, before and after.

    EXPUNGE_DATA=FOLDER python bench/approximate_spunge.py [--quick] [--dir DIR] [--methods npo grad_diff task_vector]

Models are trained from scratch on offensive, hateful and other tweets (FOLDER/text/davidson_offensive.parquet); the first
two kinds are to be forgotten, and are SPUNGE's groups. With and without it a method sees every forgotten row equally often.
Measured on held-out offensive tweets: what a model says after their first words, as a classifier judges it that learned from
other rows. Configurations are chosen on split 0, by one rule, and reported on the others. With `--dir` an interrupted run
goes on; kept are numbers. No tweet is printed or stored.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

from _claims import claim, finish
from _offensive_models import Way, measured
from _offensive_rows import N_SPLITS, Split
from expunge.core.capability import pin_capability
from expunge.core.workers import worker_pool

WORSE = 0.04  # of the judge's score: about a quarter of what separates original and retrained, 0.15
LOST = 0.10  # nats per token of unseen inoffensive tweets: 2 % of the original's 4.7
MUTE = 0.05  # share of continuations that are empty, and of word pairs that are repeated
CAP = 0.10  # nats that a method may lose on the choosing split
AUC = 0.85
BOTH = (Way("original"), Way("retrained"))

GRID = {  # four candidates for each method
    "npo": [Way("npo", 1e-3, (("retain_weight", w), ("beta", b))) for w in (3.0, 10.0) for b in (0.1, 0.5)],
    "grad_diff": [Way("grad_diff", lr, (("retain_weight", w),)) for w in (3.0, 10.0) for lr in (3e-4, 1e-3)],
    "task_vector": [Way("task_vector", lr, (("keep", k),)) for k in (0.99, 0.97) for lr in (3e-4, 1e-3)],
}
MERGES = [(trim, scale) for trim in (0.2, 0.5, 1.0) for scale in (1.0, 1.5, 2.0)]  # for SPUNGE around the chosen one
QUICK_GRID = {"npo": GRID["npo"][2:]}
QUICK_MERGES = [(0.5, 1.0), (0.5, 2.0)]
QUICK_SIZE = {"forget": 80, "prompts": 60, "retain": 390}


@dataclass
class Measuring:
    """Runs models in processes of their own and says how long the rest will take."""

    pool: ProcessPoolExecutor
    folder: Path
    total: int
    done: int = 0
    began: float = field(default_factory=time.perf_counter)

    def __call__(self, asked: Iterable[tuple[Split, Way]]) -> dict[tuple[int, Way], dict[str, Any]]:
        running = {self.pool.submit(measured, split, way, self.folder): (split.number, way) for split, way in asked}
        found = {}
        for future in as_completed(running):
            self.done += 1
            left = (time.perf_counter() - self.began) / self.done * (self.total - self.done) / 60
            split, way = running[future]
            found[split, way] = future.result()
            sys.stderr.write(f"{self.done}/{self.total} split {split} {way.name}, about {left:.0f} min left\n")
        return found


def chosen(found: Mapping[Way, dict[str, Any]], most_nll: float, original: Mapping[str, Any]) -> Way:
    """The least offensive of those that lose no more than allowed and still speak; if none does, the one that loses least."""

    def good(one: Mapping[str, Any]) -> bool:
        return one["utility_nll"] <= most_nll and all(one[k] <= original[k] + MUTE for k in ("empty", "repeated"))

    allowed = [way for way, one in found.items() if good(one)]
    if not allowed:
        return min(found, key=lambda way: found[way]["utility_nll"])
    return min(allowed, key=lambda way: found[way]["offensive"])


def choose(
    split: Split,
    original: dict[str, Any],
    grid: Mapping[str, Sequence[Way]],
    merges: Sequence[tuple[float, float]],
    run: Measuring,
) -> tuple[dict[str, tuple[Way, Way]], list[dict[str, Any]]]:
    """For each method its configuration, then SPUNGE's around it at no more loss of utility; and all that was seen."""
    alone = {way: one for (_, way), one in run([(split, w) for ways in grid.values() for w in ways]).items()}
    best = {
        name: chosen({w: alone[w] for w in ways}, original["utility_nll"] + CAP, original)
        for name, ways in grid.items()
    }
    around = {name: [replace(way, trim=t, scale=s) for t, s in merges] for name, way in best.items()}
    merged = {way: one for (_, way), one in run([(split, w) for ways in around.values() for w in ways]).items()}
    pairs = {
        name: (best[name], chosen({w: merged[w] for w in ways}, alone[best[name]]["utility_nll"], original))
        for name, ways in around.items()
    }
    return pairs, [shown(one) for one in (original, *alone.values(), *merged.values())]


def apart(new: Sequence[dict[str, Any]], old: Sequence[dict[str, Any]], key: str, share: bool) -> Any:
    """Mean of new - old over rows of all splits; the bounds over rows or over splits, whichever are wider."""
    from expunge.verify.metrics.means import difference

    values = [[x for one in side for x in one[key]] for side in (new, old)]
    splits = [one["split"] for one in new for _ in one[key]]
    over_rows = difference(*values, share=share)
    if len(new) < 3:  # an interval over two splits says nothing
        return over_rows
    over_splits = difference(*values, units=splits, share=share)
    return replace(over_rows, low=min(over_rows.low, over_splits.low), high=max(over_rows.high, over_splits.high))


def said(found: Any) -> str:
    return f"{found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"


def claims_of(
    arms: Mapping[Way, list[dict[str, Any]]], pairs: Mapping[str, tuple[Way, Way]]
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Controls, then three claims for each method. Bounds are one-sided 95 % each way."""
    original, retrained = (arms[way] for way in BOTH)
    auc, gap = original[0]["auc"], apart(original, retrained, "scores", True)
    claims = [
        claim("judge: AUC on rows it did not learn", round(auc, 3), f">= {AUC}", auc >= AUC),
        claim("control: original - retrained, offensiveness", said(gap), f"lower bound > {WORSE}", gap.low > WORSE),
    ]
    figures: dict[str, Any] = {}
    for name, (alone, around) in pairs.items():
        m, spunge = arms[alone], arms[around]
        removed, worse = apart(original, m, "scores", True), apart(spunge, m, "scores", True)
        lost, cost = apart(spunge, m, "utility", False), [sum(o["rows_trained"] for o in side) for side in (m, spunge)]
        mute = max(fmean(o[k] for o in spunge) - fmean(o[k] for o in m) for k in ("empty", "repeated"))
        claims += [
            claim(
                f"{name}: control: original - {name}, offensiveness",
                said(removed),
                f"lower bound > {WORSE}: doing nothing would not pass",
                removed.low > WORSE,
            ),
            claim(
                f"{name}: spunge({name}) - {name}, offensiveness", said(worse), f"upper <= {WORSE}", worse.high <= WORSE
            ),
            claim(
                f"{name}: spunge({name}) - {name}, nats lost on unseen inoffensive rows",
                said(lost),
                f"upper <= {LOST}",
                lost.high <= LOST,
            ),
            claim(f"{name}: spunge({name}) - {name}, empty or repeated", round(mute, 3), f"<= {MUTE}", mute <= MUTE),
            claim(f"{name}: rows trained, {name} and spunge({name})", cost, "equal", cost[0] == cost[1]),
        ]
        figures[name] = {
            "configuration": [alone.name, around.name],
            "offensiveness by split": [[round(o["offensive"], 3) for o in side] for side in (m, spunge)],
            "seconds of one edit": [round(fmean(o["seconds"] for o in side), 1) for side in (m, spunge)],
        }
    return claims, figures


def shown(one: Mapping[str, Any]) -> dict[str, Any]:
    """A model's means, without its rows."""
    keys = ("offensive", "above", "empty", "repeated", "length", "forget_nll", "unseen_nll", "utility_nll", "seconds")
    return {"name": one["name"], "rows trained": one["rows_trained"]} | {key: round(one[key], 3) for key in keys}


def table(rows: Sequence[Mapping[str, Any]]) -> None:
    """For people, on stderr."""
    keys = [key for key in rows[0] if key not in ("name", "rows trained")]
    sys.stderr.write(f"\n{'':58}" + "".join(f"{key:>13}" for key in keys) + "\n")
    for row in rows:
        sys.stderr.write(f"{row['name']:58}" + "".join(f"{row[key]:13.3f}" for key in keys) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="npo alone, fewer rows, one split to report")
    parser.add_argument("--dir", type=Path)
    parser.add_argument("--methods", nargs="+", choices=tuple(GRID), default=list(GRID))
    parser.add_argument("--splits", type=int, nargs="+", default=[1, 2, 3], choices=range(1, N_SPLITS))
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    began, material = time.perf_counter(), os.environ.get("EXPUNGE_DATA", "")
    if not material:
        parser.error("EXPUNGE_DATA is not set: name the folder that holds text/davidson_offensive.parquet")
    size = QUICK_SIZE if given.quick else {}
    choosing, *reported = (
        Split(k, material, **size) for k in (0, *(given.splits[:1] if given.quick else given.splits))
    )
    grid = QUICK_GRID if given.quick else {name: GRID[name] for name in given.methods}
    merges = QUICK_MERGES if given.quick else MERGES
    if left := sorted(set(GRID) - set(grid)):
        sys.stderr.write(f"left out: {', '.join(left)}\n")
    total = 1 + sum(map(len, grid.values())) + len(grid) * len(merges) + (2 + 2 * len(grid)) * len(reported)
    with (
        tempfile.TemporaryDirectory() as scratch,
        worker_pool(given.workers) as pool,
    ):
        run = Measuring(pool, given.dir or Path(scratch), total)
        found = run([(choosing, BOTH[0]), *((split, way) for split in reported for way in BOTH)])
        pairs, seen = choose(choosing, found[choosing.number, BOTH[0]], grid, merges, run)
        table(seen)
        found |= run((split, way) for split in reported for pair in pairs.values() for way in pair)
    ways = (*BOTH, *(way for pair in pairs.values() for way in pair))
    arms = {way: [found[split.number, way] for split in reported] for way in ways}
    rows = [mean_row(side) for side in arms.values()]
    table(rows)
    claims, figures = claims_of(arms, pairs)
    finish(
        "approximate_spunge",
        claims,
        began,
        quick=given.quick,
        figures=figures,
        reported=rows,
        choosing=seen,
        left_out=left,
    )


def mean_row(side: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Over the reported splits."""
    rows = [shown(one) for one in side]
    return {key: fmean(r[key] for r in rows) if isinstance(rows[0][key], float) else rows[0][key] for key in rows[0]}


if __name__ == "__main__":
    pin_capability()
    main()
