"""The demo: the whole product on people who do not exist, with every approximate method beside the exact route."""

import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from expunge.certify import LIMITS
from expunge.core import Guarantee
from expunge.core.version import __version__
from expunge.core.workers import worker_pool
from expunge.report import page
from expunge.report.finding_view import mean_of
from expunge.report.finding_view import measured as measured_findings
from expunge.verify import Audit, audit
from expunge.verify.scores import ArmScores
from expunge.workflow.demo.models import BATTERY, SAME_BUDGET, SECOND_SEED, SETTINGS, UNTOUCHED, Cast, Result, measured

Report = Callable[[str, float, float], None]  # what runs, work done, work in all (in expected CPU seconds)


@dataclass(frozen=True)
class Task:
    """A function of `demo/models.py` (or the exact route) with what it waits for and about how long it takes."""

    name: str
    call: str
    arguments: tuple[Any, ...]
    after: tuple[str, ...]
    weight: float


def run_tasks(folder: Path, cast: Cast, workers: int = 2, report: Report | None = None) -> dict[str, Result]:
    """Run every task as soon as what it waits for is there, longest first, one thread each."""
    tasks = {t.name: t for t in _tasks(cast)}
    total, done_weight = sum(t.weight for t in tasks.values()), 0.0
    results: dict[str, Result] = {}
    with worker_pool(workers) as pool:
        running: dict[Future[Result], Task] = {}
        try:
            while tasks or running:
                ready = [t for t in tasks.values() if all(name in results for name in t.after)]
                for task in sorted(ready, key=lambda t: -t.weight)[: max(0, workers - len(running))]:
                    running[pool.submit(_call, folder, cast, task, dict(results))] = tasks.pop(task.name)
                if report:
                    report(", ".join(t.name for t in running.values()), done_weight, total)
                finished, _ = wait(running, timeout=1.0, return_when=FIRST_COMPLETED)
                for future in finished:
                    task = running.pop(future)
                    results[task.name] = future.result()
                    done_weight += task.weight
        except BaseException:
            for process in multiprocessing.active_children():
                process.terminate()
            raise
    return results


def demo(folder: Path, cast: Cast, workers: int = 2, report: Report | None = None) -> dict[str, Any]:
    """Run the demo in a folder; returns what `expunge demo --json` prints, with the document of the page."""
    began = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    results = run_tasks(folder, cast, workers, report)
    retrain_s = results["control"].cpu_s
    audits = _audits(results, cast)
    rows = [_page_row(name, audits[name], *_paid(name, results), retrain_s) for name in audits]
    person = audits["npo"].about([cast.private_people()[0].name])
    rows.append(_page_row("npo, one person's facts", person, *_paid("npo", results), retrain_s))
    route = results["exact"].value
    (exact_row,) = route["evidence"]["rows"]
    exact_row = {**exact_row, "method": "adapter shards, one person", "retrain_seconds": route["full_cpu_s"]}
    rows.append(exact_row)
    document = {
        **route["evidence"],
        "title": "Expunge demo",
        "created": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "tool": {"name": "expunge", "version": __version__},
        "rows": rows,
        "recall_table": route["recalls"],
        "limits": LIMITS,
    }
    page_path = page(document, folder / "report.html")
    table = [_table_row(row) for row in rows]
    peaks: dict[int, float] = {}
    for result in results.values():
        peaks[result.pid] = max(peaks.get(result.pid, 0.0), result.peak_mb)
    return {
        "rows": table,
        "recalls": route["recalls"],
        "person": table[-2],
        "certificate": route["certificate"],
        "check": route["check"],
        "traces": route["traces"],
        "report": str(page_path),
        "seconds": round(time.perf_counter() - began, 1),
        "peak_mb": round(sum(peaks.values()) + _own_peak_mb()),
        "document": document,
    }


def _tasks(cast: Cast) -> list[Task]:
    scale = cast.private / 40
    tasks = [
        Task("base", "base", (), (), 40 * scale),
        Task("original", "block", ("original", False, 1), ("base",), 50 * scale),
        Task("control", "block", ("control", True, 2), ("base",), 42 * scale),
        Task("exact", "exact", (), ("base",), 110 * scale),
        Task(SECOND_SEED, "block", (SECOND_SEED, True, 3), ("base",), 42 * scale),
        Task(SAME_BUDGET, "same_budget", (), ("control", "npo"), 12 * scale),
        *(Task(m, "edited", (m,), ("original",), 10 * scale) for m in SETTINGS),
    ]
    arms = ("original", "control", SECOND_SEED, SAME_BUDGET, *SETTINGS)
    return [*tasks, *(Task(f"attack {a}", "attacked", (a,), (a,), 15 * scale) for a in arms)]


def _call(folder: Path, cast: Cast, task: Task, results: dict[str, Result]) -> Result:
    """In a worker: some tasks need what others measured."""
    from expunge.workflow.demo import exact_route, models

    if task.call == "same_budget":
        share = results["npo"].value / results["control"].cpu_s
        return measured(task.name, folder, cast, models.block, SAME_BUDGET, True, 4, share)
    call = exact_route.exact if task.call == "exact" else getattr(models, task.call)
    return measured(task.name, folder, cast, call, *task.arguments)


def _audits(results: dict[str, Result], cast: Cast) -> dict[str, Audit]:
    arms = {k.removeprefix("attack "): ArmScores(**r.value) for k, r in results.items() if k.startswith("attack ")}
    unlearned = {UNTOUCHED: arms["original"], **{k: arms[k] for k in (*SETTINGS, SAME_BUDGET, SECOND_SEED)}}
    from expunge.approximate import methods

    return {
        name: audit(
            original=arms["original"],
            unlearned=scores,
            control=arms["control"],
            probes=cast.probes(),
            battery=BATTERY,
            guarantee=methods.get(name).guarantee if name in SETTINGS else Guarantee.EMPIRICAL,
        )
        for name, scores in unlearned.items()
    }


def _paid(name: str, results: dict[str, Result]) -> tuple[str, float]:
    """Route, and seconds of CPU spent on unlearning alone."""
    if name == UNTOUCHED:
        return "none", 0.0
    if name in SETTINGS:
        return "edit", float(results[name].value)
    return "retrain", results[name].cpu_s


def _page_row(name: str, found: Audit, route: str, seconds: float, retrain_s: float) -> dict[str, Any]:
    return {
        "method": name,
        "route": route,
        "guarantee": "none" if route == "none" else found.guarantee.value,
        "cost": seconds / retrain_s,
        "seconds": seconds,
        "retrain_seconds": retrain_s,
        "replay": None,
        "promise": None,
        "audit": found.to_json(),
        "notes": [],
    }


def _table_row(row: dict[str, Any]) -> dict[str, Any]:
    """One line of the demo's table, from the evidence alone."""
    found = row["audit"]
    worst = next(iter(measured_findings(found["findings"])), None)
    direct: dict[str, Any] = next((f for f in found["findings"] if f["attack"] == "direct"), {})
    recall = mean_of(direct, "unlearned")
    needed = [f["facts_needed"] for f in found["findings"] if f["facts_needed"]]
    return {
        "method": row["method"],
        "guarantee": row["guarantee"],
        "cost": None if row["cost"] is None else round(row["cost"], 4),
        "recall": None if recall is None else round(recall, 3),
        "recovered": round(worst["recovered"], 3) if worst else None,
        "attack": worst["attack"] if worst else None,
        "retained": None if found["skill"] is None else round(found["skill"], 3),
        "flags": found["flags"],
        "assurance": found["assurance"],
        "facts_needed": max(needed) if needed else None,
    }


def _own_peak_mb() -> float:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
