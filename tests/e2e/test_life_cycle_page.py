"""The commands of docs/life-cycle.md, typed one after another, do what the page says."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import expunge, refused, write_jsonl
from tests.e2e.test_requests_page import rows_of
from tests.workflow.steps.conftest import RECIPE

from expunge.ledger import DenialReason, Regulation

PAGE = Path(__file__).parents[2] / "docs" / "life-cycle.md"


def blocks(language: str = "") -> list[str]:
    return [
        text for found, text in re.findall(r"^```(\w*)\n(.*?)^```", PAGE.read_text(), re.M | re.S) if found == language
    ]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_jsonl(tmp_path / "people.jsonl", rows_of([f"Person {k}" for k in range(8)]))
    (tmp_path / "leaving.txt").write_text("Person 3\n")
    (tmp_path / "recipe.py").write_text(RECIPE)
    expunge("init", str(tmp_path / "shop"))
    monkeypatch.chdir(tmp_path / "shop")
    columns = ["--subject", "who", "--id", "id", "--features", "a,b", "--answer", "leaves"]
    expunge("data", "add", "../people.jsonl", "--name", "people", *columns)
    expunge("train", "../recipe.py:churn")
    return tmp_path / "shop"


def typed(block: str, request: str = "") -> list[Any]:
    """What each command of a block said."""
    lines = [shlex.split(line.replace("req-0123456789", request)) for line in block.strip().splitlines()]
    return [expunge(*words[1:], "--json").json for words in lines]


def asked(shop: Path) -> str:
    return str(expunge("request", "--subjects-file", "../leaving.txt", "--json").json["request"])


def test_the_life_of_a_request_as_the_page_tells_it(shop: Path) -> None:
    identity, approve, hold, carry, _ = blocks()
    first, *rest = identity.strip().splitlines()
    (made,) = typed(first)
    request = made["request"]
    assert (made["state"], set(made)) == ("identity_pending", {"request", "state", "lines", "due_at"})
    refused(expunge("plan", request, code=2), "waits for who asks to be identified")
    status, verified = typed("\n".join(rest), request)
    assert status["requests"][0]["people"] == "–"
    assert (verified["state"], verified["n_people"]) == ("received", 1)
    with (shop / "expunge.toml").open("a") as file:
        file.write(f"\n{blocks('toml')[0]}")
    waits = expunge("run", request, "--released", "none", "--json").json
    assert (waits["steps"], "0 of 2 people" in waits["next"]) == ([], True)
    assert [one["needed"] for one in typed(approve, request)] == [2, 2]
    first, second = hold.strip().splitlines()
    typed(first, request)
    refused(expunge("forget", request, code=2), "under a legal hold", "expunge release")
    assert typed(second, request)[0]["state"] == "received"
    ran, status = typed(carry, request)
    assert ran["state"] == "completed"
    assert any("point of no return" in one for one in status["standing"])
    assert any("legal hold ended" in one for one in status["standing"])


def test_denied_and_taken_back(shop: Path) -> None:
    deny, cancel = blocks()[-1].strip().splitlines()
    denied = asked(shop)
    assert typed(deny, denied)[0]["state"] == "denied"
    refused(expunge("certify", denied, code=2), "has ended: denied")
    expunge("report", denied)
    page = next((shop / "evidence" / denied).glob("*.html")).read_text()
    assert "Denied at" in page
    assert "supervisory authority" in page
    assert typed(cancel, asked(shop))[0]["state"] == "cancelled"


def test_who_cannot_be_identified_is_denied(shop: Path) -> None:
    request = typed(blocks()[0].splitlines()[0])[0]["request"]
    expunge("identity", request, "failed", "--method", "no answer to the code")
    assert expunge("status", request, "--json").json["requests"][0]["state"] == "denied"
    refused(expunge("identity", request, "maybe", "--method", "guess", code=2), "neither 'verified' nor 'failed'")
    refused(expunge("deny", request, "--reason", "because", code=2), "suspected_fraud")


def test_the_page_names_every_reason_with_its_articles() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+ \| [^|]+) \|$", PAGE.read_text().partition("| reason |")[2], re.M))
    for reason in DenialReason:
        gdpr, ccpa = (reason.article(law) or "what `--note` says" for law in (Regulation.GDPR, Regulation.CCPA))
        assert rows.pop(reason.value) == f"{gdpr} | {ccpa}"
    assert rows == {}
