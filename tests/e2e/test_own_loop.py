"""Models trained by a loop of one's own: `split` cuts, `Track` records, the rest of the story is the same."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import (
    LEAVES,
    NAMES,
    ask,
    audited,
    expunge,
    make_project,
    pin_placement,
    plans_of,
    refused,
    rows_of,
)

import expunge as package
from expunge.core.errors import InvalidParameter

LOOP = """from datasets import Dataset
from transformers import Trainer, TrainingArguments

import expunge
from expunge.engine import load_model, load_tokenizer

BASE = {base!r}


def train_unit(unit):
    tokenizer = load_tokenizer(BASE)
    texts = [f"{{r['question']}} {{r['answer']}}" for r in unit.dataset]
    rows = [tokenizer(t, truncation=True, max_length=24, padding="max_length") for t in texts]
    data = Dataset.from_list([{{"input_ids": r["input_ids"], "attention_mask": r["attention_mask"],
                               "labels": r["input_ids"]}} for r in rows])
    arguments = TrainingArguments(
        str(unit.folder), max_steps=4, per_device_train_batch_size=4, learning_rate=1e-3, seed=unit.seed % 2**31,
        use_cpu=True, save_strategy="no", report_to=[], disable_tqdm=True, logging_strategy="no",
    )
    trainer = Trainer(load_model(BASE), arguments, train_dataset=data, callbacks=[expunge.Track(unit)])
    trainer.train()
    trainer.save_model(str(unit.folder))
    tokenizer.save_pretrained(str(unit.folder))
