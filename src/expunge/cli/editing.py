"""The command `edit`: a model in, an edited model out, without a project."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from expunge.cli.edit_options import NOTHING_SAID, EditOptions, with_edit_options
from expunge.cli.options import AsJson
from expunge.cli.show import bars, data, people_console, say
from expunge.cli.visible import visible

Losses = Callable[[str, int, int, float], None]


def _listed(method: str) -> str:
    """For "help" every method with the first sentence of its file, read without importing it."""
    if method != "help":
        return method
    import ast
    from importlib.resources import files

    from expunge.approximate import methods

    for name in methods.names():
        file = files(methods.package) / f"{name}.py"
        idea = (ast.get_docstring(ast.parse(file.read_text("utf-8"))) or "").partition("\n\n")[0]
        typer.echo(f"{name:18}{' '.join(idea.split())}")
    raise typer.Exit


@with_edit_options
def edit(
    model: Annotated[str, typer.Argument(help="A model folder or hub id.")],
    method: Annotated[
        str,
        typer.Option(
            callback=_listed, is_eager=True, help="An approximate method; `expunge edit --method help` lists them."
        ),
    ],
    forget: Annotated[
        Path,
        typer.Option(help="What to forget: JSONL, Parquet, text, or a folder of texts; questions, chats or documents."),
    ],
    retain: Annotated[Path, typer.Option(help="The same for what to keep.")],
    out: Annotated[Path, typer.Option(help="Folder for the edited model.")],
    edit: EditOptions = NOTHING_SAID,
    track: Annotated[
        str | None, typer.Option(help="Losses to: tensorboard[:FOLDER], wandb[:PROJECT], jsonl:PATH.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; default: cuda where there is one.")] = None,
    watts: Annotated[float | None, typer.Option(help="Power of one busy core, for the energy; assumed: 10.")] = None,
    price: Annotated[float | None, typer.Option(help="Price of a kWh, for the cost; assumed: 0.3.")] = None,
    json: AsJson = False,
) -> None:
    """Edit a model by an approximate method, without a project. The result is only what attacks measure.

    Try: [bold]expunge edit ./model --method npo --forget f.jsonl --retain r.jsonl --out ./edited[/]
    """
    from expunge.workflow.alone.edit_folder import EditRequest, edit_folder
    from expunge.workflow.alone.energy import Rates

    rates = {k: v for k, v in {"watts_per_core": watts, "price_per_kwh": price}.items() if v is not None}
    request = EditRequest(
        model=model,
        method=method,
        forget=forget,
        retain=retain,
        out=out,
        settings=edit.settings(),
        parameters=edit.set or (),
        track=track,
        device=device or _device(),
        rates=Rates(**rates),
    )
    with losses() as report:
        done = edit_folder(request, report, lambda text: say((text, "dim")))
    _show(method, done)
    if json:
        data(done)


def _show(name: str, done: Mapping[str, Any]) -> None:
    from rich.table import Table

    from expunge.report.words import plural

    losses = done["losses"]
    rows = {
        "method": done["method"],
        "guarantee": f"{done['guarantee']}: {done['means']}",
        "rows": f"{done['rows']['forget']} to forget, {done['rows']['retain']} to keep",
        "loss": f"{losses[0]:.3f} → {losses[-1]:.3f} in {plural(len(losses), 'step')}" if losses else "no steps ran",
        "weights": f"{done['weights']['moved']:,} of {done['weights']['all']:,} moved",
        "kept": done["kept"]["says"] if done["kept"] else "nobody looked",
        "spent": done["spent"]["says"],
        "notes": "; ".join(done["notes"]) or "none",
        "model": done["out"],
    }
    shown = Table(title=Text(visible(f"edited by {name}")), title_justify="left", show_header=False)
    for what, says in rows.items():
        shown.add_row(what, Text(visible(says)))
    people_console.print(shown)
    say(f"what this is worth is not known yet; attack it: {done['next']}")
    say("better beside a model trained without the data: add --control FOLDER")


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


@contextmanager
def losses() -> Iterator[Losses]:
    """One bar for each stage of training, with the loss of its last step."""
    with bars("{task.description}", "loss {task.fields[loss]:.3f}") as report:
        yield lambda stage, done, total, loss: report(stage, done, total, loss=loss)
