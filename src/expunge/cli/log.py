"""The log that a project writes its certificates to."""

import typer

from expunge.cli.options import HERE, AsJson, Where, opened_at
from expunge.cli.show import data, say

app = typer.Typer()
log_app = typer.Typer(no_args_is_help=True, help="The log of certificates.\n\nTry: [bold]expunge log new[/]")
app.add_typer(log_app, name="log")


@log_app.command()
def new(project: Where = HERE, json: AsJson = False) -> None:
    """Begin another log under a new name, where the old one is lost. The old folder, if it is there, stays beside.

    Try: [bold]expunge log new --project my-project[/]
    """
    from expunge.workflow.project.project import LOG_KEY
    from expunge.workflow.project.speaking import begin_new_log

    opened = opened_at(project)
    with opened.writing():
        origin = begin_new_log(opened)
    say(f"certificates are logged in {origin} from now on; give auditors the new {LOG_KEY}")
    if json:
        data({"origin": origin, "log_key": str(opened.root / LOG_KEY)})
