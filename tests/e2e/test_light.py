"""Commands that only record, plan, deliver or check import neither torch nor what fits models."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.e2e.conftest import Asked, expunge, write_jsonl

HEAVY = ("torch", "transformers", "peft", "sklearn", "scipy", "numba")
RUN = f"""
import sys
from expunge.cli import main
try:
    main()
except SystemExit as e:
    assert not e.code, e.code
print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)
"""
RECIPE = """import expunge
from expunge.exact import MultinomialNB


def recipe():
    return expunge.Training(model="churn", dataset="people", learner=MultinomialNB())
"""


def _imported(*arguments: str | Path, stdin: str = "") -> list[str]:
    """What a command imported of what is heavy."""
    command = [sys.executable, "-c", RUN, *map(str, arguments)]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stderr.strip().splitlines()[-1].replace("'", '"')))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a trained table."""
    folder = tmp_path_factory.mktemp("table")
    rows = [
        {"id": f"r{i}", "who": f"Person {i % 12}", "a": i % 7, "b": i % 5, "leaves": "yes" if i % 3 else "no"}
        for i in range(60)
    ]
    write_jsonl(folder / "people.jsonl", rows)
    (folder / "recipe.py").write_text(RECIPE)
    at = ("--project", folder / "p")
    named = ("--subject", "who", "--id", "id", "--features", "a,b", "--answer", "leaves")
    assert _imported("init", folder / "p") == []
    assert _imported("data", "add", folder / "people.jsonl", *named, *at) == []
    expunge("train", f"{folder / 'recipe.py'}:recipe", *at)
    return folder / "p"


def test_a_request_on_a_table(table: Path) -> None:
    at = ("--project", table)
    ask = ("request", "--dataset", "people", "--subjects-file", "-")
    assert _imported(*ask, *at, stdin="Person 4") == []
    request = str(expunge(*ask, *at, "--json", stdin="Person 3").json["request"])
    assert _imported("plan", request, *at) == []
    expunge("forget", request, *at)
    expunge("verify", request, *at, code=None)
    assert _imported("deliver", request, "--released", "none", *at) == []
    assert _imported("certify", request, *at) == []
    assert _imported("report", request, *at) == []
    certificate = expunge("certify", request, *at, "--json").json["certificate"]
    assert _imported("check", certificate, "--trust", table / "signer.pub.pem", "--log-key", table / "log.vkey") == []


MIXED = """import expunge
from expunge.exact import Sisa
from sklearn.ensemble import HistGradientBoostingClassifier


def recipe():
    return expunge.Training(model="churn", dataset="people", learner=Sisa(HistGradientBoostingClassifier(), shards=2))
"""


def test_a_table_of_every_kind(tmp_path: Path) -> None:
    """Data and requests need none of what fits models, and the plan of an estimator in units no torch."""
    rows = [
        {
            "who": f"Person {i % 12}",
            "a": i / 7,
            "plan": ["full", "basic"][i % 2],
            "member": i % 5 == 0,
            "left": i % 3 > 0,
        }
        | {"joined": f"2024-02-{1 + i % 28:02d}"}
        for i in range(60)
    ]
    write_jsonl(tmp_path / "people.jsonl", rows)
    (tmp_path / "recipe.py").write_text(MIXED)
    at = ("--project", tmp_path / "p")
    named = ("--subject", "who", "--features", "a,plan:category,member", "--answer", "left")
    assert _imported("init", tmp_path / "p") == []
    assert _imported("data", "add", tmp_path / "people.jsonl", *named, *at) == []
    dated = ("--subject", "who", "--name", "dated", "--features", "a,plan,member,joined", "--answer", "left")
    assert _imported("data", "add", tmp_path / "people.jsonl", *dated, *at) == []
    assert "torch" not in _imported("train", f"{tmp_path / 'recipe.py'}:recipe", *at)
    assert _imported("request", "--dataset", "people", *at, stdin="Person 4") == []
    request = str(expunge("request", "--dataset", "people", *at, "--json", stdin="Person 3").json["request"])
    assert "torch" not in _imported("plan", request, *at)


def test_a_plan_on_adapter_shards(asked: Asked) -> None:
    assert _imported("plan", asked.request, "--project", asked.folder) == []


def test_help() -> None:
    assert _imported("--help") == []
