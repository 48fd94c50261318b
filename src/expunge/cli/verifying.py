"""The command `verify`: a request of a project, two or three model folders, or one model and somebody's own data."""

import json as json_text
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from expunge.cli.options import HERE, AsJson, Where, opened_at
from expunge.cli.show import Report, bars, data, say

if TYPE_CHECKING:
    from expunge.workflow.alone.verify_folders import Question


def verify(
    request: Annotated[str | None, typer.Argument(help="A request; or none, with model folders.")] = None,
    original: Annotated[str | None, typer.Option(help="Model folder before unlearning.")] = None,
    unlearned: Annotated[
        str | None, typer.Option(help="Model folder after unlearning; alone: the model to search.")
    ] = None,
    control: Annotated[
        str | None, typer.Option(help="Model folder trained without the data; without one, made-up facts.")
    ] = None,
    second: Annotated[
        str | None, typer.Option(help="Another such folder, of another seed: it shows the noise.")
    ] = None,
    probes: Annotated[
        Path | None,
        typer.Option(help="JSONL or Parquet: question, answer, value, subject, …; or documents, also as text."),
    ] = None,
    retain: Annotated[Path | None, typer.Option(help="Without a request: facts that should stay.")] = None,
    unseen: Annotated[Path | None, typer.Option(help="Without a request: facts never trained on.")] = None,
    battery: Annotated[
        str | None,
        typer.Option(
            help="quick, short, standard or deep, also with attacks added: quick+noise. Default: standard, alone quick."
        ),
    ] = None,
    page: Annotated[Path | None, typer.Option(help="Write the audit as a page.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write it as JSON, with every raw score.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Without a request: arms attacked at the same time.")] = 1,
    commit: Annotated[
        Path | None, typer.Option(help="Write what will be asked and what will count, and stop; give it to others.")
    ] = None,
    committed: Annotated[Path | None, typer.Option(help="Run only if everything is as this file says.")] = None,
    replay: Annotated[bool, typer.Option(help="Of a request: train the touched units again and compare bits.")] = True,
    procedure: Annotated[
        bool | None,
        typer.Option(help="Of a request: send the canaries the same way. Default: where it adds something."),
    ] = None,
    target: Annotated[
        list[str] | None, typer.Option("--target", help="Of a request: only this model; may be repeated.")
    ] = None,
    project: Where = HERE,
    json: AsJson = False,
) -> None:
    """Attack the result beside the original and a control. Exit code 1: not forgotten or damaged; 3: INCONCLUSIVE.

    One model as --unlearned with --probes asks whether the data is in it. Exit code 1: it is; 3: it was not shown to be.

    Try: [bold]expunge verify req-0123456789[/]
    """
    from expunge.cli.verdict import exit_code, show_audit, show_exposure

    folders = {"original": original, "unlearned": unlearned, "control": control, "second control": second}
    alone = unlearned is not None and not any((original, control, second))
    _agree(request, folders, alone, page, commit, committed, (retain, unseen))
    if request is not None:
        return _verify_request(
            request, project, (page, out, json), target or (), probes, control, battery or "standard", replay, procedure
        )
    from expunge.workflow.alone.verify_folders import read_question

    question = read_question(probes, retain, unseen, battery or ("quick" if alone else "standard"))
    for note in question.notes:
        say((note, "dim"))
    if commit is not None:
        return _commit(question, commit, json)
    found = _folders(question, folders, alone, workers, committed)
    if alone:
        show_exposure(found)
    else:
        show_audit(found, power_told=True)
    _write(found, page, out)
    if json:
        data(found)
    raise typer.Exit((1 if found["found"] else 3) if alone else exit_code(found))


