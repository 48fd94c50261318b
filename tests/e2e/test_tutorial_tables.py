"""Tables as people have them, from the file to the checked certificate by the commands of the tutorial's own page."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import audited, expunge, refused, write_jsonl

PAGE = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text("utf-8")
ADULT = (
    "age,workclass,fnlwgt,education,education_num,marital_status,occupation,relationship,race,sex,capital_gain,"
    "capital_loss,hours_per_week,native_country"
)


def blocks(title: str) -> list[str]:
    """The blocks of code under a heading of the tutorial."""
    section = re.split(r"^## ", PAGE.split(f"\n## {title}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    return re.findall(r"^```\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


def commands() -> tuple[list[str], str]:
    """The tutorial's commands about a table, in their order, and its recipe."""
    add, recipe = blocks("A model on a table")
    before = [blocks(title)[-1] for title in ("1. A project, and the data", "2. A model made of units")]
    after = [blocks(f"{n}. {title}")[0] for n, title in enumerate(STEPS, start=3)]
    init, enter, _ = before[0].splitlines()
    check = blocks("9. Check, anywhere")[0].splitlines()[1]
    return [init, enter, add.strip(), before[1].strip(), *map(str.strip, after), check], recipe


STEPS = ("A person asks", "Plan", "Forget", "Verify", "Deliver", "Certify")


def walk(
    folder: Path, data: Path, person: str, monkeypatch: pytest.MonkeyPatch, add: str = "", recipe: str = ""
) -> Any:
    """Type the tutorial's commands, another `data add` or recipe in the place of its own; what `verify` found."""
    monkeypatch.chdir(folder)
    lines, code = commands()
    (folder / data.name).symlink_to(data)
    found: dict[str, Any] = {}
    for line in lines:
        words = shlex.split(line)
        if words[0] == "cd":
            monkeypatch.chdir(folder / words[1])
            Path("recipe.py").write_text(recipe or code)
            Path("leaving.txt").write_text(f"{person}\n")
            continue
        verb, arguments = words[1], words[2:]
        if (verb, arguments[0]) == ("data", "add") and add:
            arguments = shlex.split(add)
        arguments = [{"people": "customers", "req-0123456789": found.get("request")}.get(a, a) for a in arguments]
        if verb == "check":
            arguments[0] = found["certificate"]
        ran = expunge(verb, *arguments, *(["--json"] if verb in ("request", "verify", "certify") else []))
        found |= {verb: audited(ran)} if verb == "verify" else ran.json if verb in ("request", "certify") else {}
    return found["verify"]


