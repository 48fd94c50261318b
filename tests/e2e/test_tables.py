"""A model on a table, from the first command to the checked certificate: equal to a fit without the person."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import audited, expunge, refused

RECIPE = """import expunge
import numpy as np
from expunge.exact import Forest, LogisticRegression, MultinomialNB, Sisa
from sklearn.linear_model import SGDClassifier


def recipe():
    return expunge.Training(model="churn", dataset="people", learner=MultinomialNB())


def with_rows():
    def rows(records):
        return np.array([[len(r.answer), 1.0] for r in records]), [r.answer for r in records]

    return expunge.Training(model="other", dataset="people", learner=MultinomialNB(), rows=rows)


def forest():
    return expunge.Training(model="trees", dataset="people", learner=Forest(trees=4, depth=3))


def logistic():
    return expunge.Training(model="line", dataset="people", learner=LogisticRegression())


def sisa():
    learner = Sisa(SGDClassifier(loss="log_loss"), shards=3, slices=2, epochs=24, workers=1)
    return expunge.Training(model="shards", dataset="people", learner=learner)


def blind():
    return expunge.Training(model="blind", dataset="people", learner=MultinomialNB(), rows=lambda records: ([[1]], [0]))
"""
ROWS = [  # those who leave have the larger `a`: any learner finds that, so that no skill is lost by chance
    {"id": f"r{i}", "who": f"Person {i % 12}", "a": 6 * leaves + i % 4, "b": 6 * (not leaves) + i % 3}
    | {"leaves": "yes" if leaves else "no"}
    for i in range(60)
    for leaves in [i % 3 > 0]
]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "people.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (tmp_path / "recipe.py").write_text(RECIPE)
    expunge("init", tmp_path / "p")
    named = ("--subject", "who", "--id", "id", "--features", "a,b", "--answer", "leaves")
    expunge("data", "add", tmp_path / "people.jsonl", *named, "--project", tmp_path / "p")
    return tmp_path / "p"


def ask(project: Path, recipe: str, name: str) -> str:
    expunge("train", f"{project.parent / 'recipe.py'}:{recipe}", "--project", project)
    made = expunge("request", "--dataset", "people", "--subjects-file", "-", "--project", project, "--json", stdin=name)
    return str(made.json["request"])


ROUTES = {
    "recipe": "subtract",
    "with_rows": "subtract",
    "forest": "subtract",
    "logistic": "subtract",
    "sisa": "rebuild",
}


@pytest.mark.parametrize("recipe", ROUTES)
def test_a_person_leaves_a_table(project: Path, recipe: str) -> None:
    request = ask(project, recipe, "Person 3")
    where = (request, "--project", project)
    plan = expunge("plan", *where, "--json").json
    assert ROUTES[recipe] in json.dumps(plan)
    expunge("forget", *where)
    said = expunge("verify", *where, "--json")
    audit: dict[str, Any] = audited(said)
    assert "EXACT" in json.dumps(audit)
    assert (audit["battery"]["name"], audit["control"]["kind"]) == ("classifier", "retrained")
    asked = {f["attack"]: f["arms"] for f in audit["findings"]}
    assert set(asked["direct"]) == {"original", "unlearned", "control"}
    assert len(asked["direct"]["unlearned"]["per_fact"]) == len([row for row in ROWS if row["who"] == "Person 3"])
    expunge("deliver", *where, "--released", "none")
    done = expunge("certify", *where, "--json").json
    expunge("check", done["certificate"], "--trust", project / "signer.pub.pem", "--log-key", project / "log.vkey")
    held = b"".join(p.read_bytes() for p in (project / "models").rglob("*") if p.is_file())
    assert b"Person" not in held
    assert "Person 3" not in (project / "evidence" / request / "report.html").read_text()


def test_a_replay_needs_the_recipe_as_it_was(project: Path) -> None:
    request = ask(project, "recipe", "Person 3")
    expunge("forget", request, "--project", project)
    file = project.parent / "recipe.py"
    file.write_text(file.read_text() + "\n# edited\n")
    refused(expunge("verify", request, "--project", project, code=None), "recipe.py", "restore")
    audit = audited(expunge("verify", request, "--no-replay", "--project", project, "--json", code=3))
    assert audit["assurance"] == "CLAIMED"
    assert all(f["arms"] == {} for f in audit["findings"])  # without the recipe nobody can fit a control


def test_rows_that_are_not_one_per_record_are_refused(project: Path) -> None:
    refused(expunge("train", f"{project.parent / 'recipe.py'}:blind", "--project", project, code=None), "60")