def _agree(
    request: str | None,
    folders: Mapping[str, str | None],
    alone: bool,
    page: Path | None,
    commit: Path | None,
    committed: Path | None,
    beside: tuple[Path | None, ...],
) -> None:
    """Raises: InvalidParameter, for options that do not go together."""
    from expunge.core.errors import InvalidParameter

    if request is not None:
        unfit = [name for name in ("original", "unlearned", "second control") if folders[name]]
        if unfit or commit or committed or any(beside):
            raise InvalidParameter(
                "a request has its own models and facts; of these options it takes --control, --probes and --battery alone"
            )
        return
    if commit and committed:
        raise InvalidParameter("--commit writes a commitment and stops, --committed runs one; give one of them")
    if alone and page:
        raise InvalidParameter("a page is of an audit, which takes --original and --unlearned; for one model use --out")
    if not alone and commit is None and not (folders["original"] and folders["unlearned"]):
        raise InvalidParameter(
            "name a request of a project; or --original and --unlearned (and --control, a model trained without the data) "
            "with --probes; or one model as --unlearned with --probes, to ask whether the data is in it"
        )


def _verify_request(
    request: str,
    project: Path,
    shown: tuple[Path | None, Path | None, bool],
    targets: Sequence[str],
    probes: Path | None,
    control: str | None,
    battery: str,
    replay: bool,
    procedure: bool | None,
) -> None:
    from expunge.cli.verdict import exit_code, show_audit
    from expunge.core.errors import InvalidParameter
    from expunge.workflow.steps.audit_file import read_audit
    from expunge.workflow.steps.verify import verify_request, waiting_for

    page, out, json = shown
    opened = opened_at(project)
    if (page or out) and len(waiting := waiting_for(opened, request, targets)) > 1:
        names = ", ".join(done["model"] for done in waiting)
        raise InvalidParameter(f"--page and --out are of one model, and {names} wait; name one with --target")
    with attacking() as progress, opened.writing():
        models = verify_request(
            opened,
            request,
            progress,
            targets=targets,
            probes=probes,
            control=control,
            battery=battery,
            replay=replay,
            procedure=procedure,
        )
    found = {
        model: read_audit(opened, request, model) | {"title": f"Audit of '{model}' in {request}", **_made()}
        for model in models
    }
    for model, document in found.items():
        if len(found) > 1:
            say((model, "bold"))
        show_audit(document)
        _write(document, page, out)
    if json:
        data({"request": request, "targets": [{"model": model, **document} for model, document in found.items()]})
    codes = [exit_code(document) for document in found.values()]
    raise typer.Exit(1 if 1 in codes else max(codes))


def _folders(
    question: "Question", folders: Mapping[str, str | None], alone: bool, workers: int, committed: Path | None
) -> dict[str, Any]:
    from expunge.workflow.alone.verify_folders import audit_folders, check_committed, expose_folder

    if committed is not None:
        check_committed(question, committed)
        say(f"everything is as committed in {committed}")
    source = str(folders["unlearned"])
    say(question.alone if alone else question.power.sentence)
    with attacking() as progress:
        if alone:
            return expose_folder(source, question, progress, workers=workers).to_json(question.salt) | _made()
        found = audit_folders(folders, question, progress, workers=workers)
    return found.to_json(question.salt) | {"title": f"Audit of {Path(source).name}", **_made()}


def _commit(question: "Question", path: Path, json: bool) -> None:
    from expunge.workflow.alone.verify_folders import commit

    digest = commit(question, path)
    say(question.power.sentence)
    say(f"committed to {path}: {digest}")
    say(f"give it to somebody else now; then run with --committed {path}")
    if json:
        data({"commitment": str(path), "digest": digest})


def _write(found: dict[str, Any], page: Path | None, out: Path | None) -> None:
    from expunge.core.durable import write_durably
    from expunge.report import audit_page

    if out is not None:
        write_durably(out, (json_text.dumps(found, indent=1) + "\n").encode())
        say(f"scores {out}")
    if page is not None:
        say(f"page {audit_page(found, page)}")


def _made() -> dict[str, Any]:
    """When and by what."""
    from datetime import UTC, datetime

    from expunge.core.version import __version__

    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"created": now, "tool": {"name": "expunge", "version": __version__}}


@contextmanager
def attacking() -> Iterator[Report]:
    """One bar an arm, which names the attack that runs; what it is given is "ARM: ATTACK", done, and in all."""
    with bars("{task.description:<15}", "{task.fields[attack]}") as report:

        def progress(what: str, done: int, total: int) -> None:
            arm, _, attack = what.partition(": ")
            report(arm, done, total, attack=attack)

        yield progress
