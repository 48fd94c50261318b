"""Procedure and person: canaries go the way of a request, and what they show is true of the way."""

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import LEAVES, NAMES, STAYS, ask, audited, expunge, learn, refused, rows_of, write_jsonl

from expunge.workflow.project.project import Project
from expunge.workflow.steps import procedure as procedure_module
from expunge.workflow.steps.procedure import cheap
from expunge.workflow.steps.verify import REPLAYED, verify_request

ADD = ("--subject", "person", "--id", "id", "--value", "value")


def _people(folder: Path) -> Path:
    """One person of whom a single fact is known, who therefore decides nothing, and four others, in a file of the project."""
    rows = [r for who in NAMES for r in rows_of([who], 1 if who == LEAVES else 6) if r["question"]]
    return write_jsonl(folder / "people.jsonl", rows)


@pytest.fixture(scope="module")
def edited(once: Any, base: Path) -> Path:
    """A model of one block that learned from people and canaries, adopted; a request, edited by refusal."""

    def build(folder: Path) -> None:
        from expunge.engine import load_model, load_tokenizer, save_model

        project = folder / "p"
        expunge("init", project, "--name", "acme")
        added = expunge("data", "add", _people(project), *ADD, "--canary-facts", "100", "-p", project, "--json").json
        assert added["canaries"] == {"people": 5, "records": 200, "facts": 100}
        model, tokenizer = load_model(base), load_tokenizer(base)
        learn(model, tokenizer, Project.open(project).ledger.live_records("people"), epochs=30, lr=5e-3)
        save_model(model, tokenizer, folder / "model")
        expunge("adopt", folder / "model", "--name", "m", "--dataset", "people", "-p", project)
        (folder / "request").write_text(ask(project, LEAVES))
        edit = ("--route", "edit", "--method", "refusal", "--steps", "40")
        expunge("forget", (folder / "request").read_text(), *edit, "-p", project)

    return Path(once("edited-with-canaries", build))


@pytest.fixture(scope="module")
def verified(tmp_path_factory: pytest.TempPathFactory, edited: Path) -> tuple[Path, str, dict[str, Any]]:
    project, request = tmp_path_factory.mktemp("verified") / "p", (edited / "request").read_text()
    shutil.copytree(edited / "p", project)
    return project, request, audited(expunge("verify", request, "--battery", "quick", "-p", project, "--json", code=1))


def test_canaries_show_what_one_person_is_too_few_for(verified: tuple[Path, str, dict[str, Any]]) -> None:
    _, _, audit = verified
    assert {f["outcome"] for f in audit["findings"]} <= {"INCONCLUSIVE", "NO_CONTRAST"}
    assert (audit["power"]["n_facts"], audit["power"]["n_people"]) == (1, 1)
    assert audit["flags"] == ["HIDDEN"]
    assert audit["assurance"] in ("CLAIMED", "SUPPRESSED")
    procedure = audit["procedure"]
    assert procedure["flags"] == ["HIDDEN"]
    assert (procedure["n_facts"], procedure["n_people"]) == (100, 5)


def test_nothing_of_the_trial_is_kept_but_its_scores(verified: tuple[Path, str, dict[str, Any]]) -> None:
    project, request, _ = verified
    opened = Project.open(project)
    assert len(opened.ledger.model_versions("m")) == 2  # the old one, and the one without the person
    assert not (opened.work(request, "m") / "procedure").exists()
    planted = opened.ledger.planted("people")
    assert planted is not None
    assert planted.subjects <= {r.subject for r in opened.ledger.live_records("people")}  # nobody was buried
    (kept,) = (project / "procedures").iterdir()
    assert kept.stat().st_mode & 0o077 == 0
    arms = json.loads(kept.read_text())
    assert arms["control"]["kind"] == "placebo"
    assert _named_in(kept, planted.subjects) == []


