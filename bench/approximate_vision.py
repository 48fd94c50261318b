"""What classifier methods leave behind, against three models retrained without the rows.

    python bench/approximate_vision.py [--quick] [--dir FOLDER] [--judge]

Handwritten digits, 8 x 8 (scikit-learn, an MLP) and MNIST (`images/mnist_t10k.npz` under EXPUNGE_DATA, a small CNN). Either
one *class* leaves or a *random* tenth of the rows. Accuracies on forgotten, retained and test rows (of a class that leaves the
test rows too), membership AUC by loss (forgotten rows against test rows of the same classes), CPU time over that of
retraining. A figure lies within the spread if a fourth retrained model's would with 95 % probability (Student's t; the
variance between seeds is pooled over tasks of a kind). Each method's setting is chosen on another class, other rows and other
seeds than those reported. What is done stays in FOLDER, and a second start goes on. `--quick`: fewer settings, one class,
MNIST cut to 3,000 rows.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import rankdata, t
from sklearn.datasets import load_digits
from torch import nn

from _claims import claim, finding, finish, judge_again, recorded, share_interval
from expunge.approximate import Edit, methods, run_edit
from expunge.core.errors import ExpungeError
from expunge.engine import Schedule, derived_seed, examples, train

GOLD = ("retrain", "retrain_at_budget")
TRAINED = ("gradient_ascent", "grad_diff", "npo", "relabel", "scrub", "salun", "bad_teacher")
STILL = {  # no training, or a phase of its own: settings are the method's
    "ssd": [{"alpha": a, "scale": s} for a in (2.0, 5.0, 10.0) for s in (1.0, 0.3)],
    "fisher": [{"keep": k} for k in (0.99, 0.97, 0.9)],
    "influence": [{"keep": k, "damping": d} for k in (0.99, 0.97, 0.9) for d in (1e-3, 1e-1)],
    "noisy_finetune": [{}],
}
STEPS = {"digits": (30, 100), "mnist": (100, 300)}
PASSES = 25  # over the rows, of what is trained from the start
ASKED = (*TRAINED, *STILL, *GOLD)
ANEW = (*GOLD, "noisy_finetune")  # these begin (nearly) from new weights: no edits, shown beside them
MOST = 0.75  # share of figures within the spread; 0.95 is expected of a retrained model
FIGURES = ("forget", "retain", "test", "auc")


@dataclass(frozen=True)
class Task:
    """Rows of one dataset, what leaves, and the seeds of what is trained."""

    data: str
    leaves: str  # "class 3" or "random"
    seed: int


@dataclass(frozen=True)
class Parts:
    forget: tuple[Any, Any]
    retain: tuple[Any, Any]
    test: tuple[Any, Any]  # of the retained classes
    like: tuple[Any, Any]  # test rows of the forgotten rows' classes


@dataclass(frozen=True)
class Bench:
    quick: bool
    folder: Path | None

    def kept(self, key: str, make: Callable[[], Any]) -> Any:
        """A result that is computed once."""
        path = self.folder / f"{key}.json" if self.folder else None
        if path and path.exists():
            return json.loads(path.read_text())
        found = make()
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_suffix(".tmp").write_text(json.dumps(found))
            path.with_suffix(".tmp").replace(path)
        return found


def network(data: str) -> nn.Module:
    if data == "digits":
        return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    return nn.Sequential(
        *(nn.Conv2d(1, 8, 5, 2), nn.ReLU(), nn.Conv2d(8, 16, 5, 2), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(256, 64), nn.ReLU(), nn.Linear(64, 10)),
    )


def arrays(data: str, quick: bool) -> tuple[Any, Any]:
    if data == "digits":
        given = load_digits()
        return torch.tensor(given.data / 16).float(), torch.tensor(given.target).long()
    with np.load(Path(os.environ["EXPUNGE_DATA"]) / "images" / "mnist_t10k.npz") as found:
        x, y = torch.tensor(found["images"]).float()[:, None] / 255, torch.tensor(found["labels"]).long()
    return (x[::2][:3000], y[::2][:3000]) if quick else (x, y)  # both halves of the writers


def parts_of(task: Task, quick: bool) -> Parts:
    """Seven rows in ten are trained on, in an order of the task's seed."""
    x, y = arrays(task.data, quick)
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(task.seed))
    x, y = x[order], y[order]
    n = int(0.7 * len(y))
    if task.leaves == "random":
        leaves, test_leaves = torch.arange(n) < n // 10, torch.zeros(len(y) - n, dtype=torch.bool)
        like = ~test_leaves
    else:
        digit = int(task.leaves.split()[1])
        leaves, test_leaves = y[:n] == digit, y[n:] == digit
        like = test_leaves
    cut = lambda which, base: (x[base:][: len(which)][which], y[base:][: len(which)][which])
    return Parts(cut(leaves, 0), cut(~leaves, 0), cut(~test_leaves, n), cut(like, n))


