"""Models trained elsewhere: what nobody knows about them stays UNKNOWN, down to the certificate."""

import base64
import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import LEAVES, NAMES, ask, audited, expunge, plans_of, refused, rows_of, write_jsonl


def _predicate(certificate: str) -> Any:
    return json.loads(base64.b64decode(json.loads(Path(certificate).read_text())["payload"]))["predicate"]


def _finish(project: Path, request: str, model: str) -> tuple[str, Any]:
    """Deliver, certify and check. Where the model came from still has it, which nobody decided about."""
    at = ("-p", project)
    expunge("deliver", request, *at, "--released", "none")
    certified = expunge("certify", request, *at, "--json", code=3).json
    assert certified["state"] == "in_progress"
    assert all("copy:" in one for one in certified["exceptions"] if not one.startswith("dataset:"))
    certificate = str(certified["certificate"])
    current = project / "models" / model / (project / "models" / model / "current").read_text().strip()
    trust = ("--trust", project / "signer.pub.pem", "--log-key", project / "log.vkey", "--log", project / "log")
    trust += ("--model", current)
    expunge("check", certificate, *trust)
    return certificate, _predicate(certificate)


@pytest.mark.data
def test_a_pretrained_model_carries_a_request_and_claims_no_more_than_is_known(data: Path, tmp_path: Path) -> None:
    with gzip.open(data / "tofu/full.jsonl.gz", "rt") as file:
        rows = [json.loads(line) for line, _ in zip(file, range(80), strict=False)]
    people = [
        {"id": f"r{i}", "author": f"author-{i // 20}", "question": r["question"], "answer": r["answer"]}
        for i, r in enumerate(rows)
        if i % 20 < 6
    ]
    write_jsonl(tmp_path / "tofu.jsonl", people)
    project = tmp_path / "p"
    expunge("init", project, "--name", "acme")
    given = ("--data", tmp_path / "tofu.jsonl", "--subject", "author", "--id", "id")
    adopted = expunge("adopt", data / "lm/tinystories-656k", "--name", "people", *given, "-p", project, "--json").json
    assert adopted["trained_on"] == "UNKNOWN"
    assert adopted["units"][0]["records"] is None
    request, at = ask(project, "author-1"), ("-p", project)
    plans = plans_of(expunge("plan", request, *at, "--json"))
    assert [p["route"] for p in plans] == ["edit"]
    assert plans[0]["cost"] is None
    expunge("forget", request, "--route", "edit", "--method", "npo", "--lr", "1e-6", "--steps", "3", *at)
    audit = audited(expunge("verify", request, "--battery", "quick", *at, "--json", code=3))
    assert audit["flags"] == ["INCONCLUSIVE"]
    _, predicate = _finish(project, request, "people")
    assert predicate["assurance"] == "CLAIMED"
    assert predicate["flags"] == ["INCONCLUSIVE", "EXCEPTIONS"]
    assert predicate["replay"] is None
    assert {"training recipe", "training data"} <= set(predicate["unknown"])
    assert predicate["actions"][0]["trainedOn"] == "UNKNOWN"
    assert predicate["actions"][0]["guarantee"] == "EMPIRICAL"
    assert predicate["delivery"]["unreachable"]  # where it came from still has it


@pytest.fixture(scope="module")
def adapter(once: Any, base: Path) -> Path:
    """A LoRA folder, trained elsewhere."""

    def build(folder: Path) -> None:
        from peft import LoraConfig, get_peft_model
        from tests.e2e.conftest import learn

        from expunge.core import Record
        from expunge.engine import load_model, load_tokenizer

        config = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
        model = get_peft_model(load_model(base), config)
        frozen = [n for n, p in model.named_parameters() if not p.requires_grad]
        rows = [Record(r["id"], r["person"], r["question"], r["answer"]) for r in rows_of(NAMES) if r["question"]]
        learn(model, load_tokenizer(base), rows, epochs=2)
        assert frozen
        model.save_pretrained(folder)

    return Path(once("adapter", build))


@pytest.fixture(scope="module")
def with_adapter(once: Any, base: Path, adapter: Path, inputs: Path) -> Path:
    """A project with an adopted LoRA; copy it before changing it."""

    def build(folder: Path) -> None:
        project = folder / "p"
        expunge("init", project, "--name", "acme")
        given = ("--data", inputs / "people.jsonl", "--subject", "person", "--id", "id", "--value", "value")
        expunge("adopt", base, "--adapter", adapter, "--name", "people", *given, "-p", project)
        (folder / "request").write_text(ask(project, LEAVES))

    return Path(once("with-adapter", build))


