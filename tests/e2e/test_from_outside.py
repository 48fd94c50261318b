"""Learners, methods and attacks of another package, and a learner beside a recipe, go the whole way of a request."""

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.conftest import LEAVES, audited, expunge, refused

from expunge.approximate import methods
from expunge.core import Registry
from expunge.core.errors import UnknownMethod
from expunge.exact import learners
from expunge.testing import attacks as attack_claims
from expunge.testing import contract
from expunge.testing.tabular import SALT, counts, requests
from expunge.verify.attacks import attacks

PAGE = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text("utf-8")
EXAMPLES = dict(re.findall(r"```python\n# src/expunge/\S*?(\w+)\.py\n(.*?)```", PAGE, re.DOTALL))
ENTRY_POINTS = """[expunge.methods]
hinge = their_package.hinge:Hinge
npo = their_package.hinge:Hinge
broken = their_package.nowhere:Nothing

[expunge.learners]
majority = their_package.majority:Majority

[expunge.attacks]
insist = their_package.insist:Insist
"""
RECIPE = """import expunge
{imports}

def recipe():
    return expunge.Training(model="churn", dataset="people", learner=Majority())
"""
BREAKS = {
    "forget": "    def _unlearn(self, learned, rows, gone):\n        raise RuntimeError('not thought of')\n",
    "load": "    def _restore(self, values, rows, parts):\n        raise RuntimeError('not thought of')\n",
}


@pytest.fixture
def their_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The examples of CONTRIBUTING.md as somebody else's package, installed as pip would."""
    site = tmp_path / "site"
    package, info = site / "their_package", site / "their_package-1.0.dist-info"
    package.mkdir(parents=True)
    info.mkdir()
    (package / "__init__.py").touch()
    for name in ("hinge", "majority", "insist"):
        (package / f"{name}.py").write_text(EXAMPLES[name])
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]))
    _look_again()
    yield site
    for name in [n for n in sys.modules if n.startswith("their_package")]:
        del sys.modules[name]
    monkeypatch.undo()
    _look_again()


