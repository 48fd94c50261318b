"""`expunge edit` as a user runs it: a folder in, a folder out, stopped and resumed, with what it took and what comes next."""

import ast
import contextlib
import inspect
import json
import re
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.e2e.conftest import Ran, expunge, refused

from expunge import edit as edit_in_python
from expunge.approximate import Edit, methods
from expunge.core.errors import InvalidParameter
from expunge.engine import digest_model, load_model, load_tokenizer, save_model
from expunge.workflow.alone.edit_folder import EditRequest, edit_folder
from expunge.workflow.alone.energy import Rates, Spent, measured
from expunge.workflow.inputs.method import method_of

DOCS = Path(__file__).parents[2] / "docs"
QUICK = ("--steps", "4", "--forget-batch", "8", "--retain-batch", "8", "--device", "cpu")


@pytest.fixture(scope="module")
def given(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder, and what to forget and to keep as files."""
    folder = tmp_path_factory.mktemp("given")
    save_model(trained.model, trained.tokenizer, folder / "m")
    for name, records in (("f", trained.forget), ("r", trained.retain)):
        lines = [{"question": r.question, "answer": r.answer, "value": r.value, "subject": r.subject} for r in records]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    for side, records in (("gone", trained.forget), ("kept", trained.retain)):
        (folder / side).mkdir()
        for k in range(3):
            text = " ".join(r.answer for r in records[k::3])
            (folder / side / f"{k}.txt").write_text(text, "utf-8")
    return folder


def edit(given: Path, out: Path, *more: str, method: str = "npo", **rest: Any) -> Ran:
    sides = ("--forget", given / "f.jsonl", "--retain", given / "r.jsonl")
    return expunge("edit", given / "m", "--method", method, *sides, "--out", out, *QUICK, *more, **rest)


def asked(given: Path, out: Path, **more: Any) -> EditRequest:
    settings = {"steps": 9, "forget_batch": 8, "retain_batch": 8, "every": 2}
    return EditRequest(
        model=str(given / "m"),
        method="npo",
        forget=given / "f.jsonl",
        retain=given / "r.jsonl",
        out=out,
        settings=settings,
        **more,
    )


def quiet(*_: Any) -> None:
    """Nothing is shown."""


def test_a_folder_in_is_a_folder_out_with_all_that_is_known_of_it(given: Path, tmp_path: Path) -> None:
    before = digest_model(load_model(given / "m"))
    ran = edit(given, tmp_path / "new", "--set", "beta=0.5", "--track", f"jsonl:{tmp_path / 'l.jsonl'}", "--json")
    found = ran.json
    assert found["guarantee"] == "EMPIRICAL"
    assert "beta=0.5" in found["method"]
    assert found["rows"] == {"forget": 60, "retain": 100}
    assert found["settings"]["steps"] == len(found["losses"]) == 4
    tracked = [json.loads(line) for line in (tmp_path / "l.jsonl").read_text().splitlines()]
    assert [line["loss"] for line in tracked] == found["losses"]
    edited = load_model(tmp_path / "new")
    assert digest_model(load_model(given / "m")) == before != digest_model(edited)
    assert load_tokenizer(tmp_path / "new")("Ada").input_ids == load_tokenizer(given / "m")("Ada").input_ids
    said = " ".join(ran.err.split())
    for words in ("edited by npo", "EMPIRICAL: no more than what attacks show", "assumed: 10 W", "60 rows", "estimate"):
        assert words in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["l.jsonl", "new"]


def test_the_next_command_is_one_that_is_understood(given: Path, tmp_path: Path) -> None:
    found = edit(given, tmp_path / "new", "--json").json
    words = shlex.split(found["next"])
    assert words[:2] == ["expunge", "verify"]
    commitment = tmp_path / "c.json"
    ran = expunge(*words[1 : words.index("--page")], "--commit", commitment, code=None)
    assert ran.code == 0, ran.err
    assert commitment.exists()


def test_energy_is_processor_time_at_the_power_that_is_assumed(given: Path, tmp_path: Path) -> None:
    found = edit(given, tmp_path / "new", "--watts", "36", "--price", "2", "--json").json
    for spent in (found["spent"], found["estimate"]):
        assert spent["kwh"] == pytest.approx(spent["cpu_seconds"] * 36 / 3.6e6)
        assert spent["cost"] == pytest.approx(2 * spent["kwh"])
        assert "assumed: 36 W" in spent["says"]
        assert spent["cpu_seconds"] > 0
    assert found["assumed"] == {"watts_per_core": 36, "price_per_kwh": 2}


def test_the_energy_of_an_unknown_device_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setitem(sys.modules, "pynvml", None)
    with measured(torch.nn.Linear(2, 2, device="meta"), Rates()) as meter:
        pass
    assert meter.spent.kwh is meter.spent.cost is None
    assert "energy UNKNOWN" in meter.spent.sentence()
    assert isinstance(meter.spent, Spent)
    with pytest.raises(InvalidParameter, match="watts"):
        Rates(watts_per_core=0)


def test_the_counter_of_a_gpu_is_read_in_joules(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for the driver's library, which counts in millijoules and names a GPU by its UUID."""
    import torch

    from expunge.workflow.alone import energy

    asked: list[str] = []
    library = SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda name: asked.append(name) or name,
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: 5_000_000,
        NVMLError=RuntimeError,
    )
    monkeypatch.setitem(sys.modules, "pynvml", library)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid="1234-ab"))
    assert energy._gpu_joules(torch.device("cuda", 0)) == 5000
    assert asked == ["GPU-1234-ab"]
    assert energy._gpu_joules(torch.device("cpu")) is None
    spent = energy._spent(10.0, 100.0, torch.device("cuda", 0), 2600.0, Rates())
    assert spent.kwh == pytest.approx((2600 + 1000) / 3.6e6)
    assert "2.6e+03 J of the GPU by its counter; assumed" in spent.how