def fitted(task: Task, rows: tuple[Any, Any], seed: int) -> Any:
    """Trained by a run of its own for every seed."""
    x, y = rows
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = network(task.data)
    draw = torch.Generator().manual_seed(seed)
    steps = PASSES * len(y) // 64
    at = [torch.randint(0, len(y), (64,), generator=draw) for _ in range(steps)]
    train(
        list(model.parameters()),
        lambda k: F.cross_entropy(model(x[at[k]]), y[at[k]]),
        steps,
        Schedule(lr=3e-3, warmup=5, shape="cosine"),
    )
    return model.eval()


@lru_cache(maxsize=1)
def original_of(task: Task, quick: bool) -> tuple[Parts, Any]:
    """The rows of a task and the model trained on all of them."""
    parts = parts_of(task, quick)
    whole = tuple(torch.cat(two) for two in zip(parts.forget, parts.retain, strict=True))
    return parts, fitted(task, whole, task.seed)


@torch.no_grad()
def measured(model: Any, parts: Parts) -> dict[str, float]:
    right = {name: (model(x).argmax(1) == y).double().mean().item() for name, (x, y) in vars(parts).items()}
    member, other = (-F.cross_entropy(model(x), y, reduction="none").numpy() for x, y in (parts.forget, parts.like))
    ranks = rankdata(np.concatenate([member, other]))[: len(member)].sum()
    auc = (ranks - len(member) * (len(member) + 1) / 2) / (len(member) * len(other))
    return {**{name: right[name] for name in ("forget", "retain", "test")}, "auc": float(auc)}


def timed(make: Callable[[], Any]) -> tuple[Any, float]:
    began = time.process_time()
    return make(), time.process_time() - began


def references(bench: Bench, task: Task) -> dict[str, Any]:
    """The original, three retrained models and a fourth, which is judged like a method; with the CPU time of retraining."""

    def make() -> dict[str, Any]:
        parts, original = original_of(task, bench.quick)
        seeds = [derived_seed(b"vision", str(task), k) % 2**31 for k in range(4)]
        retrained = [timed(lambda s=s: fitted(task, parts.retain, s)) for s in seeds]
        return {
            "original": measured(original, parts),
            "retrained": [measured(model, parts) for model, _ in retrained],
            "seconds": float(np.mean([s for _, s in retrained])),
        }

    found: dict[str, Any] = bench.kept(f"{name_of(task)}/references", make)
    return found


def edited(bench: Bench, task: Task, name: str, setting: dict[str, Any]) -> dict[str, Any]:
    """Figures of one method under one setting."""

    def make() -> dict[str, Any]:
        parts, original = original_of(task, bench.quick)
        edit_keys = {k: v for k, v in setting.items() if k in asdict(Edit())}
        method = methods.get(name)(**{k: v for k, v in setting.items() if k not in edit_keys})
        settings = Edit(warmup=2, seed=task.seed, **edit_keys)
        forget, retain = examples(*parts.forget), examples(*parts.retain)
        try:
            result, seconds = timed(lambda: run_edit(original, None, forget, retain, method, settings))
        except ExpungeError as error:
            return {"refused": str(error)}
        return {**measured(result.model, parts), "seconds": seconds, "notes": list(result.notes)}

    digest = "_".join(f"{k}-{v}" for k, v in sorted(setting.items())) or "default"
    return bench.kept(f"{name_of(task)}/{name}/{digest}", make)


def grid(name: str, data: str, quick: bool) -> list[dict[str, Any]]:
    if name in TRAINED:
        rates, steps = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2), (60,) if quick else STEPS[data]
        return [{"lr": lr, "steps": n} for lr in rates for n in steps]
    if name == "noisy_finetune":
        return [{"lr": 3e-3, "steps": n} for n in ((200,) if quick else (100, 300, 1000))]
    if name in GOLD:
        return [{"lr": 3e-3, "epochs": PASSES, "retain_batch": 64}]
    return STILL[name][::2] if quick else STILL[name]


