"""What attacks on classifiers claim: nothing found in models that never saw the rows, hidden classes and rows found.

    python bench/verify_classifiers.py [--quick]

Small networks on scikit-learn's digits. *One class*: each digit in turn leaves; models trained without it (other seeds) are
judged beside one and beside three of their kind, next to one that hides the class behind a bias and one that was wrecked by
gradient ascent. *Memorised rows*: rows with wrong labels leave; the edit teaches the true labels for a few steps. *A random
sample* leaves, of which a retrained model gets most right: that is never a pass. `--quick`: two digits, fewer seeds.
"""

import argparse
import copy
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn

from _claims import claim, finish
from expunge.core import Assurance, Flag, Outcome
from expunge.engine import Schedule, train
from expunge.verify.classifiers import Rows, Sets, attack_classifier, audit_classifier
from expunge.verify.classifiers.noise import ALONE
from expunge.verify.statistics import exact_bounds

ACCUSED = {Flag.HIDDEN, Flag.RETAINED, Flag.PARTIAL}


@dataclass
class Tally:
    """What was seen of models of one kind."""

    n: int = 0
    accused: int = 0
    recovered: list[str] = field(default_factory=list)  # attack, once per model
    most: float = 0.0  # largest recovered fraction of any attack

    def add(self, audit: Any) -> None:
        self.n += 1
        self.accused += bool(ACCUSED & set(audit.flags))
        self.recovered += [f.attack for f in audit.findings if f.outcome is Outcome.RECOVERED]
        self.most = max([self.most, *(f.recovered for f in audit.findings if f.recovered is not None)])


def network(seed: int, *sizes: int) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[nn.Module] = []
        for n_in, n_out in zip((64, *sizes), (*sizes, 10), strict=True):
            layers += [nn.Linear(n_in, n_out), nn.ReLU()]
        return nn.Sequential(*layers[:-1])


def fitted(model: Any, rows: Rows, seed: int, steps: int, lr: float) -> Any:
    X, y = torch.tensor(rows.X), torch.tensor(rows.y)
    draw = np.random.default_rng(seed)
    at = [torch.from_numpy(draw.integers(0, len(y), 64)) for _ in range(steps)]
    train(
        list(model.parameters()), lambda k: F.cross_entropy(model(X[at[k]]), y[at[k]]), steps, Schedule(lr=lr, warmup=2)
    )
    return model


def one_class(digits: Rows, digit: int, n_null: int, tallies: dict[str, Tally]) -> None:
    ours = digits.y == digit
    sets = Sets(digits.at(np.flatnonzero(ours)), digits.at(np.flatnonzero(~ours)))
    original = fitted(network(1000 + digit, 64, 64), digits, 1000 + digit, 200, 3e-3)
    seeds = [2000 + 100 * digit + k for k in range(n_null + 3)]
    never = [attack_classifier(fitted(network(s, 64, 64), sets.retain, s, 200, 3e-3), sets) for s in seeds]
    original_scores = attack_classifier(original, sets)

    def audited(unlearned: Any, controls: Sequence[Any]) -> Any:
        return audit_classifier(
            original=original_scores,
            unlearned=unlearned,
            control=controls[0],
            more_controls=controls[1:],
            forget=sets.forget,
            retain=sets.retain,
        )

    for i in range(n_null):
        tallies["null, one control"].add(audited(never[i], never[i + 1 : i + 2]))
        tallies["null, three controls"].add(audited(never[i], never[i + 1 : i + 4]))
    hidden = attack_classifier(biased(original, digit), sets)
    tallies["hidden, one control"].add(audited(hidden, never[:1]))
    tallies["hidden, three controls"].add(audited(hidden, never[:3]))
    wrecked = audited(uphill(original, sets.forget), never[:1])
    tallies["wrecked"].n += 1
    tallies["wrecked"].accused += Flag.DAMAGED in wrecked.flags


def memorised(digits: Rows, seed: int, tallies: dict[str, Tally]) -> None:
    draw = np.random.default_rng(seed)
    rows = digits.at(draw.permutation(len(digits))[:1200])
    true = rows.y[:150]
    rows = Rows(rows.X, np.concatenate([(true + draw.integers(1, 10, 150)) % 10, rows.y[150:]]))
    sets = Sets(rows.at(np.arange(150)), rows.at(np.arange(150, 1200)))
    original = fitted(network(seed, 256), rows, seed, 1200, 1e-2)
    control, retrained = (fitted(network(seed + k, 256), sets.retain, seed + k, 400, 1e-2) for k in (1, 2))
    arms = {"original": attack_classifier(original, sets), "control": attack_classifier(control, sets)}
    for kind, model in (("edited rows", relabelled(original, sets, true)), ("null rows", retrained)):
        tallies[kind].add(audit_classifier(**arms, unlearned=model, forget=sets.forget, retain=sets.retain))


