"""What a hostile or unlucky user meets: exit code 2, one sentence that says what to do, and a project as it was."""

import errno
import fcntl
import gzip
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.e2e.conftest import (
    LEAVES,
    NAMES,
    Asked,
    expunge,
    in_new_process,
    refused,
    rows_of,
    state_of,
    write_jsonl,
)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project without data; commands that are refused may share it."""
    folder = tmp_path_factory.mktemp("empty") / "p"
    expunge("init", folder, "--name", "acme")
    return folder


# -- data ------------------------------------------------------------------------------------------------------------


def _jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    return write_jsonl(path, rows)


def _bad_files(folder: Path) -> dict[str, tuple[Path, tuple[str, ...]]]:
    rows = rows_of(NAMES)
    whole_gz, whole_parquet = gzip.compress(("x" * 5000).encode()), folder / "whole.parquet"
    pq.write_table(pa.Table.from_pylist(rows), whole_parquet)
    cut_parquet, cut_gz = folder / "cut.parquet", folder / "cut.jsonl.gz"
    cut_parquet.write_bytes(whole_parquet.read_bytes()[:-100])
    cut_gz.write_bytes(whole_gz[:-9])
    (folder / "empty.csv").write_text("")
    (folder / "binary.jsonl").write_bytes(b"\xff\xfe\x00\x01")
    (folder / "half.jsonl").write_text('{"id": "1", "person": "A", "question": "Q", "ans')
    return {
        "missing column": (_jsonl(folder / "a.jsonl", [{"id": "1", "who": "A"}]), ("no column 'person'", "who")),
        "duplicate ids": (_jsonl(folder / "b.jsonl", [rows[0], rows[0]]), ("same id", "needs its own")),
        "empty subject": (_jsonl(folder / "c.jsonl", [{**rows[0], "person": ""}]), ("subject is empty",)),
        "truncated gz": (cut_gz, ("truncated",)),
        "truncated parquet": (cut_parquet, ("truncated",)),
        "empty": (folder / "empty.csv", ("empty.csv",)),
        "not text": (folder / "binary.jsonl", ("UTF-8",)),
        "half a line": (folder / "half.jsonl", ("line 1",)),
        "not there": (folder / "nowhere.jsonl", ("nowhere.jsonl",)),
        "a folder": (folder, ()),
    }


@pytest.mark.parametrize(
    "what",
    [
        *("missing column", "duplicate ids", "empty subject", "truncated gz", "truncated parquet", "empty"),
        *("not text", "half a line", "not there", "a folder"),
    ],
)
def test_bad_data_is_refused(what: str, empty: Path, tmp_path: Path) -> None:
    file, words = _bad_files(tmp_path)[what]
    before = state_of(empty)
    add = ("data", "add", file, "--subject", "person", "--id", "id", "--name", "d", "-p", empty, "--json")
    refused(expunge(*add, code=None), *words)
    assert state_of(empty) == before


def test_a_name_that_is_taken_is_refused(asked: Asked, inputs: Path) -> None:
    before = state_of(asked.folder)
    add = ("data", "add", inputs / "people.jsonl", "--subject", "person", "--id", "id", "-p", asked.folder)
    refused(expunge(*add, code=None), "people")
    train = ("train", f"{inputs / 'recipe.py'}:recipe", "-p", asked.folder)
    refused(expunge(*train, code=None), "assistant", "choose another name")
    refused(expunge("init", asked.folder, code=None), "already")
    assert state_of(asked.folder) == before


# -- who asks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "words"),
    [("Nobody Known", ("subject",)), ("", ("no identities",)), ("\n  \n", ("no identities",))],
)
def test_unknown_and_empty_subjects_are_refused(
    given: str, words: tuple[str, ...], trained_project: Path, tmp_path: Path
) -> None:
    before, file = state_of(trained_project), tmp_path / "who.txt"
    file.write_text(given)
    at = ("--dataset", "people", "-p", trained_project)
    for ran in (
        expunge("request", *at, stdin=given, code=None),
        expunge("request", *at, "--subjects-file", file, code=None),
    ):
        refused(ran, *words)
        assert "Nobody Known" not in ran.err
    assert state_of(trained_project) == before


def test_half_a_name_asks_for_nobody(trained_project: Path) -> None:
    """Programs differ in what ends a line; who is named by half a line is somebody else."""
    before, at = state_of(trained_project), ("--dataset", "people", "-p", trained_project)
    for between in ("\x85", "\u2028", "\x0b"):
        refused(expunge("request", *at, stdin=f"{LEAVES}{between}{LEAVES}\n", code=None), "line 1 holds U+")
    assert state_of(trained_project) == before


def test_one_unknown_subject_refuses_the_whole_request(trained_project: Path) -> None:
    before = state_of(trained_project)
    at = ("--dataset", "people", "-p", trained_project)
    refused(expunge("request", *at, stdin=f"{LEAVES}\nNobody Known\n", code=None), "1 of 2")
    refused(expunge("request", "--dataset", "persons", "-p", trained_project, stdin=LEAVES, code=None), "people")
    refused(expunge("request", *at, "--subjects-file", "/nowhere/who.txt", code=None), "/nowhere/who.txt")
    assert state_of(trained_project) == before


def test_an_unknown_request_or_project_is_named(asked: Asked, tmp_path: Path) -> None:
    before = state_of(asked.folder)
    for step in ("plan", "forget", "verify", "deliver", "certify", "report"):
        refused(expunge(step, "req-nowhere", "-p", asked.folder, code=None), "req-nowhere")
        refused(expunge(step, asked.request, "-p", tmp_path, code=None), "expunge init")
    assert state_of(asked.folder) == before
    assert list(tmp_path.iterdir()) == []


# -- models and keys -------------------------------------------------------------------------------------------------


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def _adapter(project: Path) -> Path:
    return next((project / "models/assistant").rglob("adapter_model.safetensors"))


def test_forget_refuses_a_model_that_was_altered(asked: Asked, copy: Any) -> None:
    project = copy(asked.folder)
    _flip(_adapter(project))
    before = state_of(project)
    refused(expunge("forget", asked.request, "-p", project, code=None), "not the recorded", "restore")
    assert state_of(project) == before


def test_deliver_refuses_a_candidate_that_was_altered(verified: Asked, copy: Any) -> None:
    project = copy(verified.folder)
    for path in (project / "models/assistant").rglob("adapter_model.safetensors"):
        _flip(path)
    before = state_of(project)
    refused(expunge("deliver", verified.request, "-p", project, code=None), "not the ones that were verified", "verify")
    assert state_of(project) == before


def test_certify_refuses_an_audit_that_was_altered(verified: Asked, copy: Any) -> None:
    project = copy(verified.folder)
    expunge("deliver", verified.request, "-p", project)
    audit = project / "evidence" / verified.request / "audit.json"
    audit.write_text(audit.read_text().replace('"skill"', '"skil1"', 1))
    refused(expunge("certify", verified.request, "-p", project, code=None), "changed after it was recorded")
    audit.write_text("{")
    refused(expunge("certify", verified.request, "-p", project, code=None), "audit")
    audit.unlink()
    refused(expunge("certify", verified.request, "-p", project, code=None), "audit")
    assert not (project / "evidence" / verified.request / "certificate.intoto.json").exists()


@pytest.mark.parametrize("key", ["sign.pem", "log.pem", "index.key"])
def test_an_open_key_file_is_refused(key: str, verified: Asked, copy: Any) -> None:
    project = copy(verified.folder)
    (project / "keys" / key).chmod(0o644)
    before = state_of(project)
    refused(expunge("deliver", verified.request, "-p", project, code=None), key, "chmod")
    assert state_of(project) == before


def test_a_pickle_is_not_adopted(empty: Path, tmp_path: Path, base: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(base, model, ignore=shutil.ignore_patterns("*.safetensors"))
    (model / "pytorch_model.bin").write_bytes(b"\x80\x04cos\nsystem\n.")
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_model.bin").write_bytes(b"\x80\x04.")
    before = state_of(empty)
    refused(expunge("adopt", model, "-p", empty, code=None), "pickle", "safetensors")
    refused(expunge("adopt", base, "--adapter", adapter, "-p", empty, code=None), "pickle", "safetensors")
    refused(expunge("adopt", tmp_path / "nowhere", "-p", empty, code=None), "nowhere")
    assert state_of(empty) == before


def test_a_truncated_model_is_not_adopted(empty: Path, tmp_path: Path, base: Path) -> None:
    model = Path(shutil.copytree(base, tmp_path / "model"))
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    before = state_of(empty)
    refused(expunge("adopt", model, "-p", empty, code=None), "truncated")
    assert state_of(empty) == before


def test_adopting_with_bad_data_leaves_no_model(empty: Path, tmp_path: Path, base: Path, inputs: Path) -> None:
    file, before = write_jsonl(tmp_path / "d.jsonl", [{"id": "1", "who": "A"}]), state_of(empty)
    adopt = ("adopt", base, "--name", "m", "-p", empty, "--data")
    refused(expunge(*adopt, file, "--subject", "person", code=None), "no column 'person'")
    refused(expunge(*adopt, inputs / "people.jsonl", code=None), "--subject")
    refused(expunge("adopt", base, "--name", "a/b", "-p", empty, code=None), "cannot name a model")
    refused(expunge("adopt", base, "--name", "../up", "-p", empty, code=None), "cannot name a model")
    assert state_of(empty) == before


# -- recipes, routes, and other arguments ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("nowhere.py:recipe", ("nowhere.py", "recipe.py:recipe")),
        ("{inputs}/recipe.py:nothing", ("no function 'nothing'",)),
        ("{inputs}/recipe.py", ("FILE.py:FUNCTION",)),
        ("{inputs}/recipe.py:not_a_recipe", ("must return expunge.Training",)),
        ("{tmp}/broken.py:recipe", ("broken.py", "line 1")),
        ("{tmp}/raises.py:recipe", ("raises.py", "ZeroDivisionError")),
        ("{tmp}/other.py:recipe", ("dataset", "nothing-like-it")),
        ("{inputs}/people.jsonl:recipe", ("people.jsonl",)),
    ],
)
def test_a_bad_recipe_is_refused(where: str, words: tuple[str, ...], inputs: Path, tmp_path: Path, empty: Path) -> None:
    (tmp_path / "broken.py").write_text("def recipe(:\n")
    (tmp_path / "raises.py").write_text("def recipe():\n    return 1 / 0\n")
    (tmp_path / "other.py").write_text((inputs / "recipe.py").read_text().replace('"people"', '"nothing-like-it"'))
    before = state_of(empty)
    ran = expunge("train", where.format(inputs=inputs, tmp=tmp_path), "-p", empty, code=None)
    refused(ran, *words)
    assert state_of(empty) == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--route", "destroy"), ("possible: rebuild",)),
        (("--route", "edit", "--method", "npo"), ("possible: rebuild",)),
        (("--model", "nobody"), ("nobody", "expunge plan")),
        (("--method", "npo"), ("--method", "edit")),
        (("--steps", "3"), ("--steps", "edit")),
        (("--rebuild", "loop.py:train"), ("--rebuild", "own loop")),
    ],
)
def test_what_a_model_cannot_do_is_refused(
    options: tuple[str, ...], words: tuple[str, ...], asked: Asked, copy: Any
) -> None:
    project = copy(asked.folder)
    before = state_of(project)
    refused(expunge("forget", asked.request, *options, "-p", project, code=None), *words)
    assert state_of(project) == before


def test_bad_verify_arguments_are_refused(verified: Asked, tmp_path: Path, base: Path) -> None:
    before, at = state_of(verified.folder), ("-p", verified.folder)
    (tmp_path / "probes.jsonl").write_text("{}\n")
    refused(expunge("verify", verified.request, "--battery", "huge", *at, code=None), "huge", "quick")
    refused(expunge("verify", verified.request, "--probes", tmp_path / "probes.jsonl", *at, code=None), "line 1")
    refused(expunge("verify", verified.request, "--probes", tmp_path / "none.jsonl", *at, code=None), "none.jsonl")
    refused(expunge("verify", *at, code=None), "--original")
    assert state_of(verified.folder) == before


# -- two writers, and a full disk ------------------------------------------------------------------------------------


def test_a_second_writer_is_refused(asked: Asked) -> None:
    hold = (
        "import fcntl, sys; f = open(sys.argv[1], 'a+'); fcntl.flock(f, fcntl.LOCK_EX); "
        "print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", hold, str(asked.folder / "lock")]
    before = state_of(asked.folder)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        assert other.stdin
        assert other.stdout.readline() == "held\n"
        refused(expunge("forget", asked.request, "-p", asked.folder, code=None), "another process", "repeat")
        expunge("plan", asked.request, "-p", asked.folder)  # reading needs no lock
        other.stdin.close()
    assert state_of(asked.folder) == before


def test_a_full_disk_in_forget_changes_nothing(asked: Asked, copy: Any) -> None:
    project = copy(asked.folder)
    before = state_of(project)

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    ran = in_new_process("forget", asked.request, "-p", project, code=None, preexec_fn=small_files)
    refused(ran, "disk", "free some space")
    assert state_of(project) == before
    expunge("forget", asked.request, "-p", project)


@pytest.mark.parametrize("call", [1, 2, 3])
def test_a_full_disk_at_any_save_changes_nothing(
    call: int, asked: Asked, copy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import save_file

    import expunge.exact._adapter.folder as folder
    import expunge.exact._adapter.unit as unit

    calls = 0

    def full(*arguments: Any, **settings: Any) -> None:
        nonlocal calls
        calls += 1
        if calls >= call:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save_file(*arguments, **settings)

    project = copy(asked.folder)
    before = state_of(project)
    monkeypatch.setattr(unit, "save_file", full)
    monkeypatch.setattr(folder, "save_file", full)
    refused(expunge("forget", asked.request, "-p", project, code=None), "disk", "free ", "space")
    assert state_of(project) == before


def test_the_lock_is_free_after_an_error(asked: Asked) -> None:
    refused(expunge("forget", asked.request, "--route", "no", "-p", asked.folder, code=None))
    with (asked.folder / "lock").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
