"""WMDP, MMLU and other published tasks, run by lm-evaluation-harness and not written again here.

Needs the extra `pip install 'expunge[harness]'`. Task versions, numbers of items and the commits of the data sets are
recorded: WMDP's README counts 4,157 items, its paper (arXiv:2403.03218) 3,668.
"""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch

from expunge.core.errors import InvalidData, InvalidParameter, MissingExtra
from expunge.verify.battery import Arm
from expunge.verify.benchmarks._loading import Source
from expunge.verify.benchmarks._registry import benchmarks
from expunge.verify.benchmarks._result import NO_RETRAINED, Measure, Result
from expunge.verify.metrics.means import Mean

TASKS = ("wmdp", "mmlu")
MCQ_ONLY = (
    "only multiple choice was asked: a model that fails it may still answer openly, and guessing earns 25 % of four; "
    "add open questions, for example by `expunge verify` or rwku"
)
UNPINNED = (
    "the commits of {names} could not be looked up: name them in `revisions`, or the same numbers may not come again"
)
_Z95 = 1.6449  # one-sided 95 %


@benchmarks.add
@dataclass(frozen=True, kw_only=True)
class Harness:
    """Tasks or groups of tasks by the harness's names. `revisions` pins data sets of the hub to commits.

    A difference between two models has no bounds here: the harness gives errors of each, not of both on the same items.
    """

    tasks: tuple[str, ...] = TASKS
    batch_size: int = 8
    limit: int | None = None  # items a task, for a trial only
    revisions: Mapping[str, str] = field(default_factory=dict)

    def run(self, arm: Arm, source: Source | None = None, retrained: Arm | None = None) -> Result:
        """
        Raises: MissingExtra, without lm-evaluation-harness; InvalidParameter, if a folder of data is named: tasks bring
        their own; InvalidData, where the harness gives no results.
        """
        if source is not None:
            raise InvalidParameter("the harness's tasks bring their own data; leave --data out, and name --tasks")
        found = {name: self._evaluate(a) for name, a in (("model", arm), ("retrained", retrained)) if a}
        ran = found["model"]
        data = _data(ran)
        return Result(
            benchmark="harness",
            model=arm.digest,
            retrained=retrained.digest if retrained else None,
            data=data,
            settings=asdict(self) | {"revisions": dict(self.revisions)},
            measures=tuple(_measures(ran, found.get("retrained"))),
            cautions=tuple(_cautions(ran, data, self.limit)),
        )

    def _evaluate(self, arm: Arm) -> Mapping[str, Any]:
        lm_eval, huggingface = _harness()
        wrapped = huggingface.HFLM(pretrained=arm.model, tokenizer=arm.tokenizer, batch_size=self.batch_size)
        with _own_randomness(), _at_commits(self.revisions) as read:
            found = lm_eval.simple_evaluate(model=wrapped, tasks=list(self.tasks), limit=self.limit, log_samples=False)
        if not found or not found.get("results"):
            raise InvalidData(f"lm-evaluation-harness gave no results for {', '.join(self.tasks)}; see what it printed")
        if unread := sorted(set(self.revisions) - set(read)):
            raise InvalidParameter(
                f"revisions pin {unread[0]}, which no task read; they read {', '.join(sorted(read))}"
            )
        return {**found, "commits": read}


@contextmanager
def _at_commits(pins: Mapping[str, str]) -> Iterator[dict[str, str | None]]:
    """Hub data sets are read at the commits pinned here, or at today's, and the commits that were read are handed out.

    The harness has no setting for this (in 0.4.13 a group given as a dictionary loses its tasks), so the one function
    through which its tasks read data is wrapped while they run.
    """
    datasets: Any = import_module("datasets")
    load, read = datasets.load_dataset, {}

    def load_at(path: str, *args: Any, **settings: Any) -> Any:
        commit = settings.get("revision") or pins.get(path) or _commit(path)
        read[path] = commit
        return load(path, *args, **settings | ({"revision": commit} if commit else {}))

    datasets.load_dataset = load_at
    try:
        yield read
    finally:
        datasets.load_dataset = load


