"""What learners promise when they grow: add, forget, add gives the bits of one fit; and what adding costs beside a fit.

    python bench/exact_growth.py [--quick]

Every tabular learner of the contract grows and forgets in turns on awkward data, and is compared with one fit of what is
left. Costs are processor seconds of adding one person's rows to 20,000 (`--quick`: 4,000) of `Sisa` in 20 shards, and to
others, over a fit of all; the fit is measured between the additions. Learners other than `Sisa` and `AdapterShards` fit
anew when they grow: that is recorded as it is.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import numpy as np
from sklearn.linear_model import SGDClassifier

from _claims import claim, finding, finish
from _cpu import cpu
from expunge.exact import Forest, GaussianNB, Sisa
from expunge.testing.tabular import CASES, SALT

SEQUENCES, SHARE = 20, 0.2  # of a fit: what adding one person to 20 shards may cost at most
COSTS: dict[str, Callable[[], Any]] = {
    "sisa": lambda: Sisa(SGDClassifier(), shards=20, epochs=5, classes=[0, 1], workers=1, salt=SALT),
    "gaussian_nb": lambda: GaussianNB(salt=SALT),
    "forest": lambda: Forest(trees=20, salt=SALT),
}


def differ(name: str, sequences: int) -> int:
    """How many random sequences end otherwise than one fit of what is left."""
    case, wrong = CASES[name], 0
    for seed in range(sequences):
        rng, table = np.random.default_rng(seed), case.data(seed, 60)
        ends = [0, *sorted(rng.choice(range(35, 60), 2, replace=False).tolist()), 60]
        learner, gone = case.make(), set[int]()
        for k in range(3):
            forgotten = {table.subjects[i] for i in gone}
            of = [i for i in range(ends[k], ends[k + 1]) if table.subjects[i] not in forgotten]
            X = [table.X[i] for i in of] if isinstance(table.X, list) else table.X[of]
            grow = learner.add if k else learner.fit
            grow(X, None if table.y is None else table.y[of], subjects=[table.subjects[i] for i in of])
            gone |= {i for i in range(60) if table.subjects[i] in forgotten}
            if k < 2:
                leaving = table.subjects[int(rng.choice(of))]
                learner.forget(subjects=[leaving])
                gone |= {i for i, subject in enumerate(table.subjects) if subject == leaving}
        wrong += not learner.equals(table.without(gone).fit(case.make()))
    return wrong


def cost(make: Callable[[], Any], n: int, rounds: int) -> list[float]:
    """Processor seconds of adding four rows of one person, over those of a fit of all."""
    rng, ratios = np.random.default_rng(0), []
    X, subjects = rng.normal(size=(n, 10)), [f"u{i // 4}" for i in range(n)]
    y = (X[:, 0] + rng.normal(size=n) > 0).astype(int)
    make().fit(X[:400], y[:400], subjects=subjects[:400])  # compiles what is compiled
    names = [*subjects[:-4], *["new"] * 4]
    for _ in range(rounds):
        learner = make().fit(X[:-4], y[:-4], subjects=subjects[:-4])
        added = cpu(partial(learner.add, X[-4:], y[-4:], subjects=names[-4:]))
        ratios.append(added / cpu(partial(make().fit, X, y, subjects=names)))
    return ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    began, sequences = time.perf_counter(), 3 if given.quick else SEQUENCES
    wrong = {name: differ(name, sequences) for name in CASES}
    ratios = {
        name: cost(make, 4_000 if given.quick else 20_000, 3 if given.quick else 7) for name, make in COSTS.items()
    }
    text = f"learners of which any of {sequences} sequences (fit, forget, add, forget, add) differs from one fit"
    bad = sorted(name for name, n in wrong.items() if n)
    median = {name: round(statistics.median(found), 3) for name, found in ratios.items()}
    claims = [
        claim(text, bad, [], not bad),
        claim(
            "Sisa, 20 shards: adding one person over a fit of all, CPU", median["sisa"], SHARE, median["sisa"] <= SHARE
        ),
    ]
    findings = [
        finding(
            f"{name}: adding one person over a fit of all, CPU",
            median[name],
            (min(ratios[name]), max(ratios[name])),
            "it fits anew when it grows; sums could be added to, which is not built",
        )
        for name in ("gaussian_nb", "forest")
    ]
    finish("exact_growth", claims, began, findings, quick=given.quick, learners=sorted(CASES))


if __name__ == "__main__":
    main()
