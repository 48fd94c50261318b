"""Model folders and somebody's own files, without a project: what a new user types, and what is said in return."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import HANGING
from tests.e2e.conftest import expunge, refused, write_jsonl

from expunge.core import Assurance
from expunge.synthetic import facts, people


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def models(once: Callable[..., Path], trained: Any, control: Any) -> Path:
    """`original` knows three people who leave; `control` was trained without them, `second` and `third` as well, by other seeds."""

    def build(folder: Path) -> None:
        from expunge.engine import save_model
        from expunge.testing import contract

        second, third = (contract.taught(trained.retain, trained.tokenizer, seed=seed) for seed in (2, 3))
        for name, model in (("original", trained.model), ("control", control), ("second", second), ("third", third)):
            save_model(model, trained.tokenizer, folder / name)

    return once("folders", build)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Probes under names of their own, facts that stay, and facts that no model ever saw."""
    sets = {"probes": facts(people(3)), "retain": facts(people(5, skip=3)), "unseen": facts(people(3, skip=8))}
    for name, known in sets.items():
        write_jsonl(
            tmp_path / f"{name}.jsonl",
            [{"prompt": f.question, "response": f.answer, "subject": f.subject, "value": f.value} for f in known],
        )
    return tmp_path


def beside(files: Path) -> tuple[str | Path, ...]:
    return ("--probes", files / "probes.jsonl", "--retain", files / "retain.jsonl", "--battery", "quick")


def levels_said(text: str) -> list[str]:
    return [level.name for level in Assurance if level > Assurance.CLAIMED and f"{level.name}: " in text]


# -- one model -------------------------------------------------------------------------------------------------------


def test_one_model_and_a_file_say_that_the_data_is_in_it(models: Path, files: Path) -> None:
    ran = expunge("verify", "--unlearned", models / "original", "--probes", files / "probes.jsonl", "--json", code=1)
    assert ran.json["found"] is True
    assert ran.json["at_least"] > 0.5
    assert (ran.json["assurance"], ran.json["flags"]) == ("CLAIMED", ["INCONCLUSIVE"])
    said = " ".join(ran.err.split())
    power, table = "facts of 3 people: a difference below", "What the model brings out"
    for words in ("reading 'prompt' as the question", power, table, "FOUND: This model brings out at least"):
        assert words in said
    assert said.index(power) < said.index(table)  # before, then after
    assert levels_said(said) == []


def test_a_model_that_never_saw_it_is_no_pass_either(models: Path, files: Path) -> None:
    ran = expunge("verify", "--unlearned", models / "control", "--probes", files / "probes.jsonl", "--json", code=3)
    assert ran.json["found"] is False
    said = " ".join(ran.err.split())
    assert "NOT SHOWN: No difference above 10% was shown" in said
    assert "may have been missed" in said
    assert "carries no level and no pass" in said
    assert levels_said(said) == []


