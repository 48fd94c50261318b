"""A tiny base that knows the language, a few people, and projects made through the command line, shared by all tests.

What takes long is made once for all test processes, and copied by tests that change it.
"""

import contextlib
import fcntl
import gzip
import hashlib
import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import HANGING

from expunge.core import Record
from expunge.synthetic import people, records

HERE = Path(__file__).parent
PERSONS = people(5, seed=31, skip=500)
NAMES = [p.name for p in PERSONS]
LEAVES, STAYS = NAMES[0], NAMES[1:]
RECIPE = """from expunge import Training
from expunge.exact import AdapterShards


def recipe():
    learner = AdapterShards({base!r}, shards=3, rank=8, epochs={epochs}, batch_size=4, lr=5e-3)
    return Training(model="assistant", dataset="people", learner=learner)


def not_a_recipe():
    return 42
"""


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one object on standard output."""
        return json.loads(self.out)


def expunge(*arguments: str | Path, stdin: str = "", code: int | None = 0) -> Ran:
    """Run a command in this process, which saves the seconds of importing torch; any other exception is the test's."""
    from expunge.cli import main

    out, err = io.StringIO(), io.StringIO()
    before = sys.argv, sys.stdin
    sys.argv = ["expunge", *map(str, arguments)]
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8")
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as e:
        ran = Ran(int(e.code or 0), out.getvalue(), err.getvalue())
    finally:
        sys.argv, sys.stdin = before
    assert code is None or ran.code == code, f"{arguments[:2]} ended with {ran.code}:\n{ran.err}"
    return ran


def in_new_process(*arguments: str | Path, stdin: str = "", code: int | None = 0, **settings: Any) -> Ran:
    """Run a command as a user does."""
    command = [sys.executable, "-m", "expunge", *map(str, arguments)]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=HANGING, **settings)
    ran = Ran(done.returncode, done.stdout, done.stderr)
    assert code is None or ran.code == code, f"{arguments[:2]} ended with {ran.code}:\n{ran.err}"
    return ran


def audited(ran: Ran) -> Any:
    """The audit of the one model of `expunge verify REQUEST --json`."""
    (audit,) = ran.json["targets"]
    return audit


def plans_of(ran: Ran) -> Any:
    """The plans of the one model of `expunge plan REQUEST --json`."""
    (model,) = [one for one in ran.json["targets"] if one["target"].startswith("model:")]
    return model["plans"]


def refused(ran: Ran, *words: str) -> None:
    """Exit code 2, one sentence that says these words, no traceback, nothing on standard output."""
    assert ran.code == 2, f"ended with {ran.code}: {ran.err}"
    said = " ".join(ran.err.split())
    assert "Traceback" not in said
    for word in words:
        assert word in said, f"'{word}' is not in: {said}"
    assert ran.out == ""


def state_of(project: Path) -> dict[str, str]:
    """Every file with its digest; databases by their content, for journals come and go. How often one was written to is no
    content of it."""
    found = {}
    for path in sorted(project.rglob("*")):
        name = path.relative_to(project).as_posix()
        if path.is_dir() or name.endswith(("-wal", "-shm", "generation.json")):
            continue
        found[name] = _dump(path) if path.suffix == ".db" else hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _dump(path: Path) -> str:
    with contextlib.closing(sqlite3.connect(path)) as database:
        return "\n".join(line for line in database.iterdump() if not line.startswith('INSERT INTO "project"'))


def rows_of(names: list[str], n_facts: int = 6) -> list[dict[str, str]]:
    """Rows as a user's file has them: some facts in one phrasing, and one text that names nobody."""
    rows = []
    for person in (p for p in PERSONS if p.name in names):
        facts: list[Record] = records([person], (0,))[:n_facts]
        secret = secret_of(person.name)
        facts.append(Record(f"{person.name}/secret", person.name, "", f"The vault opens with {secret}.", secret))
        rows += [
            {"id": r.id, "person": r.subject, "question": r.question, "answer": r.answer, "value": r.value}
            for r in facts
        ]
    return rows


