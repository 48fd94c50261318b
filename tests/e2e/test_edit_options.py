"""What may be said of an edit is declared once, and means the same in `expunge edit` and in `expunge forget --route edit`."""

from dataclasses import fields
from typing import Any

from typer.main import get_command

from expunge.approximate import Edit
from expunge.cli.app import app
from expunge.cli.edit_options import EditOptions
from expunge.workflow.shapes.adopted import OPTIONS


def options(command: str) -> dict[str, Any]:
    found = get_command(app).commands[command].params  # type: ignore[attr-defined]
    return {p.name: (p.opts, p.secondary_opts, p.help, p.default) for p in found}


def test_both_commands_take_every_option_alike() -> None:
    names = {f.name for f in fields(EditOptions)}
    edit, forget = options("edit"), options("forget")
    assert {n: edit[n] for n in names} == {n: forget[n] for n in names}


def test_every_option_is_a_setting_that_a_project_knows() -> None:
    names = {f.name for f in fields(EditOptions)}
    assert names - {"set"} <= {f.name for f in fields(Edit)}
    assert names <= OPTIONS.keys()


def test_nothing_said_is_nothing_set_and_switches_reach_the_settings() -> None:
    assert EditOptions().settings() == {}
    said = EditOptions(lr=1e-4, guard=False, checkpointing=True, until=0.0, set=["beta=1"]).settings()
    assert said == {"lr": 1e-4, "guard": 0.0, "checkpointing": True, "until": 0.0}
    assert Edit(**said).guard == 0.0


def test_in_a_log_every_stage_that_begins_is_a_line(monkeypatch: Any) -> None:
    from expunge.cli import show

    said: list[str] = []
    monkeypatch.setattr(show, "say", said.append)
    assert not show.people_console.is_terminal
    with show.working("train") as report:
        for done in range(3):
            report("shard-000", done, 3)
        report("shard-001", 0, 3)
    with show.bars("{task.description}", "") as report_bar:
        report_bar("edit", 1, 40, loss=0.5)
        report_bar("edit", 2, 40, loss=0.4)
        report_bar("control", 0, 6, attack="direct")
        report_bar("control", 1, 6, attack="relearn")
    lines = [line.split("s  ", 1)[1] for line in said]
    assert lines[:2] == ["train · shard-000, 3 steps", "train · shard-001, 3 steps"]
    assert lines[2:] == ["edit, 40 steps", "control: direct, 6 steps", "control: relearn, 6 steps"]