def random_sample(digits: Rows, seed: int) -> bool:
    """Whether an untouched model passed: any level, or no INCONCLUSIVE."""
    rows = digits.at(np.random.default_rng(seed).permutation(len(digits)))
    sets = Sets(rows.at(np.arange(300)), rows.at(np.arange(300, 1797)))
    original = fitted(network(seed, 64, 64), rows, seed, 200, 3e-3)
    control = fitted(network(seed + 1, 64, 64), sets.retain, seed + 1, 200, 3e-3)
    audit = audit_classifier(
        original=original, unlearned=original, control=control, forget=sets.forget, retain=sets.retain
    )
    return audit.assurance > Assurance.CLAIMED or Flag.INCONCLUSIVE not in audit.flags


def biased(original: Any, digit: int) -> Any:
    model = copy.deepcopy(original)
    model[-1].bias.data[digit] -= 10
    return model


def uphill(original: Any, forget: Rows) -> Any:
    model = copy.deepcopy(original)
    X, y = torch.tensor(forget.X), torch.tensor(forget.y)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(30):
        optimizer.zero_grad()
        (-F.cross_entropy(model(X), y)).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model


def relabelled(original: Any, sets: Sets, true: Any) -> Any:
    model, draw = copy.deepcopy(original), np.random.default_rng(0)
    X, y = torch.tensor(sets.forget.X), torch.tensor(true)
    retain_X, retain_y = torch.tensor(sets.retain.X), torch.tensor(sets.retain.y)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(40):
        at = torch.from_numpy(draw.integers(0, len(retain_y), 64))
        optimizer.zero_grad()
        (F.cross_entropy(model(X), y) + F.cross_entropy(model(retain_X[at]), retain_y[at])).backward()
        optimizer.step()
    return model


def main(quick: bool) -> None:
    began, cpu_began = time.perf_counter(), time.process_time()
    torch.set_num_threads(1)
    given = load_digits()
    digits = Rows((given.data / 16).astype(np.float32), given.target)
    kinds = [f"{what}, {n} control{s}" for what in ("null", "hidden") for n, s in (("one", ""), ("three", "s"))]
    tallies = {kind: Tally() for kind in (*kinds, "wrecked", "edited rows", "null rows")}
    for digit in (3, 8) if quick else range(10):
        one_class(digits, digit, 4 if quick else 8, tallies)
    for seed in range(3000, 3002 if quick else 3020):
        memorised(digits, 10 * seed, tallies)
    passed = [random_sample(digits, 10 * seed) for seed in range(5000, 5002 if quick else 5020)]
    claims = []
    for kind in ("null, one control", "null, three controls", "null rows"):
        t = tallies[kind]
        most = exact_bounds(t.accused, t.n)[1]
        text = f"{kind}: models that never saw the rows and are accused, of {t.n} (upper 95 % bound {most:.3f})"
        claims.append(claim(text, t.accused, 0, t.accused == 0 and not t.recovered))
    alone = round(tallies["null, one control"].most, 3)
    claims.append(
        claim("largest recovered fraction in such a model, one control, any attack", alone, ALONE, alone < ALONE)
    )
    for kind in ("hidden, one control", "hidden, three controls", "edited rows"):
        t = tallies[kind]
        claims.append(claim(f"{kind}: share caught of {t.n}", t.accused / t.n, 0.95, t.accused >= 0.95 * t.n))
    wrecked = tallies["wrecked"]
    claims.append(
        claim(f"wrecked: share DAMAGED of {wrecked.n}", wrecked.accused / wrecked.n, 1, wrecked.accused == wrecked.n)
    )
    claims.append(claim(f"random sample, untouched: passes of {len(passed)}", sum(passed), 0, not any(passed)))
    by_attack = {kind: {a: t.recovered.count(a) for a in sorted(set(t.recovered))} for kind, t in tallies.items()}
    finish(
        "verify_classifiers",
        claims,
        began,
        recovered_by=by_attack,
        cpu_seconds=round(time.process_time() - cpu_began, 1),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    main(parser.parse_args().quick)
