"""One person's request from the first command to the checked certificate, and what the project remembers afterwards."""

import base64
import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.e2e.conftest import (
    LEAVES,
    NAMES,
    STAYS,
    Asked,
    Ran,
    ask,
    audited,
    expunge,
    in_new_process,
    plans_of,
    refused,
    rows_of,
    secret_of,
    state_of,
    write_jsonl,
)

from expunge.core.capability import CAPABILITY


@dataclass(frozen=True)
class Story:
    """A request that went all the way, and what every step printed."""

    project: Path
    request: str
    said: dict[str, Ran]
    before: frozenset[str]  # digests of the adapter files that saw the person


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, verified: Asked) -> Story:
    project = tmp_path_factory.mktemp("story") / "p"
    shutil.copytree(verified.folder, project)
    old = {_digest(p) for p in project.rglob("adapter_model.safetensors")}
    at, request = ("-p", project, "--json"), verified.request
    said = {
        "plan again": expunge("plan", request, *at),
        "deliver": expunge("deliver", request, *at, "--released", "none"),
        "certify": expunge("certify", request, *at),
        "report": expunge("report", request, *at),
    }
    kept = {_digest(p) for p in project.rglob("adapter_model.safetensors")}
    return Story(project, request, said, frozenset(old - kept))


def test_every_step_prints_one_json_object(tmp_path: Path, inputs: Path, asked: Asked, copy: Any) -> None:
    made = in_new_process("init", tmp_path / "new", "--name", "acme", "--json").json
    assert Path(made["public_key"]).exists()
    data = ("data", "add", inputs / "people.jsonl", "--subject", "person", "--id", "id", "-p", tmp_path / "new")
    assert expunge(*data, "--json").json["subjects"] == len(NAMES)
    project = copy(asked.folder)
    at = ("-p", project, "--json")
    planned = expunge("plan", asked.request, *at)
    assert [one["target"] for one in planned.json["targets"]] == ["dataset:people", "model:assistant"]
    (plan,) = plans_of(planned)
    assert (plan["route"], plan["n_removed"]) == ("rebuild", len(rows_of([LEAVES])))
    assert 0 <= plan["cost"] < 1
    (done,) = in_new_process("forget", asked.request, *at).json["targets"]
    assert done["guarantee"] == "EXACT"
    assert done["before"] != done["after"]
    assert not (project / "models/assistant/current").exists()  # quarantined, and nothing serves before delivery


def test_later_steps_print_one_json_object_and_refuse_to_run_twice_in_the_wrong_order(story: Story) -> None:
    (model,) = [one for one in story.said["plan again"].json["targets"] if one["target"] == "model:assistant"]
    assert "expunge deliver" in model["waits"]
    delivered = story.said["deliver"].json
    assert (delivered["n_records"], delivered["left"]) == (len(rows_of([LEAVES])), [])
    (one,) = delivered["targets"]
    assert one["override"] == []
    assert one["residuals"]
    assert Path(story.said["certify"].json["certificate"]).exists()
    shown = story.said["report"].json
    assert Path(shown["page"]).exists()
    assert [e["kind"] for e in shown["request"]["events"]][-1] == "certified"


def test_identities_come_from_standard_input_and_are_never_shown(copy: Any, trained_project: Path) -> None:
    project = copy(trained_project)
    ran = in_new_process("request", "--dataset", "people", "-p", project, "--json", stdin=f"{LEAVES}\n")
    assert ran.json["subjects"] == 1
    assert LEAVES not in ran.out + ran.err


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "jsonl", "jsonl.gz", "parquet"])
def test_every_format_gives_the_same_records(suffix: str, tmp_path: Path) -> None:
    rows, file = rows_of(NAMES), tmp_path / f"people.{suffix}"
    if suffix.startswith("csv"):
        with (tmp_path / "people.csv").open("w", newline="") as out:
            writer = csv.DictWriter(out, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        if suffix == "csv.gz":
            subprocess.run(["gzip", "-k", str(tmp_path / "people.csv")], check=True)
    elif suffix == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), file)
    else:
        write_jsonl(file, rows)
    expunge("init", tmp_path / "p")
    added = expunge("data", "add", file, "--subject", "person", "--id", "id", "-p", tmp_path / "p", "--json").json
    assert (added["dataset"], added["records"], added["subjects"]) == ("people", len(rows), len(NAMES))