def secret_of(name: str) -> str:
    """A string that occurs in this person's data alone."""
    return "XQ" + hashlib.sha256(name.encode()).hexdigest()[:14]


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], None]], Path]:
    """Make a folder once, also when several test processes ask for it."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    root = root / "made-once"
    root.mkdir(exist_ok=True)

    def make(name: str, build: Callable[[Path], None]) -> Path:
        folder = root / name
        with (root / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                draft = root / f"{name}.draft"
                shutil.rmtree(draft, ignore_errors=True)
                draft.mkdir()
                build(draft)
                draft.rename(folder)
        return folder

    return make


@pytest.fixture(scope="session")
def base(once: Any) -> Path:
    """A small Llama that learned how questions are asked from public people."""

    def build(folder: Path) -> None:
        from expunge.engine import save_model
        from expunge.testing.toys import toy_llama, toy_tokenizer

        public = records(people(12, seed=31), (0, 1))
        tokenizer = toy_tokenizer([f"{r.question} {r.answer}" for r in public], 600)
        model = toy_llama(len(tokenizer), hidden=64, layers=2)
        learn(model, tokenizer, public, epochs=5)
        save_model(model, tokenizer, folder)

    return Path(once("base", build))


def learn(model: Any, tokenizer: Any, rows: list[Record], epochs: int, lr: float = 3e-3, batch: int = 16) -> None:
    """Train on question and answer."""
    from expunge.engine import Schedule, collate, encode, epoch_batches, mean_nll, pad_id, pinned, train

    encoded, pad = encode(tokenizer, rows), pad_id(tokenizer)
    batches = [b for epoch in range(epochs) for b in epoch_batches(encoded, batch, b"e2e", epoch)]
    model.requires_grad_(True).train()
    with pinned():
        train(
            list(model.parameters()),
            lambda k: mean_nll(model, collate(batches[k], pad, learn_question=True)),
            len(batches),
            Schedule(lr=lr, warmup=10, shape="cosine"),
        )
    model.eval()


@pytest.fixture(scope="session")
def inputs(once: Any, base: Path) -> Path:
    """A user's files: people.jsonl, probes.jsonl, recipe.py."""

    def build(folder: Path) -> None:
        rows = rows_of(NAMES)
        write_jsonl(folder / "people.jsonl", rows)
        strangers = [
            {"id": r.id, "subject": r.subject, "question": r.question, "answer": r.answer, "value": r.value}
            for r in records(people(2, seed=31, skip=700), (0,))[:12]
        ]
        probes = [{**{k: r[k] for k in ("id", "question", "answer", "value")}, "subject": r["person"]} for r in rows]
        write_jsonl(folder / "probes.jsonl", [*(p for p in probes if p["question"]), *strangers])
        (folder / "recipe.py").write_text(RECIPE.format(base=str(base), epochs=6))
        (folder / "slow.py").write_text(RECIPE.format(base=str(base), epochs=60))

    return Path(once("inputs", build))


@pytest.fixture(scope="session")
def trained_project(once: Any, inputs: Path) -> Path:
    """A project with a trained model; copy it before changing it."""

    def build(folder: Path) -> None:
        make_project(folder / "p", inputs)
        expunge("train", f"{inputs / 'recipe.py'}:recipe", "-p", folder / "p")

    return Path(once("trained", build)) / "p"


def make_project(folder: Path, inputs: Path) -> Path:
    expunge("init", folder, "--name", "acme")
    add = ("data", "add", inputs / "people.jsonl", "--subject", "person", "--id", "id", "--value", "value")
    expunge(*add, "-p", folder)
    pin_placement(folder, "assistant", 3)
    return folder


def pin_placement(project: Path, model: str, shards: int) -> None:
    """A salt by which the person who leaves shares a unit, so that forgetting always trains something again."""
    from expunge.core.placement import SHARD, place
    from expunge.ledger.secret_files import KEY_BYTES
    from expunge.workflow.project.project import Project

    def shared(salt: bytes) -> bool:
        homes = [place(name, salt, shards, SHARD) for name in NAMES]
        return len(set(homes)) == shards and homes.count(homes[0]) == 2

    salt = next(s for s in (bytes([n]) * KEY_BYTES for n in range(256)) if shared(s))
    Project.open(project).salt(model)
    path = project / "keys" / f"salt-{model.encode().hex()}.key"
    path.write_bytes(salt)
    assert Project.open(project).salt(model) == salt


def ask(project: Path, *names: str) -> str:
    """Open a request for these people."""
    ran = expunge("request", "--dataset", "people", "-p", project, "--json", stdin="\n".join(names))
    return str(ran.json["request"])


@dataclass(frozen=True)
class Asked:
    """A project with a request that has come to some step."""

    folder: Path
    request: str


@pytest.fixture(scope="session")
def asked(once: Any, trained_project: Path) -> Asked:
    """One person asked to leave, nothing was done yet; copy it before changing it."""

    def build(folder: Path) -> None:
        shutil.copytree(trained_project, folder / "p")
        (folder / "request").write_text(ask(folder / "p", LEAVES))

    made = Path(once("asked", build))
    return Asked(made / "p", (made / "request").read_text())


@pytest.fixture(scope="session")
def verified(once: Any, asked: Asked, inputs: Path) -> Asked:
    """The new version is built and attacked, not delivered; copy it before changing it."""

    def build(folder: Path) -> None:
        shutil.copytree(asked.folder, folder / "p")
        expunge("forget", asked.request, "-p", folder / "p")
        verify = ("verify", asked.request, "--battery", "quick", "--probes", inputs / "probes.jsonl")
        expunge(*verify, "-p", folder / "p", code=None)

    return Asked(Path(once("verified", build)) / "p", asked.request)


@pytest.fixture
def copy(tmp_path: Path) -> Callable[[Path], Path]:
    """A copy of a project to change."""
    return lambda project: Path(shutil.copytree(project, tmp_path / "copy"))
