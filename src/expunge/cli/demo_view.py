"""The demo in a terminal: one bar, one table, where to look."""

import time
from pathlib import Path
from typing import Any

from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from expunge.cli.show import people_console, say, table


def run_demo(directory: Path | None, quick: bool) -> dict[str, Any]:
    """Run it, show it, and return what `--json` prints."""
    from expunge.core.errors import InvalidParameter
    from expunge.workflow.demo.models import QUICK, Cast
    from expunge.workflow.demo.story import demo

    folder = (directory or Path(f"expunge-demo-{time.strftime('%Y%m%d-%H%M%S')}")).resolve()
    if folder.exists() and any(folder.iterdir()) and not (folder / "tasks").is_dir():
        raise InvalidParameter(f"{folder} is not empty; name a new folder for the demo")
    say(f"making fictitious people, training on them, and forgetting some, in {folder}")
    columns = (
        SpinnerColumn(),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=people_console, transient=True) as bar:
        task = bar.add_task("", total=None)
        result = demo(
            folder,
            QUICK if quick else Cast(),
            report=lambda what, done, total: bar.update(task, description=what, completed=done, total=total),
        )
    document = result.pop("document")
    _show(result, document)
    return result


def _show(result: dict[str, Any], document: dict[str, Any]) -> None:
    from expunge.report.table import COLUMNS, summary_rows

    say("What was forgotten, by which method, and what attacks brought back")
    table("", summary_rows(document), COLUMNS)
    recalls = result["recalls"]
    table(
        "Adapter shards before the request: recall",
        [dict(zip(recalls["columns"], map(str, row), strict=True)) for row in recalls["rows"]],
    )
    if needed := result["person"]["facts_needed"]:
        say(f"One person has 20 facts; {needed} would be needed to say more about them alone.")
    say(f"Files of the project that still hold the person's name: {', '.join(result['traces']) or 'none'}")
    verdict = {0: "the certificate holds"}.get(
        result["check"]["exit_code"], f"REFUSED: {result['check']['first_failure']}"
    )
    say(f"certificate  {result['certificate']} ({verdict})")
    say(f"report       {result['report']}")
    say(f"{result['seconds']:.0f} s, peak memory {result['peak_mb']:.0f} MB")
