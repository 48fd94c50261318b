"""The commands. Each one is a step of the story; the work is in `workflow`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from expunge.cli.show import data, say, table, working

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Remove data from trained models, and show honestly whether it is gone.\n\nTry: [bold]expunge demo[/]",
)
data_app = typer.Typer(
    no_args_is_help=True, help="Datasets.\n\nTry: [bold]expunge data add people.jsonl --subject person[/]"
)
app.add_typer(data_app, name="data")

Where = Annotated[Path, typer.Option("--project", "-p", help="The project directory.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object to stdout.")]
Req = Annotated[str, typer.Argument(help="A request, as `expunge request` named it.")]
HERE = Path(".")


def _version(wanted: bool) -> None:
    if wanted:
        from expunge import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Remove data from trained models, and show honestly whether it is gone."""


def _open(project: Path) -> Any:
    from expunge.workflow.project import Project

    return Project.open(project)


@app.command()
def init(
    directory: Annotated[Path, typer.Argument(help="Where the project will live.")] = HERE,
    name: Annotated[
        str | None, typer.Option(help="Its name, on certificates and in the log; default: the directory's.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Make a project directory with fresh keys.

    Try: [bold]expunge init my-project[/]
    """
    from expunge.workflow.project import PUBLIC_KEY, Project

    project = Project.create(directory, name)
    say(f"project made at {project.root}; give auditors {PUBLIC_KEY}, and keep keys/ out of ordinary backups")
    if json:
        data(
            {
                "project": str(project.root),
                "name": project.config["name"],
                "public_key": str(project.root / PUBLIC_KEY),
            }
        )


@data_app.command("add")
def data_add(
    file: Annotated[Path, typer.Argument(help="CSV, JSONL (also .gz) or Parquet.")],
    subject: Annotated[str, typer.Option(help="The column that names whose record it is.")],
    name: Annotated[str | None, typer.Option(help="Name of the dataset; default: the file's.")] = None,
    question: Annotated[str, typer.Option(help="The column with the question; '' for plain texts.")] = "question",
    answer: Annotated[str, typer.Option(help="The column with the answer or text.")] = "answer",
    value: Annotated[
        str | None, typer.Option(help="The column with the part of the answer that carries the fact.")
    ] = None,
    id: Annotated[str | None, typer.Option(help="The column with record ids; without one, row numbers.")] = None,
    features: Annotated[
        str, typer.Option(help="In place of a question: columns, by commas, that are the input of a model.")
    ] = "",
    project: Where = HERE,
    json: AsJson = False,
) -> None:
    """Commit to the records of a file; the file stays where it is.

    Try: [bold]expunge data add people.jsonl --subject person --id id[/]
    """
    from expunge.ledger import Columns
    from expunge.workflow.files import full_disk_named

    opened = _open(project)
    inputs = tuple(name.strip() for name in features.split(",") if name.strip())
    asked = None if inputs else question or None
    columns = Columns(subject=subject, answer=answer, question=asked, value=value, id=id, features=inputs)
    with opened.writing(), full_disk_named("data add"):
        info = opened.ledger.add_dataset(name or file.name.split(".")[0], file, columns)
    say(f"dataset '{info.name}': {info.n_records} records of {info.n_subjects} subjects")
    if id is None:
        say(
            "no id column was named: rows are known by number, so deleting one from the file renames the others; prefer --id"
        )
    if json:
        data(
            {
                "dataset": info.name,
                "records": info.n_records,
                "subjects": info.n_subjects,
                "manifest": info.manifest,
            }
        )


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="FILE.py:FUNCTION that returns an expunge.Recipe.")],
    project: Where = HERE,
    json: AsJson = False,
) -> None:
    """Train a model made of units by a recipe in plain Python.

    Try: [bold]expunge train recipe.py:recipe[/]
    """
    from expunge.workflow.enter import train as run

    opened = _open(project)
    with opened.writing(), working("train") as progress:
        version = run(opened, recipe, progress)
    _entered(opened, version, json)


@app.command()
def adopt(
    model: Annotated[
        str, typer.Argument(help="A model folder, a hub id, or a folder of runs recorded by expunge.Track.")
    ],
    name: Annotated[str | None, typer.Option(help="Its name in the project; default: the folder's.")] = None,
    adapter: Annotated[Path | None, typer.Option(help="A LoRA folder on this base.")] = None,
    data_file: Annotated[Path | None, typer.Option("--data", help="What it may have been trained on.")] = None,
    subject: Annotated[str | None, typer.Option(help="The column of --data that names people.")] = None,
    question: Annotated[str, typer.Option(help="The column with the question; '' for plain texts.")] = "question",
    answer: Annotated[str, typer.Option(help="The column with the answer or text.")] = "answer",
    value: Annotated[str | None, typer.Option(help="The column with the fact's value.")] = None,
    id: Annotated[str | None, typer.Option(help="The column with record ids.")] = None,
    dataset: Annotated[str | None, typer.Option(help="For runs: the dataset that was split.")] = None,
    project: Where = HERE,
    json: AsJson = False,
) -> None:
    """Take in a model that was trained elsewhere. What is not known about it stays UNKNOWN.

    Try: [bold]expunge adopt ./my-model --data people.jsonl --subject person[/]
    """
    from expunge.ledger import Columns
    from expunge.workflow.enter import adopt as run

    opened = _open(project)
    columns = (
        Columns(subject=subject, answer=answer, question=question or None, value=value, id=id) if subject else None
    )
    with opened.writing():
        version = run(
            opened,
            model,
            name or Path(model).name,
            adapter=adapter,
            data=data_file,
            columns=columns,
            dataset=dataset,
        )
    _entered(opened, version, json)


def _entered(project: Any, version: Any, json: bool) -> None:
    units = ", ".join(f"{u.id} ({u.n_records or 'UNKNOWN'} records)" for u in version.units)
    say(f"'{version.model}' serves from {project.folder(version)}: {len(version.units)} unit(s): {units}")
    if json:
        data(
            {
                "model": version.model,
                "version": version.digest,
                "folder": str(project.folder(version)),
                "units": [{"id": u.id, "records": u.n_records or None, "digest": u.digest} for u in version.units],
                "trained_on": version.trained_on,
            }
        )


@app.command()
def request(
    dataset: Annotated[str, typer.Option(help="The dataset that holds the people.")],
    subjects_file: Annotated[str, typer.Option(help="A file with one identity a line, or - for standard input.")] = "-",
    project: Where = HERE,
    json: AsJson = False,
) -> None:
    """Record that people ask to be forgotten. Identities come from a file or standard input, never from arguments.

    Try: [bold]echo "Ada Lind" | expunge request --dataset people --subjects-file -[/]
    """
    from expunge.workflow.identities import read_identities

    opened = _open(project)
    identities = read_identities(subjects_file)
    with opened.writing():
        made = opened.ledger.open_request(dataset, identities)
    say(f"request {made.id}: {len(made.subjects)} subject(s), due {made.due_at}")
    if json:
        data(
            {
                "request": made.id,
                "subjects": len(made.subjects),
                "received_at": made.received_at,
                "due_at": made.due_at,
            }
        )


@app.command()
def plan(request: Req, project: Where = HERE, json: AsJson = False) -> None:
    """What forgetting would touch, by which route, at what cost. Changes nothing.

    Try: [bold]expunge plan req-0123456789[/]
    """
    from dataclasses import asdict

    from expunge.workflow.forget import plan_request

    found = plan_request(_open(project), request)
    rows = [
        {
            "model": m.model,
            "route": p.route.value,
            "guarantee": p.promise.guarantee.value,
            "units": ", ".join(f"{u.id} from slice {u.first_slice}" for u in p.units),
            "cost vs retraining": "UNKNOWN" if p.cost is None else f"{p.cost:.0%}",
            "notes": "; ".join(p.notes),
        }
        for m in found
        for p in m.plans
    ]
    if rows:
        table(f"{request}: routes, strongest first", rows)
    else:
        say("no serving model learned from these people")
    if json:
        data({"request": request, "models": [asdict(m) for m in found]})


@app.command()
def forget(
    request: Req,
    model: Annotated[str | None, typer.Option(help="Which model, where several are concerned.")] = None,
    route: Annotated[str | None, typer.Option(help="A route that `expunge plan` lists; default: the first.")] = None,
    method: Annotated[str | None, typer.Option(help="For route edit: an approximate method.")] = None,
    lr: Annotated[float | None, typer.Option(help="For route edit: learning rate.")] = None,
    steps: Annotated[int | None, typer.Option(help="For route edit: number of steps.")] = None,
    rebuild: Annotated[
        str | None, typer.Option(help="For units of your own loop: FILE.py:FUNCTION that trains one.")
    ] = None,
    project: Where = HERE,
    json: AsJson = False,
) -> None:
    """Build the version without these people beside the old one, which is quarantined.

    Try: [bold]expunge forget req-0123456789[/]
    """
    from expunge.workflow.forget import forget_request

    opened = _open(project)
    options = {"method": method, "lr": lr, "steps": steps, "rebuild": rebuild}
    with opened.writing(), working("forget") as progress:
        done = forget_request(opened, request, progress, model=model, route=route, options=options)
    cost = "UNKNOWN" if done["cost"] is None else f"{done['cost']:.0%}"
    say(
        f"'{done['model']}': {done['route']} by {done['method']}, {done['n_removed']} records, cost {cost} of retraining; "
        f"the old version is quarantined. Next: expunge verify {request}"
    )
    if json:
        data(done)


@app.command()
def verify(
    request: Annotated[str | None, typer.Argument(help="A request; or none, with model folders.")] = None,
    original: Annotated[str | None, typer.Option(help="Model folder before unlearning.")] = None,
    unlearned: Annotated[str | None, typer.Option(help="Model folder after unlearning.")] = None,
    control: Annotated[str | None, typer.Option(help="Model folder trained without the data.")] = None,
    probes: Annotated[
        Path | None, typer.Option(help="JSONL of facts: question, answer, value, subject, paraphrases.")
    ] = None,
    retain: Annotated[Path | None, typer.Option(help="Without a request: JSONL of facts that should stay.")] = None,
    unseen: Annotated[Path | None, typer.Option(help="Without a request: JSONL of facts never trained on.")] = None,
    battery: Annotated[str, typer.Option(help="standard or quick.")] = "standard",
    replay: Annotated[bool, typer.Option(help="Train the touched units again and compare bits.")] = True,
    project: Where = HERE,
    json: AsJson = False,
) -> None:
    """Attack the result beside the original and a control. Exit code 1: not forgotten or damaged; 3: INCONCLUSIVE.

    Try: [bold]expunge verify req-0123456789[/]
    """
    from expunge.cli.verdict import exit_code, show_audit
    from expunge.workflow.ask import audit_folders
    from expunge.workflow.verify import verify_request

    with working("verify") as progress:
        if request is not None:
            opened = _open(project)
            with opened.writing():
                result = verify_request(
                    opened, request, progress, probes=probes, control=control, battery=battery, replay=replay
                )
        else:
            result = audit_folders(original, unlearned, control, probes, retain, unseen, battery, progress)
    show_audit(result)
    if json:
        data(result.to_json())
    raise typer.Exit(exit_code(result))


@app.command()
def deliver(
    request: Req,
    override: Annotated[
        str | None, typer.Option(help="Deliver in spite of this flag; the certificate shows it.")
    ] = None,
    project: Where = HERE,
    json: AsJson = False,
) -> None:
    """Switch to the new version; purge the old one, checkpoints, caches, attack by-products and reachable copies.

    Try: [bold]expunge deliver req-0123456789[/]
    """
    from expunge.workflow.deliver import deliver_request

    opened = _open(project)
    with opened.writing():
        done = deliver_request(opened, request, override)
    say(f"'{done['model']}' serves the new version; purged: {', '.join(done['purged'])}")
    for uri in done["unreachable"]:
        say(f"[yellow]not reached[/]: {uri}")
    if json:
        data(done)


@app.command()
def certify(request: Req, project: Where = HERE, json: AsJson = False) -> None:
    """Sign what was done and found, append its hash to the log, and write the page.

    Try: [bold]expunge certify req-0123456789[/]
    """
    from expunge.workflow.certify import PROOF, certify_request
    from expunge.workflow.evidence import write_page

    opened = _open(project)
    with opened.writing():
        path = certify_request(opened, request)
        page = write_page(opened, request)
    trust = opened.root / "signer.pub.pem"
    say(f"certificate {path}\npage {page}\ncheck it: expunge check {path} --trust {trust} --log {opened.log_folder}")
    if json:
        data(
            {
                "certificate": str(path),
                "proof": str(path.with_name(PROOF)),
                "page": str(page),
                "log": str(opened.log_folder),
            }
        )


@app.command()
def check(
    certificate: Annotated[Path, typer.Argument(help="A certificate.")],
    trust: Annotated[
        list[Path] | None, typer.Option(help="Public key of a signer you trust, got by another way.")
    ] = None,
    log: Annotated[Path | None, typer.Option(help="The log folder.")] = None,
    proof: Annotated[Path | None, typer.Option(help="The .tlog-proof file, instead of the log.")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="A checkpoint of the log that was kept elsewhere.")] = None,
    model: Annotated[Path | None, typer.Option(help="The folder of the delivered model.")] = None,
    manifest: Annotated[Path | None, typer.Option(help="The manifest of the dataset.")] = None,
    json: AsJson = False,
) -> None:
    """Check a certificate offline. Exit code 0 only if everything asked for was checked and holds; 1 failed; 3 untrusted.

    Try: [bold]expunge check certificate.intoto.json --trust signer.pub.pem --log log[/]
    """
    from expunge.certify import check as run

    beside = certificate.with_name("certificate.tlog-proof")
    if log is None and proof is None and beside.exists():
        proof = beside
    found = run(
        certificate,
        trust=trust or (),
        log=log,
        proof=proof,
        checkpoint=checkpoint,
        model=model,
        manifest=manifest,
    )
    mark = {"ok": "[green]ok[/]     ", "failed": "[red]FAILED[/] ", "not run": "[yellow]not run[/]"}
    from rich.markup import escape

    for step in found.steps:
        say(f"{mark[step.status]} {step.name}: {escape(step.message)}")
    for warning in found.warnings:
        say(f"[yellow]note[/]    {escape(warning)}")
    say(
        {
            0: "the certificate holds",
            1: f"the certificate is REFUSED: {escape(str(found.first_failure))}",
        }.get(found.exit_code, "NOT ESTABLISHED: see what was not run or is not trusted")
    )
    if json:
        data(found.to_json())
    raise typer.Exit(found.exit_code)


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
    from expunge.workflow.evidence import evidence_of, write_page

    opened = _open(project)
    path = write_page(opened, request, out)
    say(f"page {path}")
    if json:
        data({**evidence_of(opened, request), "page": str(path)})


@app.command()
def edit(
    model: Annotated[str, typer.Argument(help="A model folder or hub id.")],
    method: Annotated[str, typer.Option(help="An approximate method.")],
    forget: Annotated[Path, typer.Option(help="JSONL with question and answer of what to forget.")],
    retain: Annotated[Path, typer.Option(help="The same for what to keep.")],
    out: Annotated[Path, typer.Option(help="Folder for the edited model.")],
    lr: Annotated[float | None, typer.Option(help="Learning rate.")] = None,
    steps: Annotated[int | None, typer.Option(help="Number of steps.")] = None,
    json: AsJson = False,
) -> None:
    """Edit a model by an approximate method, without a project. The result is only what attacks measure.

    Try: [bold]expunge edit ./model --method npo --forget f.jsonl --retain r.jsonl --out ./edited[/]
    """
    from expunge.workflow.ask import edit_folder

    with working("edit") as progress:
        done = edit_folder(model, method, forget, retain, out, lr, steps, progress)
    say(
        f"edited by {method} ({done['guarantee']}: {done['means']}) → {out}\n"
        f"attack it: expunge verify --original {model} --unlearned {out} --control … --probes …"
    )
    if json:
        data(done)


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