def test_it_goes_on_after_ctrl_c_to_the_same_model(given: Path, tmp_path: Path, monkeypatch: Any) -> None:
    whole = edit_folder(asked(given, tmp_path / "whole"), quiet, quiet)

    def stop(stage: str, done: int, total: int, loss: float) -> None:
        if done == 5:
            raise KeyboardInterrupt

    stopped = asked(given, tmp_path / "new")
    with contextlib.suppress(KeyboardInterrupt):
        edit_folder(stopped, stop, quiet)
    assert not (tmp_path / "new").exists()
    assert list(stopped.state.glob("*.part"))
    steps: list[int] = []
    again = edit_folder(stopped, lambda stage, done, total, loss: steps.append(done), quiet)
    assert steps == [5, 6, 7, 8, 9]
    assert again["losses"] == whole["losses"][4:]
    assert digest_model(load_model(tmp_path / "new")) == digest_model(load_model(tmp_path / "whole"))
    assert not stopped.state.exists()


def test_ctrl_c_says_how_to_go_on(given: Path, tmp_path: Path, monkeypatch: Any) -> None:
    """What was finished is not run again: the stage is there, and the result is all that was missing."""

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("expunge.workflow.alone.edit_folder.save_model", stop)
    assert "repeat the same command" in edit(given, tmp_path / "new", code=130).err
    assert not (tmp_path / "new").exists()
    monkeypatch.undo()
    edit(given, tmp_path / "new")


def test_topics_are_given_as_folders_of_text(given: Path, tmp_path: Path) -> None:
    sides = ("--forget", given / "gone", "--retain", given / "kept")
    ran = expunge("edit", given / "m", "--method", "npo", *sides, "--out", tmp_path / "new", *QUICK, "--json")
    assert "3 of 3 documents are cut into passages, 6 in all" in " ".join(ran.err.split())  # of what is kept
    assert ran.json["rows"] == {"forget": 3, "retain": 6}


OTHER = {"--no-guard": ("guard", 0.0), "--checkpointing": ("checkpointing", True)}


@pytest.mark.parametrize("flag", OTHER)
def test_switches_reach_the_settings(flag: str, given: Path, tmp_path: Path) -> None:
    key, value = OTHER[flag]
    assert edit(given, tmp_path / "new", flag, "--json").json["settings"][key] == value
    assert getattr(Edit(), key) != value


def test_adapters_are_merged_and_a_run_can_end_early(given: Path, tmp_path: Path) -> None:
    found = edit(given, tmp_path / "new", "--lora", "2", "--until", "1.0", "--steps", "10", "--json").json
    assert found["settings"]["lora"] == 2
    assert len(found["losses"]) < 10
    assert "ended after step" in " ".join(found["notes"])
    names = {name for name, _ in load_model(tmp_path / "new").named_parameters()}
    assert names == {name for name, _ in load_model(given / "m").named_parameters()}


def test_methods_are_listed_without_anything_to_edit() -> None:
    ran = expunge("edit", "--method", "help")
    lines = {line.split()[0]: " ".join(line.split()[1:]) for line in ran.out.splitlines()}
    assert list(lines) == methods.names()
    assert "Zhang" not in lines["npo"]
    assert lines["undo"] == "UNDO: unlearn, disturb the weights that hid it, and distil what is kept into them."


