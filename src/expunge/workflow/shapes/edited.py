"""A whole model edited by an approximate method: what was asked of the edit is recorded, and can be asked again."""

import ast
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from expunge.core import Promise, Unit
from expunge.core.errors import InvalidParameter, NotReady
from expunge.ledger import UnitMembers
from expunge.workflow.shapes.job import Job
from expunge.workflow.shapes.made import Made
from expunge.workflow.shapes.whole import WHOLE, load_whole


def edited(job: Job) -> Made:
    """The model after the edit that the job's options name.

    Raises: InvalidParameter, without a method; NotReady, where the records are gone from the file; and what `run_edit` raises.
    """
    from expunge.approximate import Edit, methods, run_edit
    from expunge.engine import save_model
    from expunge.workflow.inputs.method import method_of

    if not job.leaving.theirs:
        raise NotReady(
            "an edit needs the words of the records that leave, and all of them are gone from the file; lay them there until the "
            "request has ended, or choose another route or `expunge destroy`"
        )
    name = job.options.get("method")
    if not name:
        raise InvalidParameter(f"an edit needs a method; name one with --method: {', '.join(methods.names())}")
    method = method_of(name, job.options.get("set") or ())
    known = {field.name for field in fields(Edit)}
    settings = Edit(**{k: v for k, v in job.options.items() if k in known and v is not None})
    version = job.version
    model, tokenizer = load_whole(job.project.folder(version), version.recipe["shape"])
    done = run_edit(
        model,
        tokenizer,
        [row.record for row in job.leaving.theirs],
        job.leaving.retained,
        method,
        settings,
        folder=job.work / f"edit-{name}",
        progress=lambda step, total: job.progress(name, step, total),
    )
    assumptions = ("training recipe and data of the adopted model are UNKNOWN",)
    return Made(
        kind="adopted",
        write=lambda folder: save_model(done.model, tokenizer, folder),
        units=(UnitMembers(Unit("model", (), "UNKNOWN"), None),),
        promise=Promise(guarantee=done.guarantee, scope="weights", assumptions=assumptions),
        recipe={**version.recipe, "shape": WHOLE, "method": repr(method), "settings": asdict(settings)},
        trained_on="UNKNOWN",
        seconds=done.elapsed_s,
        method=name,
        notes=(*done.notes, *([done.kept.sentence()] if done.kept else [])),
    )


def options() -> tuple[str, ...]:
    """What `expunge forget` may say of an edit: its method with parameters, and every setting of `Edit`."""
    from expunge.approximate import Edit

    return ("method", "set", *(field.name for field in fields(Edit)))


def edit_settings(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of the edit that made a version; none where no edit did."""
    settings = recipe.get("settings", {})
    return _settings_of_0_1_0(settings) if isinstance(settings, str) else dict(settings)


def _settings_of_0_1_0(text: str) -> dict[str, Any]:
    """Release 0.1.0 recorded the `repr` of the settings.

    >>> _settings_of_0_1_0("Edit(lr=0.001, guard=None, shape='constant')")
    {'lr': 0.001, 'guard': None, 'shape': 'constant'}
    """
    call = ast.parse(text, mode="eval").body
    assert isinstance(call, ast.Call)
    return {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