def worst(found: dict[str, Any], reference: list[dict[str, float]], half: dict[str, float]) -> float:
    """Largest gap of a figure to the references' mean, in half widths; infinite where the method refused."""
    if "refused" in found:
        return float("inf")
    return max(abs(found[f] - float(np.mean([r[f] for r in reference]))) / half[f] for f in FIGURES)


def half_widths(groups: list[list[dict[str, float]]]) -> dict[str, float]:
    """How far from its references' mean one more retrained model stays with 95 % probability, by figure.

    The spread between seeds is pooled over tasks of a kind, each about its own mean; no finer than half a per cent.
    """
    free, n = sum(len(g) - 1 for g in groups), len(groups[0])
    widths = {}
    for f in FIGURES:
        pooled = sum((len(g) - 1) * np.var([r[f] for r in g], ddof=1) for g in groups) / free
        widths[f] = max(0.005, float(t.ppf(0.975, free) * (pooled * (1 + 1 / n)) ** 0.5))
    return widths


def chosen(bench: Bench, task: Task, name: str) -> dict[str, Any]:
    """The setting whose worst figure is nearest to the references, in units of their spread on this task alone.

    Edits choose among settings that cost less than retraining here, as long as there is one.
    """
    given = references(bench, task)
    reference = given["retrained"][:3]
    half = half_widths([reference])
    tried = [(setting, edited(bench, task, name, setting)) for setting in grid(name, task.data, bench.quick)]
    cheap = [one for one in tried if name in ANEW or one[1].get("seconds", float("inf")) < given["seconds"]]
    return min(cheap or tried, key=lambda one: worst(one[1], reference, half))[0]


def name_of(task: Task) -> str:
    return f"{task.data} {task.leaves} {task.seed}".replace(" ", "_")


def table(bench: Bench, chosen_on: Task, reported: list[Task], names: list[str]) -> list[dict[str, Any]]:
    """One line per reported task and method; the fourth retrained model and the original among them."""
    settings = {name: chosen(bench, chosen_on, name) for name in names}
    half = half_widths([references(bench, task)["retrained"][:3] for task in (chosen_on, *reported)])
    lines = []
    for task in reported:
        given = references(bench, task)
        reference = given["retrained"][:3]
        mean = {f: float(np.mean([r[f] for r in reference])) for f in FIGURES}
        rows = {"original": given["original"], "retrained, a fourth": given["retrained"][3]}
        rows |= {name: edited(bench, task, name, settings[name]) for name in names}
        for name, found in rows.items():
            line: dict[str, Any] = {"task": name_of(task), "method": name, "setting": settings.get(name, {})}
            if "refused" in found:
                lines.append({**line, "refused": found["refused"], "within": []})
                continue
            nearer = [abs(found[f] - mean[f]) < abs(given["original"][f] - mean[f]) for f in ("forget", "auc")]
            line |= {f: round(found[f], 4) for f in FIGURES}
            line |= {"auc_gap": round(found["auc"] - mean["auc"], 4), "nearer": nearer[0], "nearer_auc": nearer[1]}
            inside = [f for f in FIGURES if abs(found[f] - mean[f]) <= half[f]]
            line |= {"within": inside, "worst": round(worst(found, reference, half), 2)}
            if "seconds" in found:
                line["time_ratio"] = round(found["seconds"] / given["seconds"], 3)
            lines.append(line)
        lines.append({"task": name_of(task), "method": "three retrained, mean", **mean, "half_widths": half})
    return lines


# Why a figure is found out and not promised.
RANDOM = (
    "a model that generalises hardly remembers a random row: the original itself may lie within the spread of retrained "
    "models, and then nobody can come nearer except by chance"
)
REFUSES = "a method that refuses to wreck a model keeps its promise; how often it does is found out"


