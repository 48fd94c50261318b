"""Every learner: after any sequence of deletions and additions, equal to a fit of what is held, made in another process.

Awkward data (`expunge.testing.tabular`): ties, rare categories, constant columns, columns that become constant, values
and classes that vanish with the deleted record. In every second sequence of a tabular learner records also come, in a
shuffled order and in parts, between deletions. A second part holds the linear models to columns that are hard for them
(`expunge.testing.awkward`): weights after deletions against those of fits in another process and against exact arithmetic; what is
refused must be refused by both. A third part compares laws: deletions under many salts against fits without the records
under other salts, by a permutation test, beside a control that must be told apart.

    python bench/exact_equality.py [--quick]
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

from expunge.core.capability import CAPABILITY, pin_capability

pin_capability()

import numpy as np  # noqa: E402
from scipy.spatial.distance import cdist  # noqa: E402

import _exact_weights  # noqa: E402
from _claims import claim, finding, finish, share_interval  # noqa: E402
from expunge.core import Equality, Record  # noqa: E402
from expunge.exact._learner.equality import TOLERANCE, difference  # noqa: E402
from expunge.exact._learner.parts import pack, unpack  # noqa: E402
from expunge.synthetic import people, records  # noqa: E402
from expunge.testing import awkward  # noqa: E402
from expunge.testing.awkward import Awkward  # noqa: E402
from expunge.testing.tabular import CASES, SALT, growth, numbers, requests  # noqa: E402

LAWS = {"sisa": "sisa-logistic", "forest": "forest"}  # cases whose salt decides more than names
CHILD = "--fresh-fits"
AWKWARD_FITS = {f"awkward {learner}" for learner in awkward.LEARNERS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="20 sequences a learner, or a kind of columns, instead of 200"
    )
    parser.add_argument(CHILD, nargs=3, metavar=("CASE", "SEQUENCES", "FOLDER"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    if asked.fresh_fits:
        name, n, folder = asked.fresh_fits
        fresh = awkward_fit if name in AWKWARD_FITS else lambda name, seed: outcome(fit_without(name, seed))
        for seed in range(int(n)):
            (Path(folder) / str(seed)).write_bytes(fresh(name, seed))
        return
    began, claims = time.perf_counter(), []
    n = 20 if asked.quick else 200
    for name in [*CASES, "adapter_shards"]:
        claims.append(equal_to_a_fit_without(name, n))
    findings = []
    for learner in awkward.LEARNERS:
        held, found = awkward_columns(learner, 80 if asked.quick else 1600)
        claims, findings = claims + held, findings + found
    for name, draws in (("sisa", 20 if asked.quick else 60), ("forest", 30 if asked.quick else 100)):
        claims += same_law(name, draws)
    finish("exact_equality", claims, began, findings, sequences=n)


def equal_to_a_fit_without(name: str, n: int) -> dict[str, Any]:
    """Deletions and additions here, fits of what is held in a process of their own; how many differ."""
    began = time.perf_counter()
    here, untouched = [], 0
    for seed in range(n):
        learner, before = deleted(name, seed)
        here.append(unpack(outcome(learner)))
        untouched += before == learner.digest()
    fresh = in_another_process(name, n)
    apart = [difference(a, b) for a, b in zip(here, fresh, strict=True)]
    bitwise = set(here[0]) == {"digest"}
    wrong, worst = sum(not d <= TOLERANCE for d in apart), max(apart)
    sys.stderr.write(f"{name}: {wrong} of {n} differ, {time.perf_counter() - began:.0f} s\n")
    how = "bitwise" if bitwise else f"relative {TOLERANCE:g}"
    grows = "" if name == "adapter_shards" else " and additions"
    text = f"{name}: deletions{grows} that differ from a fit of what is held, of {n} sequences ({how})"
    return {**claim(text, wrong, 0, wrong == 0 and untouched == 0), "worst": worst, "left as they were": untouched}


def in_another_process(name: str, n: int) -> list[dict[str, Any]]:
    """What fresh fits come to, seed by seed."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, CHILD, name, str(n), folder]
        subprocess.run(command, check=True, env={**os.environ, **CAPABILITY})
        return [unpack((Path(folder) / str(seed)).read_bytes()) for seed in range(n)]