def test_only_the_modules_that_are_named_change(given: Path, tmp_path: Path) -> None:
    edit(given, tmp_path / "new", "--modules", r"layers\.1\.mlp")
    before, after = load_model(given / "m").state_dict(), load_model(tmp_path / "new").state_dict()
    changed = {name for name in before if (before[name] != after[name]).any()}
    assert changed == {name for name in before if ".layers.1.mlp." in name}


def test_in_python_what_the_model_said_before_can_be_kept_for_other_edits(trained: Any, tmp_path: Path) -> None:
    given = {"tokenizer": trained.tokenizer, "forget": trained.forget[:8], "retain": trained.retain[:8]}
    given |= {"method": "npo", "settings": Edit(steps=2)}
    plain = edit_in_python(trained.model, **given)
    kept = edit_in_python(trained.model, **given, cache=tmp_path / "cache")
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()}
    assert files
    again = edit_in_python(trained.model, **given, cache=str(tmp_path / "cache"))
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()} == files
    assert digest_model(plain) == digest_model(kept) == digest_model(again)


def test_what_cannot_be_done_is_said_before_anything_is_written(given: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"question": "SECRET"}\n{"question": "q", "answer": "a"}\n', "utf-8")
    new, common = tmp_path / "new", ("--retain", given / "r.jsonl", "--out", tmp_path / "new", *QUICK)
    ran = expunge("edit", given / "m", "--method", "npo", "--forget", bad, *common, code=None)
    refused(ran, "line 1: answer is missing", "1 of 2 lines")
    assert "SECRET" not in ran.err
    refused(edit(given, new, method="npoo", code=None), "did you mean 'npo'")
    refused(edit(given, new, "--set", "gamma=1", code=None), "no parameter 'gamma' of npo", "beta")
    refused(edit(given, new, "--set", "beta=-1", code=None), "beta must be > 0")
    refused(edit(given, new, "--set", "beta=wide", code=None), "beta is a float")
    refused(edit(given, new, "--track", "mlflow", code=None), "use tensorboard, wandb or jsonl")
    refused(edit(given, new, "--until", "2", code=None), "until is a share")
    refused(edit(given, given / "m", code=None), "is there and not empty")
    assert not new.exists()


@pytest.mark.parametrize("name", methods.names())
def test_every_parameter_of_every_method_can_be_said_in_words(name: str) -> None:
    """Its own defaults, written as a user would, give the same method."""
    plain = method_of(name)
    simple = {k: v for k, v in vars(plain).items() if isinstance(v, str | int | float | bool) and v != ""}
    assert method_of(name, [f"{k}={v}" for k, v in simple.items()]) == plain


def test_a_method_that_takes_a_method_takes_its_name() -> None:
    takers = [name for name in methods.names() for v in vars(method_of(name)).values() if hasattr(v, "guarantee")]
    for name in takers:
        key = next(k for k, v in vars(method_of(name)).items() if hasattr(v, "guarantee"))
        assert type(getattr(method_of(name, [f"{key}=grad_diff"]), key)).__name__ == methods.get("grad_diff").__name__


# -- the page --------------------------------------------------------------------------------------------------------

PAGE = DOCS / "edit.md"


def table() -> str:
    """The table of methods as the page must show it: name, first sentence of the file, the guarantees it can carry."""
    lines = ["| method | idea | what a result may be called |", "|---|---|---|"]
    for name in methods.names():
        file = Path(inspect.getfile(methods.get(name))).read_text("utf-8")
        idea = " ".join((ast.get_docstring(ast.parse(file)) or "").split("\n\n")[0].split())
        guarantees = " or ".join(sorted(set(re.findall(r"Guarantee\.([A-Z]+)", file)))) or "EMPIRICAL"
        lines.append(f"| `{name}` | {idea} | {guarantees} |")
    return "\n".join(lines)


def test_the_page_lists_every_method_as_it_describes_itself() -> None:
    (shown,) = re.findall(r"<!-- methods -->\n(.*?)\n<!-- end -->", PAGE.read_text("utf-8"), re.DOTALL)
    assert shown == table(), "write the table of docs/edit.md again"


def test_every_option_on_the_page_exists() -> None:
    from typer.main import get_command

    from expunge.cli.app import app

    known = {opt for p in get_command(app).commands["edit"].params for opt in (*p.opts, *p.secondary_opts)}  # type: ignore[attr-defined]
    verify = {opt for p in get_command(app).commands["verify"].params for opt in (*p.opts, *p.secondary_opts)}  # type: ignore[attr-defined]
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE.read_text("utf-8")))
    assert named <= known | verify
    assert {o for o in known if o.startswith("--")} - {"--help"} <= named, "an option is not explained"
