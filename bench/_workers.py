"""Workers that carry requests on real projects, killed at random; and what must be true of the project afterwards."""

import json
import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from expunge.certify import check
from expunge.core.errors import NotReady, ProjectLocked
from expunge.ledger import Columns, StepState
from expunge.workflow.project.project import LOG_KEY, PUBLIC_KEY, Project
from expunge.workflow.shapes.learner import fitted, load_learner, training_of
from expunge.workflow.shapes.table import columns_of
from expunge.workflow.steps.certify import proof_path
from expunge.workflow.steps.enter import train
from expunge.workflow.steps.run import run_request

MODELS = ("churn", "upsell")
RECIPE = """import expunge
from expunge.exact import GaussianNB, MultinomialNB


def churn():
    return expunge.Training(model="churn", dataset="people", learner=MultinomialNB())


def upsell():
    return expunge.Training(model="upsell", dataset="people", learner=GaussianNB())
"""
COLUMNS = Columns(subject="who", id="id", answer="leaves", features=("a", "b"))
POLL_S = 0.02


def quiet(what: str, done: int, total: int) -> None:
    pass


def make_project(folder: Path, n_people: int) -> Project:
    """A table of invented people, two models, and a project that knows both."""
    folder.mkdir(parents=True)
    rows = [
        {"id": f"{n}/{k}", "who": f"Person {n}", "a": (3 * n + k) % 7, "b": (n + 2 * k) % 5, "leaves": "yn"[k % 2]}
        for n in range(n_people)
        for k in range(4)
    ]
    (folder / "people.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "recipe.py").write_text(RECIPE)
    project = Project.create(folder / "p", "acme")
    project.ledger.add_dataset("people", folder / "people.jsonl", COLUMNS)
    for model in MODELS:
        train(project, f"{folder / 'recipe.py'}:{model}", quiet)
    return project


def work(root: Path, seed: int) -> None:
    """Carry open requests, whichever comes, until none is open. What another process holds is tried again."""
    draw = random.Random(seed)
    while True:
        with suppress(ProjectLocked, NotReady):
            project = Project.open(root)
            waiting = [one.id for one in project.ledger.requests() if one.state.open]
            if not waiting:
                return
            with project.writing():
                run_request(project, draw.choice(waiting), quiet, released=())
        time.sleep(POLL_S)


def kill_at_random(
    root: Path, n_kills: int, n_workers: int, mean_s: float, seed: int, told: Callable[[int], None]
) -> tuple[int, float]:
    """Start workers, kill one at a time after random waits and start another; then let them end.

    Returns how many were killed, and the seconds until every request had ended.
    """
    draw, began = random.Random(seed), time.perf_counter()
    context = multiprocessing.get_context("fork")  # everything is imported already
    seeds = iter(range(seed, seed + 10 * n_kills + n_workers))

    def started() -> Any:
        process = context.Process(target=work, args=(root, next(seeds)))
        process.start()
        return process

    workers = [started() for _ in range(n_workers)]
    killed = 0
    while killed < n_kills:
        time.sleep(draw.expovariate(1 / mean_s))
        k = draw.randrange(n_workers)
        if workers[k].is_alive():
            os.kill(workers[k].pid, signal.SIGKILL)
            killed += 1
            told(killed)
        workers[k].join()
        if not any(one.state.open for one in Project.open(root).ledger.requests()):
            break
        workers[k] = started()
    for process in workers:
        process.join()
    return killed, time.perf_counter() - began


def faults(project: Project, asked: set[str]) -> list[str]:
    """What is not as it must be when every request has ended; `asked` are the people's references."""
    found = []
    times: list[str] = []
    for request in project.ledger.requests():
        events = project.ledger.events(request.id)
        kinds = Counter(event.kind for event in events)
        at = [event.at for event in events]
        times += at
        if request.state.open:
            found.append(f"{request.id} is {request.state.value}")
        if at != sorted(at):
            found.append(f"{request.id}: times of events go back")
        per_model = Counter((event.kind, event.detail.get("model")) for event in events if "model" in event.detail)
        once = [kinds["entombed"], kinds["erased"], kinds["certified"], *(per_model["delivered", m] for m in MODELS)]
        if request.subjects and set(once) != {1}:
            found.append(f"{request.id}: steps applied {once} times")
        if any(step.state is not StepState.DONE for step in project.ledger.steps(request.id)):
            found.append(f"{request.id}: a step is not done")
        for one in project.ledger.certificates(request.id):
            path = project.root / one.path
            known = {"trust": [project.root / PUBLIC_KEY], "log_key": (project.root / LOG_KEY).read_text()}
            checked = check(path, **known, log=project.log_folder, proof=proof_path(path))
            if checked.exit_code:
                found.append(f"{request.id}: {checked.first_failure}")
    if asked & set(project.ledger.keys.subjects.all()):
        found.append("keys of erased people are left")
    erased = sum(one.n_records for r in project.ledger.requests() if (one := project.ledger.finished_erasure(r.id)))
    if len(project.ledger.entombed("people")) != erased:
        found.append(f"{len(project.ledger.entombed('people'))} tombstones for {erased} records")
    records = project.ledger.live_records("people")
    for model in MODELS:
        version = project.current(model)
        fresh = fitted(training_of(version), records, columns_of(project, version), project.salt(model))
        if not fresh.equals(load_learner(project, version)):
            found.append(f"'{model}' is not what training on those who are left gives")
        folders = [path for path in (project.root / "models" / model).iterdir() if path.is_dir()]
        if folders != [project.folder(version)]:
            found.append(f"'{model}' has other folders than the one that serves")
    if any((project.root / "work").glob("req-*/*")):
        found.append("work of a request is left")
    return found