def deleted(name: str, seed: int) -> tuple[Any, str]:
    """A learner after its requests, and its digest before them."""
    if name == "adapter_shards":
        who = People.of(seed)
        learner = adapters().fit(who.rows)
        before = learner.digest()
        for subjects in who.asked:
            learner.forget(subjects)
        return learner, before
    table = CASES[name].data(seed, 60)
    if grows(seed):
        steps = growth(table, seed)
        before = table.only(steps.first).fit(CASES[name].make()).digest()
        return steps.of(CASES[name].make(), table), before
    learner = table.fit(CASES[name].make())
    before = learner.digest()
    for request in requests(table, seed).asked:
        learner.forget(**request)
    return learner, before


def fit_without(name: str, seed: int) -> Any:
    if name == "adapter_shards":
        return adapters().fit(People.of(seed).rest())
    table = CASES[name].data(seed, 60)
    rest = table.only(growth(table, seed).held) if grows(seed) else table.without(set(requests(table, seed).gone))
    return rest.fit(CASES[name].make())


def grows(seed: int) -> bool:
    """Whether records come between the deletions of this sequence; in both halves some start with the rare class."""
    return seed // 2 % 2 == 1


def outcome(learner: Any) -> bytes:
    """What must be equal: the digest of the whole state, or what was learned where equality is numeric."""
    numeric = getattr(learner, "equality", Equality.BITWISE) is Equality.NUMERIC
    return pack(learner._fitted().learned.compared() if numeric else {"digest": learner.digest()})


# -- columns that are hard for linear models ---------------------------------------------------------------------------