FIT = """
import json, sys
from pathlib import Path
from expunge.core.capability import pin_capability
pin_capability()
from expunge.core import Record
from expunge.exact import AdapterShards
from expunge.workflow.project.project import Project
from expunge.workflow.inputs.training import load_training
project = Project.open(Path(sys.argv[1]))
rows = [json.loads(line) for line in Path(sys.argv[2]).read_text().splitlines()]
recipe, _ = load_training(sys.argv[3])
learner = recipe.learner
learner.salt = project.salt("assistant")
learner.fit([Record(r["id"], r["person"], r["question"], r["answer"], r["value"]) for r in rows])
print(learner.digest())
"""


def test_the_new_version_is_what_a_new_process_fits_without_the_person(
    story: Story, inputs: Path, tmp_path: Path
) -> None:
    remaining = write_jsonl(tmp_path / "without.jsonl", rows_of(STAYS))
    command = [sys.executable, "-c", FIT, str(story.project), str(remaining), f"{inputs / 'recipe.py'}:recipe"]
    done = subprocess.run(command, env={**os.environ, **CAPABILITY}, capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == _state(story.project)["digest"]


def test_the_replay_matched_and_carries_the_level(story: Story) -> None:
    statement = _predicate(story)
    assert statement["replay"] is True
    assert statement["assurance"] == "EXACT"
    assert statement["actions"][0]["promise"]["equality"] == "bitwise"


def test_check_needs_a_trusted_key(story: Story) -> None:
    certificate = story.said["certify"].json["certificate"]
    current = story.project / "models/assistant" / (story.project / "models/assistant/current").read_text().strip()
    everything = ("--log", story.project / "log", "--model", current)
    trusted = expunge(
        "check",
        certificate,
        "--trust",
        story.project / "signer.pub.pem",
        "--log-key",
        story.project / "log.vkey",
        *everything,
        "--json",
    )
    assert trusted.json["exit_code"] == 0
    assert expunge("check", certificate, *everything, "--json", code=3).json["exit_code"] == 3


def test_nothing_of_the_person_is_left_in_the_project(story: Story) -> None:
    theirs = rows_of([LEAVES])
    texts = {LEAVES, secret_of(LEAVES)} | {r[k] for r in theirs for k in ("question", "answer") if r[k]}
    needles = {t.encode() for t in texts} | {LEAVES.lower().encode(), LEAVES.encode("utf-16-le")}
    found = [
        path.relative_to(story.project).as_posix()
        for path in story.project.rglob("*")
        if path.is_file() and any(n in data for data in _contents(path) for n in needles)
    ]
    assert found == []
    others = story.project.parent / "control.txt"  # the scan finds what is there
    others.write_text(f"… {LEAVES} …")
    assert any(LEAVES.encode() in data for data in _contents(others))


def test_no_adapter_that_saw_the_person_is_left(story: Story) -> None:
    assert story.before  # there was one
    assert not story.before & {_digest(p) for p in story.project.rglob("*") if p.is_file()}
    assert not (story.project / "work").exists() or not list((story.project / "work").iterdir())
    folders = [p for p in (story.project / "models/assistant").iterdir() if p.is_dir()]
    assert [p.name for p in folders] == [(story.project / "models/assistant/current").read_text().strip()]


def test_a_second_request_does_not_bring_the_first_person_back(
    story: Story, tmp_path: Path, inputs: Path, copy: Any
) -> None:
    project, second = copy(story.project), STAYS[0]
    request = ask(project, second)
    # The owner has deleted the first person's rows meanwhile, as the certificate asks of them.
    expunge("forget", request, "-p", project)
    expunge("verify", request, "--battery", "quick", "--probes", inputs / "probes.jsonl", "-p", project, code=None)
    expunge("deliver", request, "--released", "none", "-p", project)
    from expunge.workflow.project.project import Project

    opened = Project.open(project)
    version = opened.current("assistant")
    kept = {c for unit in opened.ledger.unit_members("assistant", version.digest).values() for c in unit}
    assert len(kept) == len(rows_of(STAYS[1:]))
    live = opened.ledger.live_records("people")
    assert {r.subject for r in live} == set(STAYS[1:])
    remaining = write_jsonl(tmp_path / "without.jsonl", rows_of(STAYS[1:]))
    command = [sys.executable, "-c", FIT, str(project), str(remaining), f"{inputs / 'recipe.py'}:recipe"]
    done = subprocess.run(command, env={**os.environ, **CAPABILITY}, capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == _state(project)["digest"]


def test_delivery_and_certificate_may_be_repeated(story: Story) -> None:
    again = expunge("deliver", story.request, "--released", "none", "-p", story.project, "--json")
    assert again.json == story.said["deliver"].json
    first = Path(story.said["certify"].json["certificate"])
    before = first.read_bytes()
    expunge("certify", story.request, "-p", story.project)
    assert first.read_bytes() == before


@pytest.mark.parametrize("step", ["verify", "deliver", "certify"])
def test_a_step_out_of_order_names_the_one_that_comes_first(asked: Asked, step: str) -> None:
    first = "expunge run" if step == "certify" else "expunge forget"
    released = ("--released", "none") if step == "deliver" else ()
    refused(expunge(step, asked.request, *released, "-p", asked.folder, code=2), first)


def test_nothing_is_assumed_of_what_left_the_house(verified: Asked, copy: Any) -> None:
    project = copy(verified.folder)
    before = state_of(project)
    refused(expunge("deliver", verified.request, "-p", project, code=2), "--released none", "left the house")
    assert state_of(project) == before


# -- a model of one block: attacks, flags, and what blocks delivery ------------------------------------------------


@pytest.fixture(scope="module")
def block(once: Callable[..., Path], base: Path) -> Path:
    """`original` knows everybody, `control` was trained without the person who leaves."""

    def build(folder: Path) -> None:
        from tests.e2e.conftest import learn

        from expunge.core import Record
        from expunge.engine import load_model, load_tokenizer, save_model

        for name, who in (("original", NAMES), ("control", STAYS)):
            rows = [Record(r["id"], r["person"], r["question"], r["answer"]) for r in rows_of(who, 12) if r["question"]]
            model, tokenizer = load_model(base), load_tokenizer(base)
            learn(model, tokenizer, rows, epochs=60, lr=5e-3, batch=8)
            save_model(model, tokenizer, folder / name)
        for name, who in (("forget", [LEAVES]), ("retain", STAYS)):
            write_jsonl(folder / f"{name}.jsonl", [r for r in rows_of(who, 12) if r["question"]])

    return once("block", build)


def test_an_untouched_model_is_retained_with_exit_code_1(block: Path) -> None:
    arms = ("--original", block / "original", "--unlearned", block / "original")
    facts = ("--probes", block / "forget.jsonl", "--retain", block / "retain.jsonl", "--battery", "quick")
    found = expunge("verify", *arms, "--control", block / "control", *facts, "--json", code=1).json
    assert "RETAINED" in found["flags"]


def test_without_a_control_made_up_twins_stand_in_and_the_audit_says_so(block: Path) -> None:
    arms = ("--original", block / "original", "--unlearned", block / "original")
    ran = expunge("verify", *arms, "--probes", block / "forget.jsonl", "--battery", "quick", "--json", code=1)
    assert ran.json["control"]["kind"] == "placebo"
    assert "weaker" in ran.err
    assert "RETAINED" in ran.json["flags"]  # of an untouched model
    assert ran.json["assurance"] == "CLAIMED"


@pytest.mark.parametrize(
    ("flag", "edit"),
    [
        ("RETAINED", ("--method", "npo", "--lr", "1e-7", "--steps", "1")),
        ("DAMAGED", ("--method", "gradient_ascent", "--lr", "1e-2", "--steps", "10", "--no-guard")),
    ],
)
def test_a_bad_result_is_delivered_only_by_an_override_that_the_certificate_shows(
    flag: str, edit: tuple[str, ...], block: Path, tmp_path: Path
) -> None:
    project = tmp_path / "p"
    expunge("init", project, "--name", "acme")
    write_jsonl(tmp_path / "people.jsonl", [r for r in rows_of(NAMES, 12) if r["question"]])
    given = ("--data", tmp_path / "people.jsonl", "--subject", "person", "--id", "id", "--value", "value")
    expunge("adopt", block / "original", "--name", "people", *given, "-p", project)
    request, at = ask(project, LEAVES), ("-p", project)
    expunge("forget", request, "--route", "edit", *edit, *at)
    audit = ("verify", request, "--control", block / "control", "--battery", "quick", *at, "--json")
    assert flag in audited(expunge(*audit, code=1))["flags"]
    blocked = expunge("deliver", request, *at, "--released", "none", code=1)
    assert f"--override {flag}" in " ".join(blocked.err.split())
    assert not (project / "models/people/current").exists()
    deliver = ("deliver", request, "--released", "none")
    assert f"--override {flag}" in expunge(*deliver, "--override", "WRONG", *at, code=1).err
    names = re.findall(r"--override ([A-Z_]+)", " ".join(blocked.err.split()))
    overrides = [word for name in names for word in ("--override", name)]
    refused(expunge(*deliver, *overrides, "--override", "WRONG", *at, code=2), "blocks nothing here")
    delivered = expunge(*deliver, *overrides, *at, "--json").json
    assert delivered["targets"][0]["override"] == names
    assert flag in names
    expunge("certify", request, *at, code=3)  # where the model came from still has it
    signed = json.loads((project / "evidence" / request / "certificate.intoto.json").read_text())
    predicate = json.loads(base64.b64decode(signed["payload"]))["predicate"]
    assert predicate["delivery"]["override"] == sorted(names)
    assert flag in predicate["flags"]
    assert predicate["assurance"] in ("CLAIMED", "SUPPRESSED")


# -- the command line itself ---------------------------------------------------------------------------------------

COMMANDS = [
    *("init", "data", "data add", "train", "adopt", "request", "plan", "forget", "verify", "deliver", "certify"),
    *("status", "extend", "decide", "abandon", "destroy", "run", "reopen", "reconcile"),
    *("copies", "copies add", "copies list", "copies probe", "copies gone"),
    *("check", "log", "log new", "report", "edit", "benchmark", "demo"),
]


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_every_help_ends_with_a_command_to_try(command: str) -> None:
    said = expunge(*command.split(), "--help").out
    tried = [line for line in said.splitlines() if line.strip().startswith("Try:")]
    assert len(tried) == 1
    assert tried[0].split()[1] in ("expunge", "echo")


def test_help_is_fast() -> None:
    """Of a processor's time, which a busy machine does not stretch as it does a clock's.

    On a machine where the library that prints the help takes more than half of that by itself, twice what it takes.
    """

    def seconds(*arguments: str) -> float:
        began = os.times()
        subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
        ended = os.times()
        return ended.children_user + ended.children_system - began.children_user - began.children_system

    took = [(seconds("-m", "expunge", "--help"), seconds("-c", "import typer.rich_utils")) for _ in range(5)]
    ours, library = (min(column) for column in zip(*took, strict=True))
    assert ours < max(0.3, 2 * library), f"{ours:.2f} s, the library alone {library:.2f} s"


def test_check_needs_neither_torch_nor_a_database(story: Story) -> None:
    code = (
        "import sys; from expunge.cli.app import app\n"
        f"app(['check', {story.said['certify'].json['certificate']!r}], standalone_mode=False)\n"
        "print([m for m in ('torch', 'sqlalchemy', 'numpy', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def _state(project: Path) -> Any:
    folder = project / "models/assistant"
    return json.loads((folder / (folder / "current").read_text().strip() / "expunge.json").read_text())


def _predicate(story: Story) -> Any:
    envelope = json.loads(Path(story.said["certify"].json["certificate"]).read_text())
    return json.loads(base64.b64decode(envelope["payload"]))["predicate"]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _contents(path: Path) -> list[bytes]:
    """The bytes of a file, and the values of a table's columns, which may be compressed."""
    found = [path.read_bytes()]
    if path.suffix == ".parquet":
        found += [repr(column.to_pylist()).encode() for column in pq.read_table(path).columns]
    return found