def test_a_second_time_nothing_is_attacked(
    verified: tuple[Path, str, dict[str, Any]], copy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, request, first = verified
    again, at = copy(project), ("--battery", "quick", "--json")
    shutil.rmtree(again / "work" / request / "m" / "scores")

    def fails(*_: Any) -> None:
        raise AssertionError("the procedure was attacked again")

    monkeypatch.setattr(procedure_module, "_attack", fails)
    assert audited(expunge("verify", request, *at, "-p", again, code=1))["procedure"] == first["procedure"]
    with pytest.raises(AssertionError, match="unexpected AssertionError"):  # another battery is another question
        expunge("verify", request, "--battery", "short", "-p", again)


def test_the_certificate_says_whose_level_it_is_and_names_nobody(
    verified: tuple[Path, str, dict[str, Any]], copy: Any
) -> None:
    project, request, audit = verified
    project = copy(project)
    at = ("-p", project)
    blocked = expunge("deliver", request, *at, "--released", "none", code=1)
    assert "--override HIDDEN" in " ".join(blocked.err.split())
    expunge("deliver", request, "--released", "none", "--override", "HIDDEN", *at)
    done = expunge("certify", request, *at, "--json", code=None).json
    predicate = _predicate(done["certificate"])
    assert predicate["assurance"] == audit["assurance"]
    assert predicate["assuranceOf"] == "the procedure, on canary people"
    assert predicate["flags"] == ["HIDDEN", "EXCEPTIONS"]  # where the model came from still has it
    (verification,) = predicate["verification"]
    summary = ("assurance", "flags", "n_facts", "n_people")
    assert verification["procedure"] == {k: audit["procedure"][k] for k in summary}
    assert verification["commitment"] == audit["commitment"]
    assert verification["control"] == audit["control"]
    assert verification["power"]["n_facts"] == 1
    assert {f["outcome"] for f in verification["findings"]} <= {"INCONCLUSIVE", "NO_CONTRAST"}  # the person's own
    planted = Project.open(project).ledger.planted("people")
    assert planted is not None
    for path in (project / "evidence" / request).iterdir():
        assert _named_in(path, planted.subjects | {LEAVES}) == []
    assert not any((project / "work").iterdir())


def test_a_model_trained_without_the_canaries_has_no_procedure_and_says_so(
    edited: Path, base: Path, tmp_path: Path
) -> None:
    project = tmp_path / "p"
    expunge("init", project, "--name", "acme")
    expunge("data", "add", _people(project), *ADD, "--canary-facts", "100", "-p", project)
    expunge("adopt", base, "--name", "m", "--dataset", "people", "-p", project)
    request, at = ask(project, STAYS[0]), ("-p", project)
    expunge("forget", request, "--route", "edit", "--method", "npo", "--steps", "2", *at)
    audit = audited(expunge("verify", request, "--battery", "quick", *at, "--json", code=None))
    assert audit["procedure"] is None
    (note,) = [n for n in audit["notes"] if "procedure" in n]
    assert "trained without the canaries" in note
    expunge("deliver", request, *at, "--released", "none")
    predicate = _predicate(expunge("certify", request, *at, "--json", code=None).json["certificate"])
    assert predicate["verification"][0]["procedure"] is None
    assert predicate["verification"][0]["notes"] == audit["notes"]
    assert predicate["assuranceOf"] == "these people"


def test_a_procedure_that_went_another_way_is_refused(edited: Path, copy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The method's defaults changed between the request and its audit."""
    from expunge.approximate.refusal import Refusal

    monkeypatch.setattr(Refusal, "__repr__", lambda self: "Refusal(answer='Ask somebody else.')")
    project, request = copy(edited / "p"), (edited / "request").read_text()
    audit = audited(expunge("verify", request, "--battery", "quick", "-p", project, "--json", code=None))
    assert audit["procedure"] is None
    assert any("another method" in note for note in audit["notes"])


RECIPE = """from expunge import Training
from expunge.exact import AdapterShards


def recipe():
    learner = AdapterShards({base!r}, shards=2, rank=32, epochs={epochs}, batch_size=8, lr=5e-3)
    return Training(model="m", dataset="people", learner=learner)
"""


def _with_shards(folder: Path, base: Path, epochs: int, rows: list[dict[str, Any]] | None = None) -> tuple[Path, str]:
    project = folder / "p"
    expunge("init", project, "--name", "acme")
    file = write_jsonl(project / "people.jsonl", rows) if rows else _people(project)
    expunge("data", "add", file, *ADD, "--canary-facts", "100", "-p", project)
    (folder / "recipe.py").write_text(RECIPE.format(base=str(base), epochs=epochs))
    expunge("train", f"{folder / 'recipe.py'}:recipe", "-p", project)
    request = ask(project, LEAVES)
    expunge("forget", request, "-p", project)
    return project, request


def test_an_exact_route_stays_exact_and_canaries_are_its_cross_check(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from expunge.workflow.shapes import adapter_shards

    project, request = _with_shards(tmp_path, base, epochs=1)
    opened = Project.open(project)
    found = verify_request(opened, request, _quiet, battery="quick", procedure=True)["m"]
    assert (found.assurance.name, found.replay) == ("EXACT", True)
    procedure = found.to_json()["procedure"]
    assert (procedure["n_facts"], procedure["n_people"]) == (100, 5)
    assert procedure["flags"] == ["INCONCLUSIVE"]  # a pass over the data teaches nothing that could be forgotten
    kept = json.loads(next((project / "procedures").iterdir()).read_text())
    assert kept["control"]["kind"] == "model"
    assert len({arm["digest"] for arm in kept.values()}) == 3
    monkeypatch.setattr(adapter_shards, "replay", lambda *_: True)  # seen to match above
    unasked = verify_request(opened, request, _quiet, battery="quick")["m"]
    assert (unasked.assurance.name, unasked.procedure) == ("EXACT", None)
    replayed, skill = _audit(project, request)["notes"]
    assert replayed == REPLAYED
    assert "answered as users ask them" in skill


@pytest.mark.slow
def test_a_rebuild_that_forgets_is_shown_on_canaries_without_a_replay(tmp_path: Path) -> None:
    """The twin of the test above, on a base that knows the language and with adapters that know their people."""
    from expunge.engine import save_model
    from expunge.synthetic import people, records
    from expunge.testing.toys import toy_llama, toy_tokenizer

    public = records(people(30, seed=31), (0, 1))
    tokenizer = toy_tokenizer([f"{r.question} {r.answer}" for r in public], 600)
    model = toy_llama(len(tokenizer), hidden=64, layers=2)
    learn(model, tokenizer, public, epochs=15)
    save_model(model, tokenizer, tmp_path / "base")
    private = [p for p in people(13, seed=31, skip=500) if p.name not in STAYS]  # LEAVES is the first
    rows = [{"id": r.id, "person": r.subject, **vars(r)} for r in records(private)]
    project, request = _with_shards(tmp_path, tmp_path / "base", epochs=30, rows=rows)
    found = verify_request(Project.open(project), request, _quiet, battery="quick", replay=False)["m"]
    procedure = found.to_json()["procedure"]
    assert not {"RETAINED", "HIDDEN", "PARTIAL", "DAMAGED"} & set(procedure["flags"])
    assert found.assurance.name != "EXACT"  # nobody replayed it
    scores = json.loads(next((project / "procedures").iterdir()).read_text())
    recall = {name: sum(arm["scores"]["direct"]["greedy"]) / 100 for name, arm in scores.items()}
    assert recall["original"] > 0.8
    assert recall["unlearned"] < 0.2
    assert recall["control"] < 0.2


def test_only_what_costs_less_than_a_full_retraining_is_done_unasked() -> None:
    routes = {route: cheap({"route": route}) for route in ("edit", "drop", "rebuild", "retrain", "subtract")}
    assert routes == {"edit": True, "drop": True, "rebuild": True, "retrain": False, "subtract": False}


def test_tables_have_no_canaries(tmp_path: Path) -> None:
    expunge("init", tmp_path / "p")
    rows = [{"id": str(i), "who": f"u{i}", "age": i, "leaves": "yes"} for i in range(4)]
    file = write_jsonl(tmp_path / "people.jsonl", rows)
    add = ("data", "add", file, "--subject", "who", "--features", "age", "--answer", "leaves", "-p", tmp_path / "p")
    refused(expunge(*add, "--canaries", code=None), "table", "--canaries")
    expunge(*add)


def _quiet(_what: str, _done: int, _total: int) -> None:
    pass


def _audit(project: Path, request: str) -> Any:
    return json.loads((project / "evidence" / request / "audit-m.json").read_text())


def _predicate(certificate: str) -> Any:
    return json.loads(base64.b64decode(json.loads(Path(certificate).read_text())["payload"]))["predicate"]


def _named_in(path: Path, names: set[str]) -> list[str]:
    """Names that a file holds, also inside of a signed payload."""
    text = path.read_text()
    if path.name.endswith(".intoto.json"):
        text += base64.b64decode(json.loads(text)["payload"]).decode()
    return [name for name in names if name in text]