def awkward_columns(learner: str, n: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Deletions here, fits in a process of their own, and the weights by exact arithmetic: claims, and what is answered."""
    began = time.perf_counter()
    fresh, here = in_another_process(f"awkward {learner}", n), [awkward_deletions(learner, seed) for seed in range(n)]
    apart = [_difference(a, b) for (a, _), b in zip(here, fresh, strict=True)]
    wrong = sum(not d <= TOLERANCE for d in apart)
    exact = []
    for seed in range(0, n, 1 if learner == "ridge" else 3):
        values, model = here[seed]
        if "refused" not in values:
            case = Awkward.of(learner, seed)
            coef, intercept = _exact_weights.weights(case, len(case.asked), model)
            there = {"coef": coef.reshape(values["coef"].shape), "intercept": intercept, "least": values["least"]}
            exact.append(_difference(values, there))
    beyond = sum(not d <= TOLERANCE for d in exact)
    answered = [(Awkward.of(learner, seed), "refused" not in values) for seed, (values, _) in enumerate(here)]
    must = [ok for case, ok in answered if case.must_be_answered]
    share = sum(must) / len(must)
    sys.stderr.write(f"{learner}, awkward columns: {wrong} of {n} differ, {time.perf_counter() - began:.0f} s\n")
    text, to = f"{learner}, awkward columns: ", f"(relative {TOLERANCE:g})"
    twice = f"{text}deletions that differ from a fit, or refuse where it does not, of {n} sequences {to}"
    right = f"{text}weights that differ from those of exact arithmetic, of {len(exact)} sequences {to}"
    far = f"{text}answered with constant columns and offsets to {awkward.FAR:g}, share of {len(must)}"
    claims = [
        {**claim(twice, wrong, 0, wrong == 0), "worst": max(apart)},
        {**claim(right, beyond, 0, beyond == 0), "worst": max(exact)},
        claim(far, round(share, 4), 0.95, share >= 0.95),
    ]
    why = "beyond the condition of the promise a fit and a deletion refuse; how often depends on the penalties drawn"
    findings = []
    for kind in awkward.KINDS:
        hits = [ok for case, ok in answered if case.kind == kind]
        interval = share_interval(sum(hits), len(hits))
        findings.append(finding(f"{text}{kind}, share answered", round(sum(hits) / len(hits), 4), interval, why))
    return claims, findings


def awkward_deletions(learner: str, seed: int) -> tuple[dict[str, Any], Any]:
    """What deletions come to, or at which of them there was none; and the model."""
    model, refused = Awkward.of(learner, seed).deleted(SALT)
    return ({"refused": refused} if model is None else _compared(model)), model


def awkward_fit(name: str, seed: int) -> bytes:
    """What fits of the records that stay come to, or at which of them there was none."""
    model, refused = Awkward.of(name.removeprefix("awkward "), seed).fitted(SALT)
    return pack({"refused": refused} if model is None else _compared(model))


def _compared(model: Any) -> dict[str, Any]:
    learned = model._fitted().learned
    return {"coef": learned.coef_, "intercept": np.atleast_1d(learned.intercept_), "least": learned.least()}


def _difference(a: dict[str, Any], b: dict[str, Any]) -> float:
    """Infinite where one is refused and the other not, or at another deletion."""
    return difference({**a, "least": 0}, {**b, "least": 0}, b.get("least"))


# -- a language model with adapters, small enough for hundreds of fits -------------------------------------------------


@dataclass(frozen=True)
class People:
    """Questions and answers about eight people, and the requests of some of them."""

    rows: list[Record]
    asked: list[list[str]]

    @staticmethod
    def of(seed: int) -> "People":
        rng = np.random.default_rng([seed, 3])
        rows = [r for i, r in enumerate(records(people(8, seed=seed % 7), [0])) if i % 20 < 2]
        names = list(rng.permutation(list(dict.fromkeys(r.subject for r in rows))))
        asked = [[str(names.pop()) for _ in range(int(rng.integers(1, 3)))] for _ in range(int(rng.integers(1, 4)))]
        return People(rows, asked)

    def rest(self) -> list[Record]:
        gone = {name for request in self.asked for name in request}
        return [r for r in self.rows if r.subject not in gone]


@cache
def base() -> tuple[Any, Any]:
    """An untrained model: whether bits are equal does not depend on what it knows."""
    from expunge.testing.toys import toy_llama, toy_tokenizer

    tokenizer = toy_tokenizer([r.question for r in records(people(20, seed=9))], 400)
    return toy_llama(len(tokenizer), hidden=32, layers=1).eval(), tokenizer


def adapters() -> Any:
    from expunge.exact import AdapterShards

    model, tokenizer = base()
    settings = {"shards": 3, "slices": 2, "rank": 2, "epochs": 2, "batch_size": 4}
    return AdapterShards(model, tokenizer, **settings, salt=SALT)


# -- laws --------------------------------------------------------------------------------------------------------------


def same_law(name: str, draws: int) -> list[dict[str, Any]]:
    """Outputs of deletions under many salts, and of fits without the records under other salts: one law or two?"""
    table = numbers(1, 120)
    leave = [i for i in range(120) if table.X[i, 0] > 0.3]  # a quarter of the records, and they matter
    points = numbers(2, 50).X
    rest = table.without(set(leave))

    def outputs(kind: str) -> Any:
        found = []
        for k in range(draws):
            learner = CASES[LAWS[name]].make(salt=f"{kind}/{k}".encode())
            (rest if kind == "without" else table).fit(learner)
            if kind == "deleted":
                learner.forget(records=leave)
            found.append(on_classes(learner, points))
        return np.array(found)

    without = outputs("without")
    p_deleted, p_kept = (same_law_p(outputs(kind), without) for kind in ("deleted", "kept"))
    return [
        claim(f"{name}: deletions and fits under fresh salts, permutation test of one law, p", p_deleted, 0.01, p_deleted >= 0.01),
        claim(f"{name}: the control that kept the records is told apart, p", p_kept, 0.001, p_kept <= 0.001),
    ]  # fmt: skip


def on_classes(learner: Any, points: Any) -> Any:
    """Probabilities of the classes 0, 1, 2 and 7; 0 where the learner does not know one."""
    known = {c: k for k, c in enumerate(learner.classes_)}
    probability = learner.predict_proba(points)
    columns = [probability[:, known[c]] if c in known else np.zeros(len(points)) for c in (0, 1, 2, 7)]
    return np.concatenate(columns)


def same_law_p(a: Any, b: Any, permutations: int = 4999) -> float:
    """p-value of a permutation test with the energy distance (Szekely and Rizzo 2013)."""
    both = np.concatenate([a, b])
    distance = cdist(both, both)
    labels = np.repeat([True, False], [len(a), len(b)])

    def energy(mask: Any) -> float:
        between, first, second = distance[mask][:, ~mask], distance[mask][:, mask], distance[~mask][:, ~mask]
        return float(2 * between.mean() - first.mean() - second.mean())

    rng, observed = np.random.default_rng(0), energy(labels)
    reached = sum(energy(rng.permutation(labels)) >= observed for _ in range(permutations))
    return (1 + reached) / (1 + permutations)


if __name__ == "__main__":
    main()