def _look_again() -> None:
    """Entry points are read once a process; forget what was read."""
    for registry in (methods, learners, attacks):
        vars(registry).pop("_offered", None)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    rows = [
        {"id": f"r{i}", "who": f"Person {i % 12}", "a": i % 4, "b": i % 3, "leaves": "yes" if i % 3 else "no"}
        for i in range(60)
    ]
    (tmp_path / "people.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    expunge("init", tmp_path / "p")
    columns = ("--subject", "who", "--id", "id", "--features", "a,b", "--answer", "leaves")
    expunge("data", "add", tmp_path / "people.jsonl", *columns, "--project", tmp_path / "p")
    return tmp_path / "p"


def test_they_are_listed_without_being_imported(their_package: Path) -> None:
    assert "hinge" in methods.names()
    assert "majority" in learners.names()
    assert "insist" in attacks.names()
    assert not any(name.startswith("their_package") for name in sys.modules)
    for registry, name in ((methods, "hinge"), (learners, "majority"), (attacks, "insist")):
        found = registry.get(name)
        assert (found.__module__, registry.name_of(found)) == (f"their_package.{name}", name)


def test_a_name_of_ours_is_not_taken_over(their_package: Path) -> None:
    with pytest.raises(UnknownMethod, match=r"'npo' is offered by expunge.approximate and package their-package 1.0"):
        methods.get("npo")


def test_what_cannot_be_imported_is_named_with_its_package(their_package: Path) -> None:
    with pytest.raises(UnknownMethod, match=r"method 'broken' of package their-package 1.0 cannot be loaded"):
        methods.get("broken")


@pytest.mark.parametrize("registry", [methods, learners, attacks], ids=lambda r: r.package)
def test_a_class_of_a_script_has_no_name(registry: Registry) -> None:
    assert registry.name_of(type("Mine", (), {"__module__": "expunge_script_recipe"})) is None


@pytest.mark.parametrize(
    "imports", ["from their_package.majority import Majority", EXAMPLES["majority"]], ids=["installed", "beside"]
)
def test_their_learner_goes_from_training_to_a_checked_certificate(
    their_package: Path, project: Path, imports: str
) -> None:
    recipe = project.parent / "recipe.py"
    recipe.write_text(RECIPE.format(imports=imports))
    expunge("train", f"{recipe}:recipe", "--project", project)
    asked = expunge("request", "--dataset", "people", "--project", project, "--json", stdin="Person 3").json
    where = (asked["request"], "--project", project)
    assert "subtract" in json.dumps(expunge("plan", *where, "--json").json)
    expunge("forget", *where)
    assert audited(expunge("verify", *where, "--json"))["assurance"] == "EXACT"
    expunge("deliver", *where, "--released", "none")
    done = expunge("certify", *where, "--json").json
    expunge("check", done["certificate"], "--trust", project / "signer.pub.pem", "--log-key", project / "log.vkey")


@pytest.mark.parametrize("breaks", BREAKS)
def test_what_could_be_trained_and_not_forgotten_from_is_refused_at_once(project: Path, breaks: str) -> None:
    recipe = project.parent / "recipe.py"
    source = EXAMPLES["majority"]
    at = source.index("    def predict")
    recipe.write_text(RECIPE.format(imports=source[:at] + BREAKS[breaks] + "\n" + source[at:]))
    refused(
        expunge("train", f"{recipe}:recipe", "--project", project, code=None),
        "cannot be forgotten from",
        "not thought of",
        "nothing was kept",
    )
    assert not list((project / "models").glob("churn/*"))


def test_a_recipe_that_gives_another_learner_each_time_is_refused(project: Path) -> None:
    recipe = project.parent / "recipe.py"
    recipe.write_text(
        "import random\nimport expunge\nfrom expunge.exact import MultinomialNB\n\n"
        "def recipe():\n"
        "    learner = MultinomialNB(alpha=1 + random.random())\n"
        "    return expunge.Training(model='churn', dataset='people', learner=learner)\n"
    )
    refused(
        expunge("train", f"{recipe}:recipe", "--project", project, code=None), "other parameters", "nothing was kept"
    )


def test_a_subclass_of_adapter_shards_would_be_forgotten_from_as_another_class(project: Path) -> None:
    recipe = project.parent / "recipe.py"
    recipe.write_text(
        "import expunge\nfrom expunge.exact import AdapterShards\n\n"
        "class Mine(AdapterShards):\n    pass\n\n"
        "def recipe():\n    return expunge.Training(model='churn', dataset='people', learner=Mine('base'))\n"
    )
    refused(expunge("train", f"{recipe}:recipe", "--project", project, code=None), "Mine", "expunge.exact.Learner")


def test_their_method_and_attack_keep_the_contract(their_package: Path) -> None:
    for claim in contract.CLAIMS:
        claim(methods.get("hinge")())
    for ask in attack_claims.CLAIMS:
        ask(attacks.get("insist")())


def test_their_learner_keeps_the_contract(their_package: Path) -> None:
    for seed in range(4):
        table = counts(seed)
        fitted, asked = table.fit(learners.get("majority")(salt=SALT)), requests(table, seed)
        for request in asked.asked:
            fitted.forget(**request)
        assert fitted.equals(table.without(set(asked.gone)).fit(learners.get("majority")(salt=SALT)))


def test_their_method_forgets_and_their_attack_is_in_the_audit(their_package: Path, base: Path, inputs: Path) -> None:
    project = their_package.parent / "adopted"
    expunge("init", project)
    columns = ("--subject", "person", "--id", "id", "--value", "value")
    expunge("adopt", base, "--name", "assistant", "--data", inputs / "people.jsonl", *columns, "--project", project)
    asked = expunge("request", "--dataset", "assistant", "--project", project, "--json", stdin=LEAVES).json
    where = (asked["request"], "--project", project)
    expunge("forget", *where, "--route", "edit", "--method", "hinge", "--steps", "3", "--lr", "1e-4")
    audit = audited(expunge("verify", *where, "--battery", "quick+insist", "--json", code=None))
    (found,) = [f for f in audit["findings"] if f["attack"] == "insist"]
    assert set(found["arms"]) == {"original", "unlearned", "control"}
    assert audit["battery"]["name"] == "quick+insist"
    assert audit["battery"]["packages"] == {"insist": "their-package 1.0"}
