"""Nothing that others wrote acts on a terminal, nor is it read as markup, in whatever field it comes."""

import ast
import io
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import expunge

import expunge as package
from expunge.certify import check as checked
from expunge.cli import show
from expunge.cli.visible import visible

CANARY = "a\x1b[2K\x1b]0;owned\x07\x9b8m\r\n\u202e\u2066\u200b\u2028\ud800\x7f[/red][/]b"
ACTING = [c for c in CANARY if not c.isprintable()]
CLI = Path(package.__file__).parent / "cli"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What a terminal gets."""
    to = io.StringIO()
    monkeypatch.setattr(show.people_console, "_file", to)
    return to


def harmless(said: str) -> None:
    assert [c for c in said if c in ACTING and c != "\n"] == []
    assert "[/red][/]b" in said.replace("\n", ""), "the rest is there as it was written"


def test_every_character_that_is_not_shown_as_itself_is_written_out() -> None:
    assert visible("Zoë 漢 😀 – [/]") == "Zoë 漢 😀 – [/]"
    for number in [
        *range(0x20),
        *range(0x7F, 0xA0),
        0xAD,
        0x200B,
        0x200E,
        0x202E,
        0x2066,
        0x2028,
        0x2029,
        0xFEFF,
        0xE0001,
    ]:
        assert visible(chr(number)).isascii(), hex(number)
        assert visible(chr(number)).startswith("\\"), hex(number)


def test_a_line_for_people_stays_one_line(terminal: io.StringIO) -> None:
    show.say((CANARY, "bold"), f": {CANARY}")
    harmless(terminal.getvalue())
    assert terminal.getvalue().count("\n") == 1


@pytest.mark.parametrize("width", [30, 200])
def test_a_table_holds_it_in_title_heading_and_cell(
    terminal: io.StringIO, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(show.people_console, "_width", width)
    show.table(CANARY, [{"a": CANARY, "b": CANARY}], {"a": CANARY, "b": "b"})
    assert [c for c in terminal.getvalue() if c in ACTING and c != "\n"] == []


def test_progress_holds_it_in_every_field(terminal: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    for on_terminal in (False, True):
        monkeypatch.setattr(show.people_console, "_force_terminal", on_terminal)
        with show.working("forget") as report:
            report(CANARY, 1, 2)
        with show.bars("{task.description}", "{task.fields[attack]}") as told:
            told(CANARY, 1, 2, attack=CANARY)
        said = terminal.getvalue()
        assert "owned" in said
        for sequence in ("\x1b]0;", "\x07", "\x9b", "\u202e", "\u2028"):
            assert sequence not in said


def test_json_is_printable_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    show.data({"name": CANARY})
    out = capsys.readouterr().out
    assert out.isascii()
    assert [c for c in out if c != "\n" and not c.isprintable()] == []


# A name for a dataset, a file, a column, a person, a project; not the newline of a name of a file, which argv cannot
# hold beside NUL alone, nor halves of pairs, which no file name has.
NAME = CANARY.replace("\ud800", "").replace("[/red][/]", "[red][!]")


def test_names_in_arguments_files_and_data_are_harmless_and_never_raise_after_the_effect(tmp_path: Path) -> None:
    project = tmp_path / f"p {NAME}"
    file = tmp_path / f"{NAME}.csv"
    file.write_text("who,answer\nAda,yes\nBob,no\n")
    ran = [expunge("init", project, "--name", "p")]
    for name in (NAME, "[/]", "[/red]", "../../etc"):
        added = expunge(
            "data", "add", file, "--subject", "who", "--question", "", "--name", name, "-p", project, code=None
        )
        again = expunge(
            "data", "add", file, "--subject", "who", "--question", "", "--name", name, "-p", project, code=None
        )
        assert added.code == 0, (name, added.err)
        asked = expunge("request", "--dataset", name, "-p", project, "--json", stdin="Ada\n")
        ran += [added, again, asked, expunge("plan", asked.json["request"], "-p", project, code=None)]
        ran += [expunge("plan", f"{name}x", "-p", project, code=None)]
        ran += [expunge("report", asked.json["request"], "-p", project, code=None)]
    ran += [expunge("init", project, code=None), expunge("plan", "r", "-p", tmp_path / f"n{NAME}", code=None)]
    ran += [expunge("data", "add", tmp_path / f"n{NAME}", "--subject", NAME, "-p", project, code=None)]
    ran += [expunge("data", "add", file, "--subject", NAME, "-p", project, code=None)]
    ran += [expunge("plan", "x", f"--no-{NAME}", code=None)]
    for one in ran:
        assert [c for c in one.err + one.out if c in ACTING and c != "\n"] == [], one.err
        assert one.code in (0, 2), one.err


def test_a_check_prints_no_byte_of_a_certificate_that_acts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every field of what a check found, whoever wrote it."""
    found = checked(tmp_path / "nothing")
    steps = tuple(type(found.steps[0])(CANARY, status, CANARY) for status in ("ok", "failed", "not run"))
    told = type(found)(**{**vars(found), "steps": steps, "warnings": (CANARY,)})
    monkeypatch.setattr("expunge.certify.check", lambda *_, **__: told)
    ran = expunge("check", tmp_path / NAME, code=None)
    assert ran.code == 1
    harmless(ran.err)


def test_an_error_that_quotes_it_is_harmless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from expunge.core.errors import InvalidData
    from expunge.workflow.project.project import Project

    def fails(*_: Any, **__: Any) -> None:
        raise InvalidData(CANARY)

    monkeypatch.setattr(Project, "open", fails)
    harmless(expunge("plan", "r", code=2).err)


def test_no_command_writes_markup_or_ends_a_line_within_a_sentence() -> None:
    """`say` takes text and styles: tags in it would be shown as they are, and a name in it could not be trusted."""
    found = []
    for path in CLI.glob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module == "rich.markup":
                found.append(f"{path.name}:{node.lineno} imports rich.markup")
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "say":
                texts = [n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
                found += [f"{path.name}:{node.lineno} {t!r}" for t in texts if "[/" in t or "\n" in t]
            if isinstance(node, ast.Attribute) and node.attr == "print" and path.name not in ("show.py", "editing.py"):
                found.append(f"{path.name}:{node.lineno} prints past `say`")
    assert found == []