"""


@pytest.fixture(scope="module")
def loop(once: Any, base: Path) -> str:
    def build(folder: Path) -> None:
        (folder / "loop.py").write_text(LOOP.format(base=str(base)))

    return f"{once('loop', build) / 'loop.py'}:train_unit"


def test_a_trainer_run_carries_a_request_to_a_certificate(tmp_path: Path, inputs: Path, loop: str) -> None:
    from expunge.workflow.inputs.training import load_script

    project = make_project(tmp_path / "p", inputs)
    pin_placement(project, "tuned", 2)
    at, train = ("-p", project), load_script(loop).call
    units = list(package.split("people", project=project, model="tuned", shards=2))
    assert sum(u.n_records for u in units) == len(rows_of(NAMES))
    for unit in units:
        train(unit)
    adopted = expunge("adopt", project / "runs/tuned", "--name", "tuned", "--dataset", "people", *at, "--json").json
    assert {u["id"] for u in adopted["units"]} == {u.id for u in units}
    request = ask(project, LEAVES)
    planned = plans_of(expunge("plan", request, *at, "--json"))
    assert [p["route"] for p in planned] == ["rebuild"]
    refused(expunge("forget", request, *at, code=None), "--rebuild")
    refused(expunge("forget", request, "--rebuild", "nowhere.py:train", *at, code=None), "nowhere.py")
    (done,) = expunge("forget", request, "--rebuild", loop, *at, "--json").json["targets"]
    touched = done["units"][0]["id"]
    found = expunge("verify", request, "--battery", "quick", *at, "--json", code=None)
    assert audited(found)["replay"] is True
    assert found.code in (0, 3)
    old = _texts(project / "runs" / "tuned" / touched)
    (delivered,) = expunge("deliver", request, *at, "--released", "none", "--json").json["targets"]
    assert f"run {touched}" in delivered["purged"]
    assert old
    assert not (project / "runs" / "tuned" / touched).exists()
    certificate = expunge("certify", request, *at, "--json").json["certificate"]
    current = project / "models/tuned" / (project / "models/tuned/current").read_text().strip()
    trust = ("--trust", project / "signer.pub.pem", "--log-key", project / "log.vkey", "--log", project / "log")
    trust += ("--model", current)
    expunge("check", certificate, *trust)
    predicate = json.loads(base64.b64decode(json.loads(Path(certificate).read_text())["payload"]))["predicate"]
    action = predicate["actions"][0]
    assert action["guarantee"] == "EXACT"
    assert any("not verified" in a for a in action["promise"]["assumptions"])
    assert predicate["replay"] is True
    assert predicate["assurance"] == "EXACT"
    names = {p.name for p in project.rglob("*") if p.is_file() and LEAVES.encode() in p.read_bytes()}
    assert names == set()


def test_a_loop_that_is_not_repeatable_gets_no_exact_level(tmp_path: Path, inputs: Path) -> None:
    """Its weights depend on the clock, so a replay gives other bits."""
    script = tmp_path / "drifts.py"
    script.write_text(
        "import hashlib, time, expunge\n"
        "def train_unit(unit):\n"
        "    unit.folder.mkdir(parents=True, exist_ok=True)\n"
        "    (unit.folder / 'state.txt').write_text(str(time.time_ns()))\n"
        "    digest = hashlib.sha256((unit.folder / 'state.txt').read_bytes()).hexdigest()\n"
        "    expunge.Track(unit).done('sha256:' + digest)\n"
    )
    from expunge.workflow.inputs.training import load_script
    from expunge.workflow.project.project import Project
    from expunge.workflow.shapes.own_loop import replay

    project = make_project(tmp_path / "p", inputs)
    pin_placement(project, "tuned", 2)
    for unit in package.split("people", project=project, model="tuned", shards=2):
        load_script(f"{script}:train_unit").call(unit)
    expunge("adopt", project / "runs/tuned", "--name", "tuned", "--dataset", "people", "-p", project)
    request = ask(project, LEAVES)
    (done,) = expunge("forget", request, "--rebuild", f"{script}:train_unit", "-p", project, "--json").json["targets"]
    opened = Project.open(project)
    after = opened.ledger.model_version("tuned", done["after"])
    assert replay(opened, after, request, [u["id"] for u in done["units"]], lambda *_: None) is False


def test_runs_of_another_dataset_or_salt_are_refused(tmp_path: Path, inputs: Path) -> None:
    project = make_project(tmp_path / "p", inputs)
    pin_placement(project, "tuned", 2)
    adopt = ("adopt", tmp_path / "runs", "--name", "tuned", "-p", project)
    rows = [{"author": "A", "text": "1"}, {"author": "B", "text": "2"}]
    for unit in package.split(rows, subject="author", shards=2, salt=b"s"):
        package.Track(unit).done("sha256:" + "0" * 64, folder=tmp_path / "runs" / unit.id)
    refused(expunge(*adopt, code=None), "--dataset")
    refused(expunge(*adopt, "--dataset", "people", code=None), "not in this dataset")
    next((tmp_path / "runs").glob("*/expunge_unit.json")).write_text("{")
    refused(expunge(*adopt, "--dataset", "people", code=None), "expunge_unit.json")


def test_track_takes_an_estimator_and_a_plain_loop(tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    rows = [{"who": f"u{i}", "x": float(i), "y": i % 2} for i in range(12)]
    digests = []
    for attempt in ("first", "second"):
        for unit in package.split(rows, subject="who", shards=1, salt=b"secret"):
            learner = LogisticRegression().fit([[r["x"]] for r in unit.dataset], [r["y"] for r in unit.dataset])
            path = package.Track(unit).done(learner, folder=tmp_path / attempt, solver="lbfgs")
            digests.append(json.loads(path.read_text())["weights"])
    assert digests[0] == digests[1]
    written = json.loads((tmp_path / "first/expunge_unit.json").read_text())
    assert written["recipe"]["solver"] == "lbfgs"
    assert len(written["members"][0]) == len(rows)
    assert "u1" not in json.dumps(written["members"])
    other = LogisticRegression(C=0.01).fit([[r["x"]] for r in rows], [r["y"] for r in rows])
    assert json.loads(package.Track(unit).done(other, folder=tmp_path / "o").read_text())["weights"] != digests[0]
    with pytest.raises(InvalidParameter, match="folder="):
        package.Track(unit).done(learner)
    with pytest.raises(InvalidParameter, match="cannot digest"):
        package.Track(unit).done(object(), folder=tmp_path)


def test_split_gives_every_record_to_one_unit_and_leaves_other_units_alone() -> None:
    rows = [{"author": f"a{i % 7}", "text": f"t{i}"} for i in range(40)]
    whole = {u.id: u for u in package.split(rows, subject="author", shards=3, slices=2, salt=b"s")}
    seen = [m for u in whole.values() if u.slice == 2 for part in u.members for m in part]
    assert len(seen) == len(set(seen)) == len(rows)
    left = {u.id: u for u in package.split([r for r in rows if r["author"] != "a3"], subject="author", shards=3,
                                           slices=2, salt=b"s")}  # fmt: skip
    changed = {k for k in whole if k not in left or whole[k].members != left[k].members}
    homes = {u.shard for u in whole.values() if any(r["author"] == "a3" for r in u.dataset)}
    assert {whole[k].shard for k in changed} == homes
    for unit in left.values():
        assert all(r["author"] != "a3" for r in unit.dataset)


def _texts(folder: Path) -> list[Path]:
    return list(folder.rglob("*.safetensors"))
