"""This version beside an earlier one, in one run: the same bits, and the same speed.

    python bench/against.py [--quick] [--commit COMMIT] [--rounds N] [--only SCRIPT ...]

Checks COMMIT out beside this tree (`git worktree`, removed afterwards) and runs, under each of the two, what
`_state_digests.py` says of every learner and edit, and the benches of speed in their `--quick` form, in turns: old, new,
new, old. A figure of speed is the CPU time of the whole process, start included. `--quick`: one round of the two fastest.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from _claims import claim, finish

ROOT = Path(__file__).parents[1]
RELEASE = "d6ab2b9"  # 0.1.0
SPEED = ("exact_linear", "exact_forest", "approximate_speed", "verify_speed")
BAR = 1.05  # of the median over pairs, new over old
# What was mended since 0.1.0, so that other bits are the right ones: how names of cases begin, and why.
MENDED = {
    "ridge": "solved and conditioned anew, so that awkward columns keep 1e-10 or are refused",
    "logistic_regression": "stops on a scaled gradient, in a frame that awkward columns do not spoil",
    "sisa": "stages are digested by value and by the classes that their own records have",
    "edit dpo": "the guard no longer counts tokens that a question gives away",
    "edit gradient_ascent": "the guard, as above",
    "edit noisy_finetune": "noise of at least 128 bits of seed; the guard, as above",
    "edit refusal": "the guard, as above; a refusal is a sentence",
    "edit relabel": "the guard, as above",
    "edit scrub": "the guard, as above",
}


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """The tree of a commit in a folder of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "old"
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", folder, commit], cwd=ROOT, check=True)
        try:
            yield folder
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", folder], cwd=ROOT, check=True)


def run(tree: Path, script: Path, *arguments: str) -> tuple[str, float]:
    """Standard output of a script under the package of a tree, and the CPU seconds that it took."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    environment = {**os.environ, **threads, "PYTHONPATH": str(tree / "src")}
    before = _children_s()
    done = subprocess.run(
        [sys.executable, str(script), *arguments],
        env=environment,
        cwd=tree,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    return done.stdout, _children_s() - before


def pairs(old: Path, name: str, rounds: int) -> list[tuple[float, float]]:
    """CPU seconds of a bench under the old and the new tree; who goes first changes from round to round."""
    found = []
    for k in range(rounds):
        spent = {}
        for tree in (old, ROOT) if k % 2 == 0 else (ROOT, old):
            printed, spent[tree] = run(tree, tree / "bench" / f"{name}.py", "--quick")
            if not printed.strip().rpartition("\n")[2].startswith("{"):
                raise SystemExit(
                    f"{name} did not end with its line of claims under {tree}: what it took is no measurement"
                )
        found.append((spent[old], spent[ROOT]))
        sys.stderr.write(f"{name}, round {k + 1} of {rounds}: {spent[old]:.1f} s before, {spent[ROOT]:.1f} s now\n")
    return found


def same_bits(old: Path) -> tuple[list[Any], dict[str, Any]]:
    script = ROOT / "bench" / "_state_digests.py"
    before, now = (json.loads(run(tree, script)[0]) for tree in (old, ROOT))
    differ = sorted(name for name in before if now.get(name) != before[name])
    silent = [name for name in differ if not name.startswith(tuple(MENDED))]
    text = f"digests of {len(before)} fits, deletions and edits that differ, besides those that were mended"
    figures = {"digests": now, "new": sorted(now.keys() - before.keys()), "differ": differ, "mended": MENDED}
    return [claim(text, silent, [], not silent)], figures


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--commit", default=RELEASE)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--only", nargs="+", choices=SPEED, default=SPEED)
    given = parser.parse_args()
    began, rounds = time.perf_counter(), 1 if given.quick else given.rounds
    with checked_out(given.commit) as old:
        claims, figures = same_bits(old)
        seconds = {}
        for name in given.only[:2] if given.quick else given.only:
            seconds[name] = pairs(old, name, rounds)
            ratio = statistics.median(now / before for before, now in seconds[name])
            text = f"{name} --quick: CPU time now over {given.commit}, median of {rounds} pairs"
            claims.append(claim(text, round(ratio, 3), BAR, ratio <= BAR))
    finish("against", claims, began, quick=given.quick, commit=given.commit, seconds=seconds, **figures)


if __name__ == "__main__":
    main()