def test_telco_churn(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    audit = walk(tmp_path, data / "tabular" / "telco_churn.parquet", "7590-VHVEG", monkeypatch)
    assert (audit["assurance"], audit["control"]["kind"]) == ("EXACT", "retrained")
    held = b"".join(p.read_bytes() for p in Path("models").rglob("*") if p.is_file())
    assert b"7590-VHVEG" not in held
    asked = {f["attack"]: f["arms"] for f in audit["findings"]}
    assert {arm: len(scores["per_fact"]) for arm, scores in asked["direct"].items()} == dict.fromkeys(
        ("original", "unlearned", "control"), 1
    )


def test_adult(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add = f"add ../adult_census.parquet --name customers --subject subject_id --id subject_id --answer income --features {ADULT}"
    recipe = commands()[1].replace("Classifier()", "Classifier(max_iter=20)")  # the same in a third of the time
    audit = walk(tmp_path, data / "tabular" / "adult_census.parquet", "17", monkeypatch, add, recipe)
    assert audit["assurance"] == "EXACT"
    assert {f["attack"] for f in audit["findings"] if f["arms"]} >= {"direct", "probability"}


MIXED = [
    {
        "id": f"r{i}",
        "who": f"Person {i % 30}",
        "plan": ["full", "basic", None][i % 3],
        "city": f"town {i % 4}",
        "member": [True, False, None][i % 3],
        "joined": None if i % 7 == 0 else f"20{10 + i % 12}-0{1 + i % 9}-15",
        "charge": None if i % 5 == 0 else i / 8,
        "left": i % 3 == 0,
    }
    for i in range(120)
]
BY_KIND = """import expunge
from expunge.exact import Sisa
from sklearn.compose import make_column_selector as of, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder


def days(frame):
    return frame.apply(lambda column: column.astype("int64") // 86_400_000_000).to_numpy(float)


def numbers(frame):
    return frame.to_numpy(float, na_value=float("nan"))


by_kind = make_column_transformer(
    (OneHotEncoder(handle_unknown="ignore", sparse_output=False), of(dtype_include=["str", "category"])),
    (FunctionTransformer(days), of(dtype_include="datetime")),
    ("passthrough", of(dtype_include="number")),
    (FunctionTransformer(numbers), of(dtype_include="boolean")),
)


def recipe():
    estimator = make_pipeline(by_kind, HistGradientBoostingClassifier(max_iter=5, min_samples_leaf=5))
    return expunge.Training(model="churn", dataset="customers", learner=Sisa(estimator, shards=2, workers=1))
"""
CATEGORIES = """import expunge
from expunge.exact import Sisa
from sklearn.ensemble import HistGradientBoostingClassifier


def recipe():
    learner = Sisa(HistGradientBoostingClassifier(max_iter=5, min_samples_leaf=5), shards=2, workers=1)
    return expunge.Training(model="churn", dataset="customers", learner=learner)
"""
NAMED = """import expunge
from expunge.exact import GaussianNB


def rows(records):
    X = [[r.features["charge"] or 0, r.features["joined"].year if r.features["joined"] else 0] for r in records]
    return X, [r.answer for r in records]


def recipe():
    return expunge.Training(model="churn", dataset="customers", learner=GaussianNB(), rows=rows)
"""


@pytest.mark.parametrize(
    ("recipe", "features"),
    [
        (BY_KIND, "plan:category,city,member,joined,charge"),
        (CATEGORIES, "plan:full|basic,city:category,member,charge"),
        (NAMED, "city,joined,charge"),
    ],
    ids=["columns by kind", "categories as they are", "rows of named features"],
)
def test_every_kind_of_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: str, features: str) -> None:
    (tmp_path / "made").mkdir()
    file = write_jsonl(tmp_path / "made" / "table.jsonl", MIXED)
    add = f"add ../table.jsonl --name customers --subject who --id id --answer left --features '{features}'"
    audit = walk(tmp_path, file, "Person 3", monkeypatch, add, recipe)
    assert audit["assurance"] == "EXACT"
    assert {f["attack"] for f in audit["findings"] if f["arms"]} >= {"direct", "probability"}


def test_the_kinds_are_said_when_data_is_added(tmp_path: Path) -> None:
    file = write_jsonl(tmp_path / "table.jsonl", MIXED)
    expunge("init", tmp_path / "p")
    named = ("--subject", "who", "--id", "id", "--answer", "left", "-p", tmp_path / "p")
    ran = expunge("data", "add", file, *named, "--features", "plan:full|basic,city,joined", "--json")
    assert ran.json["features"] == [
        {"name": "plan", "kind": "category", "categories": ["full", "basic"]},
        {"name": "city", "kind": "text"},
        {"name": "joined", "kind": "date"},
    ]
    assert "date: joined" in ran.err
    ran = expunge("data", "add", file, *named, "--name", "other", "--features", "plan:full|gold", code=None)
    refused(ran, "table.jsonl, line 2", "column 'plan'", "list of its categories")
    assert "basic" not in ran.err


def test_words_for_a_learner_of_numbers_are_refused_before_anything_is_kept(tmp_path: Path) -> None:
    file = write_jsonl(tmp_path / "table.jsonl", MIXED)
    (tmp_path / "recipe.py").write_text(CATEGORIES)
    expunge("init", tmp_path / "p")
    named = ("--subject", "who", "--id", "id", "--answer", "left", "--name", "customers", "-p", tmp_path / "p")
    expunge("data", "add", file, *named, "--features", "city,charge")
    ran = expunge("train", f"{tmp_path / 'recipe.py'}:recipe", "-p", tmp_path / "p", code=None)
    refused(ran, "city", "NAME:category")
    assert "town" not in ran.err
    assert list((tmp_path / "p" / "models").glob("*")) == []
