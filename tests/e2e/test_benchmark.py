"""`expunge benchmark` from model folders to numbers and a page."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import expunge

from expunge.engine import save_model
from expunge.synthetic import people, records
from expunge.testing.toys import toy_llama


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, llama: Any, tokenizer: Any) -> Path:
    folder = tmp_path_factory.mktemp("benchmark")
    save_model(llama, tokenizer, folder / "model")
    save_model(toy_llama(len(tokenizer), hidden=32, layers=3, seed=1), tokenizer, folder / "retrained")
    rows = records(people(2), [0])[:6]
    tables = {
        "verbmem/forget": [{"prompt": r.question, "gt": r.answer} for r in rows],
        **{
            f"knowmem/{side}_qa": [{"question": r.question, "answer": r.answer} for r in rows]
            for side in ("forget", "retain")
        },
        **{f"privleak/{side}": [{"text": f"{r.answer} {side}"} for r in rows] for side in ("forget", "holdout")},
    }
    for name, table in tables.items():
        path = folder / "data" / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in table))
    return folder


def test_numbers_and_a_page_without_any_text_of_the_data(place: Path) -> None:
    out, page = place / "out.json", place / "page.html"
    at = ("benchmark", "muse", place / "model", "--data", place / "data", "--plain")
    ran = expunge(*at, "--retrained", place / "retrained", "--out", out, "--page", page, "--json")
    assert ran.json == json.loads(out.read_text())
    assert {m["name"] for m in ran.json["measures"]} == {
        "verbmem",
        "knowmem_forget",
        "knowmem_retain",
        "auc",
        "privleak",
    }
    assert sum(m["difference"] is not None for m in ran.json["measures"]) == 4
    question = records(people(2), [0])[0].question
    assert question not in out.read_text()
    assert question not in page.read_text()
    assert "Benchmark: MUSE" in page.read_text()
    assert re.search(r"verbmem", ran.err)


def test_without_a_retrained_model_it_ends_inconclusive(place: Path) -> None:
    ran = expunge("benchmark", "muse", place / "model", "--data", place / "data", "--plain", code=3)
    assert "no retrained model was given" in " ".join(ran.err.split())


def test_a_model_beside_itself_ends_inconclusive(place: Path) -> None:
    at = ("benchmark", "muse", place / "model", "--data", place / "data", "--plain")
    ran = expunge(*at, "--retrained", place / "model", "--json", code=3)
    assert [m["difference"]["value"] for m in ran.json["measures"] if m["difference"]] == [0.0] * 4
    assert "compared with itself" in " ".join(ran.err.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("muze",), "did you mean 'muse'?"),
        (("muse",), "muse needs data"),
        (("rwku", "--tasks", "mmlu"), "rwku has no setting 'tasks'"),
        (("harness", "--data", "."), "bring their own data"),
        (("muse", "--revision", "abc"), "--revision pins a data set"),
        (("muse", "--data", "./nowhere"), "no folder at"),
    ],
)
def test_what_is_wrong_is_said(place: Path, arguments: tuple[str, ...], said: str) -> None:
    name, *rest = arguments
    ran = expunge("benchmark", name, place / "model", *rest, code=2)
    assert said in " ".join(ran.err.split())


def test_help_ends_with_a_command_to_try() -> None:
    said = expunge("benchmark", "--help").out
    assert len([line for line in said.splitlines() if line.strip().startswith("Try:")]) == 1