def test_documents_need_nothing_but_a_text_file(models: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n\n".join(f"Document {k} is about {k} things and more." for k in range(20)))
    ran = expunge("verify", "--unlearned", models / "control", "--probes", tmp_path / "a.txt", "--json", code=3)
    assert "20 passages of 20 documents" in ran.err
    assert len(ran.json["facts"]) == 20


def test_bad_lines_are_all_named_before_a_model_is_loaded(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "bad.jsonl", [{"prompt": "a", "response": "b"}, {"prompt": "a"}, {"text": "c"}])
    ran = expunge("verify", "--unlearned", tmp_path / "no-model", "--probes", path, code=None)
    refused(ran, "2 of 3 lines", "line 2: response is missing", "line 3: a document among pairs")


def test_a_model_that_cannot_be_read_is_named(files: Path, tmp_path: Path) -> None:
    ran = expunge("verify", "--unlearned", tmp_path / "no-model", "--probes", files / "probes.jsonl", code=None)
    assert ran.code == 2
    assert "no model folder" in " ".join(ran.err.split())
    assert "Traceback" not in ran.err


# -- two and three models --------------------------------------------------------------------------------------------


def test_three_folders_give_an_audit_a_page_and_its_scores(models: Path, files: Path) -> None:
    arms = ("--original", models / "original", "--unlearned", models / "original", "--control", models / "control")
    written = ("--page", files / "audit.html", "--out", files / "audit.json")
    ran = expunge("verify", *arms, "--unseen", files / "unseen.jsonl", *beside(files), *written, "--json", code=1)
    assert "RETAINED" in ran.json["flags"]
    assert json.loads((files / "audit.json").read_text()) == ran.json
    assert ran.json["control"] == {"kind": "retrained", "second": False}
    page = (files / "audit.html").read_text("utf-8")
    assert "Audit of original" in page
    assert str(models) not in page  # of a path only the folder's name is shown
    said = " ".join(ran.err.split())
    assert said.index("60 facts about 3 people would show") < said.index("What each attack recovered")
    assert "RETAINED: Plain questions still recover" in said
    assert ran.err.count("60 facts about 3 people") == 1


def test_a_second_control_shows_the_noise(models: Path, files: Path) -> None:
    arms = ("--original", models / "original", "--unlearned", models / "third")
    controls = ("--control", models / "control", "--second", models / "second")
    ran = expunge("verify", *arms, *controls, *beside(files), "--json", code=3)
    assert ran.json["control"]["second"] is True
    assert ran.json["noise_floor"]["recovered"] < 0.5
    assert not {"HIDDEN", "RETAINED", "PARTIAL"} & set(ran.json["flags"])


def test_two_folders_are_compared_with_made_up_facts(models: Path, files: Path) -> None:
    arms = ("--original", models / "original", "--unlearned", models / "original")
    ran = expunge("verify", *arms, *beside(files), "--json", code=1)
    assert ran.json["control"]["kind"] == "placebo"
    assert "RETAINED" in ran.json["flags"]
    assert "made-up facts, which is weaker" in " ".join(ran.err.split())


@pytest.mark.slow
def test_arms_attacked_at_once_give_the_same_scores(models: Path, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arms = ("--original", models / "original", "--unlearned", models / "control", "--control", models / "second")
    one = expunge("verify", *arms, *beside(files), "--json", code=None).json
    monkeypatch.setenv("XDG_CACHE_HOME", str(files / "another"))
    two = expunge("verify", *arms, *beside(files), "--workers", "2", "--json", code=None).json
    for arm in one["arms"]:
        assert one["arms"][arm]["scores"] == two["arms"][arm]["scores"]
    assert one["findings"][0]["recovered"] == two["findings"][0]["recovered"]


def test_names_stand_in_no_output(models: Path, files: Path) -> None:
    arms = ("--original", models / "original", "--unlearned", models / "control", "--control", models / "second")
    ran = expunge("verify", *arms, *beside(files), "--page", files / "p.html", "--json", code=None)
    for person in people(8):
        for text in (ran.out, ran.err, (files / "p.html").read_text("utf-8")):
            assert person.name not in text


# -- committed before the run ----------------------------------------------------------------------------------------


def test_what_was_committed_is_what_runs(models: Path, files: Path) -> None:
    file = files / "commitment.json"
    made = expunge("verify", "--commit", file, *beside(files), "--json").json
    assert json.loads(file.read_text())["digest"] == made["digest"]
    arms = ("--original", models / "original", "--unlearned", models / "original", "--control", models / "control")
    ran = expunge("verify", *arms, *beside(files), "--committed", file, "--json", code=1)
    assert ran.json["commitment"] == made["digest"]
    other = ("--probes", files / "unseen.jsonl", "--battery", "quick", "--committed", file)
    refused(expunge("verify", *arms, *other, code=None), "probes", "differ from what was committed")
    refused(expunge("verify", "--commit", file, *beside(files), code=None), "made once")


# -- what does not go together ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ("--original", "--unlearned")),
        (("--original", "a", "--probes", "p"), ("--original", "--unlearned")),
        (("--control", "a", "--probes", "p"), ("--original",)),
        (("--unlearned", "a"), ("--probes",)),
        (("--unlearned", "a", "--probes", "p", "--page", "x.html"), ("for one model use --out",)),
        (("--unlearned", "a", "--probes", "p", "--commit", "x", "--committed", "y"), ("give one of them",)),
        (("req-1", "--original", "a"), ("its own models",)),
        (("req-1", "--committed", "a"), ("its own models",)),
        (("--unlearned", "a", "--probes", "p", "--battery", "huge"), ("huge", "quick")),
    ],
)
def test_what_does_not_go_together_is_refused(arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    ran = expunge("verify", *arguments, code=None)
    assert ran.code == 2
    for word in words:
        assert word in " ".join(ran.err.split())
    assert ran.out == ""


def test_a_stopped_run_goes_on(models: Path, files: Path) -> None:
    """Ctrl-C after the first scores were kept: exit code 130, and the next run reads them."""
    cache = files / "cache"
    arguments = ["verify", "--unlearned", models / "original", "--probes", files / "probes.jsonl"]
    command = [sys.executable, "-m", "expunge", *map(str, arguments)]
    running = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        env=os.environ | {"XDG_CACHE_HOME": str(cache)},
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background inherits "ignore"
    )
    until = time.monotonic() + HANGING
    while not (kept := list(cache.rglob("*.json"))) and time.monotonic() < until and running.poll() is None:
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=HANGING)
    assert running.returncode == 130
    assert "go on where it stopped" in " ".join(said.split())
    before = {path: path.stat().st_mtime_ns for path in kept}
    expunge(*arguments, code=1)
    assert before
    assert all(path.stat().st_mtime_ns == at for path, at in before.items())


def test_a_request_has_its_page_as_well(
    verified: Any, copy: Callable[[Path], Path], inputs: Path, tmp_path: Path
) -> None:
    project, written = copy(verified.folder), ("--page", tmp_path / "p.html", "--out", tmp_path / "o.json")
    asked = (verified.request, "--battery", "quick", "--probes", inputs / "probes.jsonl", "--no-replay")
    ran = expunge("verify", *asked, *written, "-p", project, "--json", code=None)
    (audit,) = ran.json["targets"]
    assert {key: value for key, value in audit.items() if key != "model"} == json.loads(
        (tmp_path / "o.json").read_text()
    )
    kept = json.loads((project / "evidence" / verified.request / "audit-assistant.json").read_text())
    assert {key: audit[key] for key in kept} == kept  # named by the project's own salt
    assert f"in {verified.request}" in (tmp_path / "p.html").read_text("utf-8")
    assert " facts about " in ran.err
