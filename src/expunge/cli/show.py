"""What people see: sentences and progress on stderr, tables, and JSON on stdout."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

people_console = Console(stderr=True)


def say(text: str) -> None:
    """A sentence for people."""
    people_console.print(text, highlight=False, soft_wrap=True)


def data(value: Any) -> None:
    """One JSON object for programs."""
    sys.stdout.write(json.dumps(value, indent=1, default=str) + "\n")
    sys.stdout.flush()


def table(title: str, rows: Sequence[Mapping[str, str]]) -> None:
    """A table for people."""
    shown = Table(title=title, title_justify="left", header_style="bold")
    for name in rows[0] if rows else ():
        shown.add_column(name.replace("_", " "), overflow="fold")
    for row in rows:
        shown.add_row(*row.values())
    people_console.print(shown)


Report = Callable[[str, int, int], None]


@contextmanager
def working(title: str) -> Iterator[Report]:
    """A progress bar with an estimate; the function it gives takes what is worked on, steps done, and steps in all."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
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
                bar.reset(task, total=total, description=f"{title} · {what}")
                current = what
            bar.update(task, completed=done, total=total)

        yield report
