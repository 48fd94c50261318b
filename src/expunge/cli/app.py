"""The commands. Each one is a step of the story; the work is in `workflow`."""

from typing import Annotated

import typer

from expunge.cli import benchmark, copies, data, deciding, entering, lifecycle, log, outside, requests, steps

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Remove data from trained models, and show honestly whether it is gone.\n\nTry: [bold]expunge demo[/]",
)


def _version(wanted: bool) -> None:
    if wanted:
        from expunge.core.version import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Remove data from trained models, and show honestly whether it is gone."""


for part in (entering, data, requests, lifecycle, deciding, steps, copies, log, outside, benchmark):
    app.add_typer(part.app)
