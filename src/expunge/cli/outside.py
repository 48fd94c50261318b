"""What needs no project of one's own: check a certificate, write a page, edit a model, see the demo."""

from pathlib import Path
from typing import Annotated

import typer

from expunge.cli.editing import edit
from expunge.cli.options import HERE, AsJson, Req, Where, opened_at
from expunge.cli.show import data, say
from expunge.core.errors import InvalidData

app = typer.Typer()


@app.command()
def check(
    certificate: Annotated[Path, typer.Argument(help="A certificate.")],
    trust: Annotated[
        list[Path] | None, typer.Option(help="Public key of a signer you trust, got by another way.")
    ] = None,
    log: Annotated[Path | None, typer.Option(help="The log folder.")] = None,
    log_key: Annotated[
        str | None,
        typer.Option(help="The log's verifier key, or a file that holds it, got by another way.", metavar="VKEY|FILE"),
    ] = None,
    proof: Annotated[Path | None, typer.Option(help="The .tlog-proof file, instead of the log.")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="A checkpoint of the log that was kept elsewhere.")] = None,
    model: Annotated[Path | None, typer.Option(help="The folder of the delivered model.")] = None,
    manifest: Annotated[Path | None, typer.Option(help="The manifest of the dataset.")] = None,
    json: AsJson = False,
) -> None:
    """Check a certificate offline. Exit code 0 only if everything asked for was checked and holds; 1 failed; 3 untrusted.

    Try: [bold]expunge check certificate.intoto.json --trust signer.pub.pem --log log --log-key log.vkey[/]
    """
    from expunge.certify import check as run

    beside = certificate.with_name(certificate.name.removesuffix(".intoto.json") + ".tlog-proof")
    if log is None and proof is None and beside.exists():
        proof = beside
    found = run(
        certificate,
        trust=trust or (),
        log=log,
        log_key=_vkey(log_key),
        proof=proof,
        checkpoint=checkpoint,
        model=model,
        manifest=manifest,
        content=_records,
    )
    mark = {"ok": ("ok     ", "green"), "failed": ("FAILED ", "red"), "not run": ("not run", "yellow")}
    for step in found.steps:
        say(mark[step.status], f" {step.name}: {step.message}")
    for sentence in found.said:
        say(("says", "yellow"), f"    {sentence}")
    for warning in found.warnings:
        say(("note", "yellow"), f"    {warning}")
    say(
        {
            0: "the certificate holds",
            1: f"the certificate is REFUSED: {found.first_failure}",
        }.get(found.exit_code, "NOT ESTABLISHED: see what was not run or is not trusted")
    )
    if json:
        data(found.to_json())
    raise typer.Exit(found.exit_code)


def _records(manifest: Path) -> str | None:
    """The digest of a manifest's records, where what reads it is installed."""
    try:
        from expunge.ledger.read_digest import read_digest

        return read_digest(manifest)
    except ImportError:
        return None


def _vkey(named: str | None) -> str | None:
    """A verifier key as it was named: itself, or the first line of a file.

    Raises: InvalidData.
    """
    if named is None or "+" in named:
        return named
    try:
        with Path(named).open("rb") as file:
            return file.read(4096).decode("utf-8")
    except (OSError, UnicodeDecodeError) as e:
        raise InvalidData(f"cannot read a log's key from {named}: {e}") from e


@app.command()
def report(
    request: Req,
    out: Annotated[Path | None, typer.Option(help="Where to write the page.")] = None,
    project: Where = HERE,
    json: AsJson = False,
) -> None:
    """Write the page of a request as far as it has come.

    Try: [bold]expunge report req-0123456789 --out report.html[/]
    """
    from expunge.workflow.steps.evidence import evidence_of, write_page

    opened = opened_at(project)
    path = write_page(opened, request, out)
    say(f"page {path}")
    if json:
        data({**evidence_of(opened, request), "page": str(path)})


app.command()(edit)


@app.command()
def demo(
    directory: Annotated[
        Path | None, typer.Argument(help="Where to work; default: a new folder below the current one.")
    ] = None,
    quick: Annotated[bool, typer.Option(help="A smaller run with fewer people; the claims need the full one.")] = False,
    json: AsJson = False,
) -> None:
    """Train, forget, attack, deliver and certify on people who do not exist. No network; a few minutes.

    Try: [bold]expunge demo[/]
    """
    from expunge.cli.demo_view import run_demo

    result = run_demo(directory, quick)
    if json:
        data(result)