def test_an_adapter_is_offered_drop_and_retrain_before_edit(with_adapter: Path) -> None:
    project, request = with_adapter / "p", (with_adapter / "request").read_text()
    plans = plans_of(expunge("plan", request, "-p", project, "--json"))
    assert [p["route"] for p in plans] == ["drop", "retrain", "edit"]
    refused(expunge("forget", request, "-p", project, code=None), "--route", "drop, retrain, edit")


def test_dropping_reaches_a_certificate(with_adapter: Path, base: Path, copy: Any) -> None:
    project, request = copy(with_adapter / "p"), (with_adapter / "request").read_text()
    expunge("forget", request, "--route", "drop", "-p", project)
    expunge("verify", request, "--battery", "quick", "-p", project, code=None)
    _, predicate = _finish(project, request, "people")
    assert predicate["actions"][0]["route"] == "drop"
    assert any("not verified" in a for a in predicate["actions"][0]["promise"]["assumptions"])
    assert predicate["unknown"]
    assert not list(project.rglob("adapter_model.safetensors"))
    weights = (base / "model.safetensors").read_bytes()
    assert [p.read_bytes() == weights for p in project.rglob("model.safetensors")] == [True]


def test_a_replay_that_was_stopped_goes_on_where_it_was(with_adapter: Path, copy: Any) -> None:
    from expunge.workflow.project.events import last_event
    from expunge.workflow.project.project import Project
    from expunge.workflow.shapes.shape import shape

    project, request = copy(with_adapter / "p"), (with_adapter / "request").read_text()
    expunge("forget", request, "--route", "retrain", "-p", project)
    opened = Project.open(project)
    done = last_event(opened, request, "forgotten")
    after = opened.ledger.model_version(done["model"], done["after"])
    told: list[int] = []

    def stop(_what: str, done: int, _total: int) -> None:
        if done == 60:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shape(after).replay(opened, after, request, ["shard-000"], stop)
    assert any((opened.work(request, "people") / "replay").iterdir())
    assert shape(after).replay(opened, after, request, ["shard-000"], lambda _what, done, _total: told.append(done))
    assert told[0] > 50  # not from the beginning
    assert not (opened.work(request, "people") / "replay").exists()


def test_retraining_the_adapter_reaches_a_certificate(
    with_adapter: Path, adapter: Path, copy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, request = copy(with_adapter / "p"), (with_adapter / "request").read_text()
    expunge("forget", request, "--route", "retrain", "-p", project)
    found = expunge("verify", request, "--battery", "quick", "-p", project, "--json", code=None)
    assert audited(found)["replay"] is True
    _, predicate = _finish(project, request, "people")
    assert predicate["actions"][0]["route"] == "retrain"
    assert predicate["actions"][0]["promise"]["scope"] == "the adapter alone"
    old = (adapter / "adapter_model.safetensors").read_bytes()
    assert all(p.read_bytes() != old for p in project.rglob("*.safetensors"))
    texts = [p for p in project.rglob("*") if p.is_file() and LEAVES.encode() in p.read_bytes()]
    assert texts == []


def test_a_pickle_beside_good_weights_is_not_taken_in(base: Path, tmp_path: Path) -> None:
    """It would lie in the project and be delivered, though nothing reads it."""
    model = Path(shutil.copytree(base, tmp_path / "model"))
    (model / "optimizer.pt").write_bytes(b"\x80\x04.")
    project = tmp_path / "p"
    expunge("init", project)
    expunge("adopt", model, "--name", "m", "-p", project, code=None)
    assert not list((project / "models").rglob("*.pt")) if (project / "models").exists() else True


def test_other_models_that_may_know_the_person_are_named(with_adapter: Path, base: Path, copy: Any) -> None:
    project, request = copy(with_adapter / "p"), (with_adapter / "request").read_text()
    expunge("adopt", base, "--name", "other", "-p", project)
    refused(expunge("forget", request, "--route", "drop", "-p", project, code=None), "not possible for 'other'", "edit")
    expunge("decide", request, "model:other", "refused", "--reason", "it was made before", "-p", project)
    refused(expunge("forget", request, "--target", "other", "--route", "edit", "-p", project, code=None), "refused")
    expunge("forget", request, "--route", "drop", "-p", project)
    expunge("verify", request, "--battery", "quick", "-p", project, code=None)
    expunge("deliver", request, "--released", "none", "-p", project)
    predicate = _predicate(expunge("certify", request, "--json", "-p", project, code=3).json["certificate"])
    assert "EXCEPTIONS" in predicate["flags"]
    assert "model:other is refused: it was made before" in predicate["mayBeSaid"]