def _harness() -> tuple[Any, Any]:
    try:
        return import_module("lm_eval"), import_module("lm_eval.models.huggingface")
    except ImportError as e:
        raise MissingExtra(
            f"these tasks are run by lm-evaluation-harness, and '{e.name}' is not installed; run `pip install 'expunge[harness]'`"
        ) from e


@contextmanager
def _own_randomness() -> Iterator[None]:
    """The harness seeds Python, NumPy and torch for everybody; what was there before comes back afterwards."""
    python, numpy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(cpu)


def _measures(ran: Mapping[str, Any], beside: Mapping[str, Any] | None) -> Iterator[Measure]:
    for task, numbers in sorted(ran["results"].items()):
        for key in sorted(k for k, v in numbers.items() if "," in k and "_stderr," not in k and _is_number(v)):
            name = f"{task} {key.removesuffix(',none').replace(',', ' ')}"
            means = "higher is better" if _higher(ran, task, key) else "lower is better, or the task does not say"
            own = _mean(ran, task, key)
            if beside is None:
                yield Measure(name=name, means=means, model=own, reason=NO_RETRAINED)
            elif key not in beside["results"].get(task, {}):
                yield Measure(name=name, means=means, model=own, reason="the retrained model has no such number")
            else:
                other = _mean(beside, task, key)
                apart = Mean(own.value - other.value, None, None, own.n, own.n)
                yield Measure(name=name, means=means, model=own, retrained=other, difference=apart)


def _mean(ran: Mapping[str, Any], task: str, key: str) -> Mean:
    """A number with the harness's standard error on either side."""
    numbers = ran["results"][task]
    metric, _, rest = key.partition(",")
    value, error = float(numbers[key]), numbers.get(f"{metric}_stderr,{rest}")
    half = _Z95 * float(error) if _is_number(error) else None
    n = _items(ran, task)
    return Mean(value, None if half is None else value - half, None if half is None else value + half, n, n)


def _items(ran: Mapping[str, Any], task: str) -> int:
    """Items that were asked: the task's own, or those of a group's tasks together."""
    counts = ran.get("n-samples", {})
    if task in counts:
        return int(counts[task]["effective"])
    return sum(_items(ran, part) for part in ran.get("group_subtasks", {}).get(task, ()))


def _higher(ran: Mapping[str, Any], task: str, key: str) -> bool:
    return bool(ran.get("higher_is_better", {}).get(task, {}).get(key.partition(",")[0]))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _data(ran: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """Each task's version, number of items, and the commit of its data set; None where that could not be learnt."""
    return tuple(
        {
            "name": task,
            "dataset": "/".join(str(x) for x in (config.get("dataset_path"), config.get("dataset_name")) if x),
            "revision": ran["commits"].get(config.get("dataset_path")),
            "version": ran.get("versions", {}).get(task),
            "rows": _items(ran, task),
        }
        for task, config in sorted(ran.get("configs", {}).items())
    )


def _commit(dataset: Any) -> str | None:
    """Today's commit of a hub data set; None for what is no hub data set, or without the hub."""
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]
    except ImportError:
        return None
    if str(dataset).count("/") > 1 or Path(str(dataset)).exists():
        return None
    try:
        return str(HfApi().dataset_info(str(dataset)).sha)
    except (OSError, HTTPError, ValueError):
        return None


def _cautions(ran: Mapping[str, Any], data: tuple[Mapping[str, Any], ...], limit: int | None) -> Iterator[str]:
    kinds = {config.get("output_type") for config in ran.get("configs", {}).values()}
    if kinds == {"multiple_choice"}:
        yield MCQ_ONLY
    if unknown := [str(row["name"]) for row in data if row["revision"] is None]:
        yield UNPINNED.format(names=", ".join(unknown))
    if limit is not None:
        yield f"only {limit} items a task were asked; such numbers are for a trial, not for a table"
