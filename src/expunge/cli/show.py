"""What people see: sentences and progress on stderr, tables, and JSON on stdout."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from expunge.cli.visible import visible

people_console = Console(stderr=True)


def say(*parts: str | tuple[str, str]) -> None:
    """One line for people: text as it is, or text with a style. Nothing in it is markup, and no part of it ends the line."""
    styled = ((part, "") if isinstance(part, str) else part for part in parts)
    line = Text.assemble(*((visible(text), style) for text, style in styled))
    people_console.print(line, highlight=False, soft_wrap=True)


def data(value: Any) -> None:
    """One JSON object for programs."""
    # Everything but printable ASCII is written as an escape; JSON leaves delete, which terminals act on.
    sys.stdout.write(json.dumps(value, indent=1, default=str).replace("\x7f", "\\u007f") + "\n")
    sys.stdout.flush()


def table(title: str, rows: Sequence[Mapping[str, str]], headings: Mapping[str, str] | None = None) -> None:
    """A table for people; where the terminal is too narrow for it, one block of lines for each row."""
    names = headings or {name: name.replace("_", " ") for name in (rows[0] if rows else {})}
    needed = (
        sum(max(len(h.split()[-1]), *(_longest_word(r[k]) for r in rows)) + 3 for k, h in names.items()) if rows else 0
    )
    if needed > people_console.width:
        for row in rows:
            first, *rest = names
            say((row[first], "bold"))
            for name in rest:
                say(f"    {names[name]}: {row[name]}")
        return
    shown = Table(title=Text(visible(title)) if title else None, title_justify="left", header_style="bold")
    for heading in names.values():
        shown.add_column(Text(visible(heading)), overflow="fold")
    for row in rows:
        shown.add_row(*(Text(visible(row[name])) for name in names))
    people_console.print(shown)


def _longest_word(text: str) -> int:
    return max((len(word) for word in text.split()), default=0)


def _lines(title: str) -> Callable[[str, int], None]:
    """Says once of everything that it is told of that it began, how many steps it has, and after how many seconds."""
    start, begun = time.monotonic(), set[str]()

    def begins(what: str, total: int) -> None:
        if what not in begun:
            begun.add(what)
            steps = f", {total} steps" if total > 1 else ""
            named = " · ".join(part for part in (title, what) if part)
            say(f"{time.monotonic() - start:6.0f} s  {named}{steps}")

    return begins


Report = Callable[[str, int, int], None]


@contextmanager
def working(title: str) -> Iterator[Report]:
    """A progress bar with an estimate; the function it gives takes what is worked on, steps done, and steps in all.

    In a log, where nobody sees a bar move, a line for each thing that is begun.
    """
    if not people_console.is_terminal:
        begun = _lines(title)
        yield lambda what, done, total: begun(what, total)
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=people_console, transient=True) as bar:
        task = bar.add_task(title, total=None)
        current = ""

        def report(what: str, done: int, total: int) -> None:
            nonlocal current
            if what != current:
                bar.reset(task, total=total, description=visible(f"{title} · {what}"))
                current = what
            bar.update(task, completed=done, total=total)

        yield report


@contextmanager
def bars(first: str, last: str) -> Iterator[Callable[..., None]]:
    """One bar for each stage, with an estimate of what is left; the function it gives takes the stage, steps done, steps in
    all, and by name the fields that the outer columns show. In a log, a line for each stage, and for each that a field in
    words names."""
    if not people_console.is_terminal:
        begun = _lines("")

        def told(stage: str, done: int, total: int, **fields: Any) -> None:
            begun(": ".join([stage, *(one for one in fields.values() if isinstance(one, str) and one)]), total)

        yield told
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn(first, markup=False),
        BarColumn(20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn(last, markup=False),
    )
    with Progress(*columns, console=people_console, transient=True) as progress:
        tasks: dict[str, Any] = {}

        def report(stage: str, done: int, total: int, **fields: Any) -> None:
            shown: dict[str, Any] = {
                name: visible(one) if isinstance(one, str) else one for name, one in fields.items()
            }
            if stage not in tasks:
                tasks[stage] = progress.add_task(visible(stage), total=total, **shown)
            progress.update(tasks[stage], completed=done, total=total, **shown)

        yield report
