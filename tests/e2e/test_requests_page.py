"""The commands of docs/requests.md, typed one after another, do what the page says."""

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import expunge, refused, write_jsonl
from tests.e2e.pages import Typist, blocks
from tests.workflow.steps.conftest import RECIPE

PAGE = "requests.md"


def rows_of(who: list[str], each: int = 6) -> list[dict[str, Any]]:
    return [
        {
            "id": f"{name}/{k}",
            "who": name,
            "a": (n + 3 * k) % 7,
            "b": (2 * n + k) % 5,
            "leaves": "yes" if k % 3 else "no",
        }
        for n, name in enumerate(who)
        for k in range(each)
    ]


@pytest.fixture
def typed(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Types a block of the page; a request is filled in where the page names one."""
    people = [f"Person {k}" for k in range(10)]
    write_jsonl(tmp_path / "people.jsonl", rows_of(people))
    write_jsonl(tmp_path / "orders.jsonl", rows_of(people[3:6], each=2))
    (tmp_path / "leaving.txt").write_text("Person 3\n")
    (tmp_path / "recipe.py").write_text(RECIPE)
    shutil.copytree(base, tmp_path / "tuned")
    monkeypatch.chdir(tmp_path)
    return Typist(monkeypatch)


def test_the_story_of_the_page(typed: Any) -> None:
    make, ask, plan, decide, carry, mend, reopen = blocks(PAGE)
    typed(make)
    assert typed(ask)["request"].json["datasets"] == ["people", "orders"]
    targets = {one["target"]: one for one in typed(plan)["plan"].json["targets"]}
    assert set(targets) == {
        "dataset:people",
        "dataset:orders",
        "model:churn",
        "model:upsell",
        "model:tuned",
        "copy:1",
    }
    assert "made from 'churn'" in targets["model:tuned"]["holds"]
    assert [targets[f"model:{name}"]["plans"][0]["route"] for name in ("churn", "upsell")] == ["subtract", "subtract"]
    typed(decide)
    first = typed(carry, {"run": 3})["run"].json
    assert first["state"] == "in_progress"
    assert "model:tuned is deferred until 2027-01-31: trained again in January" in first["exceptions"]
    mended = typed(mend, {"run": 3})
    assert [one["model"] for one in mended["destroy"].json["targets"]] == ["tuned"]
    assert mended["run"].json["state"] == "completed_with_exceptions"
    assert [one.partition(" is ")[0] for one in mended["run"].json["exceptions"]] == ["copy:1"]
    certificates = sorted(Path("evidence").glob("*/certificate*.json"))
    assert [path.name for path in certificates] == ["certificate-2.intoto.json", "certificate.intoto.json"]
    for path in certificates:
        proof = path.with_name(path.name.replace(".intoto.json", ".tlog-proof"))
        known = ("--trust", "signer.pub.pem", "--log-key", "log.vkey")
        expunge("check", path, *known, "--log", "log", "--proof", proof)
    refused(
        expunge(*shlex.split(reopen[0].replace("req-0123456789", first["request"]))[1:], code=None), "known to hold"
    )
    page = next(Path("evidence").glob("*/report.html")).read_text()
    assert "With exceptions" in page
    assert "copy:1" in page


def test_what_a_page_says_of_restored_parts(typed: Any, tmp_path: Path) -> None:
    typed(blocks(PAGE)[0])
    shutil.copytree("keys", tmp_path / "older")
    typed(blocks(PAGE)[1])
    shutil.rmtree("keys")
    shutil.copytree(tmp_path / "older", "keys")
    refused(expunge("plan", "req-1", code=None), "keys/ are older", "expunge reconcile --restored")
    refused(expunge("reconcile", code=None), "--restored")
    assert json.loads(expunge("reconcile", "--restored", "--json").out)["lost_keys"] == 0
    expunge("request", stdin="Person 4")
