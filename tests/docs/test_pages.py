"""Every error, method, attack, guarantee, level and flag has its place in the docs, and the docs claim no more."""

import importlib.util
import inspect
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from expunge.approximate import methods
from expunge.core import Assurance, Flag, Guarantee, Outcome, errors
from expunge.exact import learners
from expunge.verify.attacks import attacks
from expunge.verify.judgement import REQUIRED

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
FORBIDDEN = ("guaranteed compliance", "gdpr compliant", "gdpr-compliant", "proves absence")
PAGES = [*ROOT.glob("*.md"), *DOCS.rglob("*.md")]
# A folder at the root of one particular machine, in any text of the repository.
MACHINE_PATH = re.compile(r"(^|[^a-zA-Z0-9_.~*<}])/(work|root|home)/")


def headings(page: str) -> list[str]:
    return re.findall(r"^#{2,3} (\S+)$", (DOCS / page).read_text("utf-8"), re.MULTILINE)


def sources() -> Iterator[Path]:
    """Files that belong to the repository: none of tools' caches, environments and what runs leave behind."""
    for folder, below, files in os.walk(ROOT):
        below[:] = [d for d in below if d == ".ci" or not d.startswith((".", "__pycache__", "expunge-demo-"))]
        yield from (path for f in files if (path := Path(folder) / f) != Path(__file__) and f != ".git")


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_docs", DOCS / "_generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(DOCS))  # it has a file beside it
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(DOCS))
    return module


def test_every_error_class_has_its_section_and_every_section_its_class() -> None:
    classes = [n for n, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, errors.ExpungeError)]
    assert sorted(headings("errors.md")) == sorted(classes)


@pytest.mark.parametrize("name", [*methods.own(), *learners.own(), *attacks.own()])
def test_every_method_learner_and_attack_has_its_section(name: str) -> None:
    assert name in headings("methods.md")


def test_the_written_pages_are_up_to_date() -> None:
    stale = [path.name for path, text in generator().pages().items() if path.read_text("utf-8") != text]
    assert not stale, "run `make docs`"


@pytest.mark.parametrize("word", [*Guarantee, *(a.name for a in Assurance), *Flag, *Outcome])
def test_every_guarantee_level_flag_and_outcome_is_explained(word: str) -> None:
    assert f"**{word}** – " in (DOCS / "guarantees.md").read_text("utf-8")


@pytest.mark.parametrize("sentence", [*(a.sentence for a in Assurance), *(f.sentence for f in Flag)])
def test_the_sentences_are_those_that_the_program_prints(sentence: str) -> None:
    assert f'"{sentence}"' in (DOCS / "guarantees.md").read_text("utf-8")


@pytest.mark.parametrize("level", REQUIRED, ids=lambda level: level.name)
def test_what_a_level_needs_is_what_the_code_requires(level: Assurance) -> None:
    text = (DOCS / "guarantees.md").read_text("utf-8")
    (line,) = [x for x in text.splitlines() if x.startswith(f"**{level.name}** – ") and level.sentence in x]
    needs = re.search(r"Needs[^`]*([^.]*)\.", line)
    assert needs
    named = [tuple(re.findall(r"`(\w+)`", group)) for group in needs[1].split(";")]
    assert named == list(REQUIRED[level])
    assert {name for group in named for name in group} <= set(attacks.names())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_page_claims_what_cannot_be_shown(page: Path) -> None:
    text = " ".join(page.read_text("utf-8").lower().split())
    assert [words for words in FORBIDDEN if words in text] == []


def test_no_text_names_a_machines_folders() -> None:
    found = []
    for path in sources():
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue  # not a text
        found += [
            f"{path.relative_to(ROOT)}:{text[: m.start()].count(chr(10)) + 1}" for m in MACHINE_PATH.finditer(text)
        ]
    assert found == []


@pytest.mark.parametrize(("text", "named"), [("at /home/ann/x", True), ("./home/x", False), ("a/work/b", False)])
def test_the_search_for_machine_folders_finds_them(text: str, named: bool) -> None:
    assert bool(MACHINE_PATH.search(text)) is named


WALKED = "first-contribution.md"  # its files and commands are in order, and `test_first_contribution.py` walks them
SHOWS_CODE = [p for p in DOCS.rglob("*.md") if "```python" in p.read_text("utf-8") and p.name != WALKED]


@pytest.mark.parametrize("page", SHOWS_CODE, ids=str)
def test_the_python_of_a_page_runs(page: Path) -> None:
    for block in re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
        assert "assert " in block, "an example ends in something that can fail"
        exec(compile(block, page.name, "exec"), {})  # noqa: S102 – our own page


def test_every_file_that_the_architecture_names_is_there() -> None:
    named = set(re.findall(r"`([\w/]+\.py)`", (DOCS / "architecture.md").read_text("utf-8")))
    assert len(named) >= 20
    assert not [name for name in named if not (ROOT / "src" / "expunge" / name).is_file()]
