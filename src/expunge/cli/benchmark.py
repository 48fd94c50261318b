"""Published benchmarks, on plain model folders."""

from pathlib import Path
from typing import Annotated

import typer

from expunge.cli.options import AsJson
from expunge.cli.show import data as print_json
from expunge.cli.show import say, table

app = typer.Typer()


@app.command()
def benchmark(
    name: Annotated[str, typer.Argument(help="tofu, muse, rwku, or harness (WMDP, MMLU and others).")],
    model: Annotated[str, typer.Argument(help="A model folder or hub id.")],
    data: Annotated[
        str | None,
        typer.Option(help="A folder of JSONL, or a data set on the hub; docs/benchmarks.md lists the tables."),
    ] = None,
    retrained: Annotated[
        str | None, typer.Option(help="A model trained without the forgotten data: what the numbers should equal.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where to write the numbers as JSON.")] = None,
    page: Annotated[Path | None, typer.Option(help="Where to write the page.")] = None,
    revision: Annotated[str | None, typer.Option(help="The commit of the hub data set; default: today's.")] = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="Ask the bare questions: for models that were trained on them.")
    ] = False,
    split: Annotated[str | None, typer.Option(help="For tofu: forget01, forget05 or forget10.")] = None,
    tasks: Annotated[str | None, typer.Option(help="For harness: tasks or groups, separated by commas.")] = None,
    json: AsJson = False,
) -> None:
    """Run a benchmark on a model, beside a retrained one. Exit code 3: some numbers were not measured or not compared.

    Try: [bold]expunge benchmark muse ./unlearned --data ./muse --retrained ./retrained --page page.html[/]
    """
    from expunge.report.benchmark_page import SAME
    from expunge.workflow.alone.benchmark import run_benchmark, write_benchmark

    settings = {"plain": plain or None, "split": split, "tasks": tuple(tasks.split(",")) if tasks else None}
    found = run_benchmark(name, model, data, retrained, revision, settings)
    write_benchmark(found, out, page)
    rows = [
        {
            "measure": m["name"],
            **{key: _shown(m[key]) for key in ("model", "retrained", "difference")},
        }
        for m in found["measures"]
    ]
    table(f"{name}: {model}", rows)
    for reason in dict.fromkeys(m["reason"] for m in found["measures"] if m["reason"]):
        names = ", ".join(m["name"] for m in found["measures"] if m["reason"] == reason)
        say(f"  {names}: {reason}")
    for caution in [*found["cautions"], *([SAME] if found["model"] == found["retrained"] else [])]:
        say(("note", "yellow"), f" {caution}")
    for written in (out, page):
        if written:
            say(f"wrote {written}")
    if json:
        print_json(found)
    raise typer.Exit(0 if found["complete"] else 3)


def _shown(mean: dict[str, float | None] | None) -> str:
    if mean is None:
        return "–"
    low, high = mean["low"], mean["high"]
    return f"{mean['value']:.3g}" + ("" if low is None or high is None else f" [{low:.3g}, {high:.3g}]")
