"""A CSV whose rows are about several people, from `data add` to a checked certificate: one leaves, and the rows leave for all."""

from pathlib import Path

from tests.e2e.conftest import audited, expunge, refused
from tests.workflow.steps.conftest import RECIPE

LINES = [
    f"r{k},{who},{(3 * k) % 7},{(2 * k) % 5},{'yes' if k % 3 else 'no'}"
    for k in range(40)
    for who in [f"Person {k % 8}" + (f"; Person {(k + 1) % 8}" if k % 3 == 0 else "")]
]


def test_rows_about_two_people(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("\n".join(["id,who,a,b,leaves", *LINES]))
    (tmp_path / "recipe.py").write_text(RECIPE)
    project = tmp_path / "p"
    expunge("init", project)
    add = ("data", "add", tmp_path / "people.csv", "--subject", "who", "--id", "id", "--features", "a,b")
    add = (*add, "--answer", "leaves", "--project", project)
    added = expunge(*add, "--subjects-separator", ";", "--json").json
    assert (added["records"], added["subjects"]) == (40, 8)
    refused(expunge(*add, code=None), "with --subjects-separator ;, not left out")
    expunge("train", f"{tmp_path / 'recipe.py'}:churn", "--project", project)
    asked = expunge("request", "--project", project, "--json", stdin="Person 1\n").json
    where = (asked["request"], "--project", project)
    targets = {one["target"]: one for one in expunge("plan", *where, "--json").json["targets"]}
    theirs = [line for line in LINES if "Person 1," in line or "Person 1;" in line]
    shared = [line for line in theirs if ";" in line]
    assert (len(theirs), len(shared)) == (7, 4)
    assert targets["dataset:people"]["holds"] == "7 records, 4 of them about other people too, which leave for all"
    assert targets["model:churn"]["plans"][0]["n_removed"] == 7
    expunge("forget", *where)
    assert audited(expunge("verify", *where, "--json"))["assurance"] == "EXACT"
    ended = expunge("deliver", *where, "--released", "none", "--json").json
    assert (ended["n_records"], ended["n_subjects"]) == (7, 1)
    done = expunge("certify", *where, "--json").json
    expunge("check", done["certificate"], "--trust", project / "signer.pub.pem", "--log-key", project / "log.vkey")
    stays = expunge("request", "--project", project, "--json", stdin="Person 0\n").json
    assert stays["n_people"] == 1
    left = {
        one["target"]: one["n_records"]
        for one in expunge("plan", stays["request"], "-p", project, "--json").json["targets"]
    }
    assert left == {"dataset:people": 5, "model:churn": 5}  # of their 7 rows two were Person 1's too