def judged(kind: str, lines: list[dict[str, Any]], names: list[str]) -> tuple[list[Any], list[Any]]:
    """Claims and findings, for one dataset and way of leaving; a method's figures are of all reported tasks together.

    Promised: retrained models lie within their own spread; and where a class leaves, that the original is told, that every
    method which does not refuse comes nearer, and that one which is cheaper than retraining comes as near as a retrained model.
    What happens to random rows is found out.
    """
    of = lambda name: [line for line in lines if line["method"] == name]
    share = lambda name: sum(len(line["within"]) for line in of(name)) / (len(FIGURES) * len(of(name)))
    told = sum(not {"forget", "auc"} <= set(line["within"]) for line in of("original"))
    n, fourth = len(of("original")), share("retrained, a fourth")
    claims = [
        claim(f"{kind}: figures of a fourth retrained model within the spread", round(fourth, 3), MOST, fourth >= MOST)
    ]
    findings = []
    text = f"{kind}: untouched originals told by forget accuracy or membership, of {n} tasks"
    by_class = kind.endswith("class")
    if by_class:
        claims.append(claim(text, told, n, told == n))
    else:
        findings.append(finding(text, told, share_interval(told, n), RANDOM))
    stay = {}
    for name in names:
        lines_of = [line for line in of(name) if "refused" not in line]
        nearer, refused = sum(bool(line.get("nearer")) for line in lines_of), n - len(lines_of)
        cost = max([line["time_ratio"] for line in lines_of if "time_ratio" in line], default=float("inf"))
        text = f"{kind}: {name}, tasks of {len(lines_of)} on which forget accuracy comes nearer to the references "
        what = f"({share(name):.0%} of figures within the spread, time {cost:.2f} of retraining)"
        if by_class:
            claims.append(claim(text + what, nearer, len(lines_of), 0 < nearer == len(lines_of)))
        else:
            findings.append(finding(text + what, nearer, share_interval(nearer, len(lines_of)), RANDOM))
        if refused:
            text = f"{kind}: {name}, tasks of {n} refused"
            findings.append(finding(text, refused, share_interval(refused, n), REFUSES))
        if not refused and all("forget" in line["within"] for line in of(name)) and cost < 1 and name not in ANEW:
            stay[name] = round(share(name), 3)
    best = max(stay.values(), default=0.0)
    text = (
        f"{kind}: edits within the spread on forget accuracy, cheaper than retraining, by share of all figures {stay}"
    )
    if by_class:
        return [*claims, claim(text, best, MOST, best >= MOST)], findings
    n_figures = len(FIGURES) * n
    return claims, [*findings, finding(text, best, share_interval(round(best * n_figures), n_figures), RANDOM)]


def judge_recorded() -> None:
    """Claims and findings from the table of the last recorded run."""
    line = recorded("approximate_vision")
    names = [name for name in ASKED if any(row["method"] == name for row in line["table"])]
    claims = [claim("methods measured", len(names), len(ASKED), len(names) == len(ASKED))]
    findings: list[Any] = []
    for data in ("digits", "mnist"):
        for kind in ("class", "random"):
            rows = [row for row in line["table"] if row["task"].startswith(f"{data}_{kind}")]
            some, more = judged(f"{data}, {kind}", rows, names)
            claims, findings = claims + some, findings + more
    judge_again(line, claims, findings)


def main(quick: bool, folder: Path | None) -> None:
    began, bench = time.perf_counter(), Bench(quick, folder)
    torch.set_num_threads(1)
    names = [name for name in ASKED if name in methods.names()]
    claims = [claim("methods measured", len(names), len(ASKED), len(names) == len(ASKED))]
    lines: list[dict[str, Any]] = []
    findings: list[Any] = []
    have = (
        bool(os.environ.get("EXPUNGE_DATA"))
        and (Path(os.environ["EXPUNGE_DATA"]) / "images" / "mnist_t10k.npz").exists()
    )
    if not have:
        claims.append(claim("MNIST measured (set EXPUNGE_DATA to a folder with images/mnist_t10k.npz)", None, 1, False))
    for data in ("digits", "mnist") if have else ("digits",):
        classes, samples = ([7], [21]) if quick else ([0, 4, 9], [22, 23, 24])
        for kind, chosen_on, reported in (
            ("class", Task(data, "class 3", 1), [Task(data, f"class {c}", 3) for c in classes]),
            ("random", Task(data, "random", 10), [Task(data, "random", s) for s in samples]),
        ):
            found = table(bench, chosen_on, reported, names)
            lines += found
            some, more = judged(f"{data}, {kind}", found, names)
            claims, findings = claims + some, findings + more
    finish("approximate_vision", claims, began, findings, table=lines, quick=quick)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--dir", type=Path, default=None, help="where results are kept; a second start goes on there")
    parser.add_argument("--judge", action="store_true", help="measure nothing; judge the recorded figures again")
    given = parser.parse_args()
    judge_recorded() if given.judge else main(given.quick, given.dir)
