"""An approximate edit of a model folder, without a project."""

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from expunge.approximate import Edit, on_disk, run_edit
from expunge.core import Guarantee, Record
from expunge.core.errors import InvalidParameter
from expunge.core.refusals import explaining
from expunge.engine import encode, load_model, load_tokenizer, save_model
from expunge.workflow.alone.energy import Rates, estimated, measured
from expunge.workflow.alone.trackers import Track, tracker
from expunge.workflow.inputs.method import method_of
from expunge.workflow.inputs.sides import text_rows
from expunge.workflow.project.files import new_folder

MEANS = {
    Guarantee.EXACT: "the same as training without the data",
    Guarantee.CERTIFIED: "close to training without the data, within the bound that is stated",
    Guarantee.EMPIRICAL: "no more than what attacks show; nothing is shown until they have run",
    Guarantee.SUPPRESSED: "what the model says was changed; what it knows was not",
}


@dataclass(frozen=True, kw_only=True)
class EditRequest:
    """What to edit, with what, and where to. `parameters` are the method's, as words, `settings` those of `Edit`."""

    model: str
    method: str
    forget: Path
    retain: Path
    out: Path
    settings: Mapping[str, Any] = field(default_factory=dict)
    parameters: Sequence[str] = ()
    track: str | None = None
    device: str = "cpu"
    rates: Rates = field(default_factory=Rates)

    @property
    def state(self) -> Path:
        """Where a run keeps what it needs to go on: beside the result, and gone when that is there."""
        return self.out.with_name(f"{self.out.name}.part")


def edit_folder(request: EditRequest, track: Track, say: Callable[[str], None]) -> dict[str, Any]:
    """Edit a model folder into a new one, which appears only when it is whole. Repeated after a stop, it goes on.

    `track` is told the loss of every step, `say` sentences for people: how files were read, and what it may take.

    Raises: InvalidParameter, where the new folder holds something or a parameter does not exist; what reading, loading
    and `run_edit` raise.
    """
    method, settings = method_of(request.method, request.parameters), Edit(**request.settings)
    if request.out.exists() and (not request.out.is_dir() or any(request.out.iterdir())):
        raise InvalidParameter(f"{request.out} is there and not empty; name a new folder for the edited model")
    with ExitStack() as until_done:
        trackers = [track, *([until_done.enter_context(tracker(request.track, repr(method)))] if request.track else [])]
        model, tokenizer = load_model(request.model).to(request.device), load_tokenizer(request.model)
        forget, retain = (_read(path, side, model, tokenizer, say) for side, path in _files(request))
        sides = [encode(tokenizer, records) for records in (forget, retain)]
        before = estimated(model, tokenizer, sides, settings, request.rates)
        say(f"estimate, for {settings.steps} steps that read both sides once: {before.sentence()}")
        disk = on_disk(trained=_trained(model, settings), stored=_bytes(model), guard=bool(settings.guard))
        say(f"disk: {_bytes(model) / 1e9:.2g} GB for the result, and beside it {disk.sentence()}")

        def tell(stage: str, done: int, total: int, loss: float) -> None:
            for one in trackers:
                one(stage, done, total, loss)

        meter = until_done.enter_context(measured(model, request.rates))
        edited = run_edit(model, tokenizer, forget, retain, method, settings, folder=request.state, track=tell)
    with explaining("what edit writes"), new_folder(request.out) as folder:
        save_model(edited.model, tokenizer, folder)
    return {
        "method": repr(method),
        "settings": asdict(settings),
        "guarantee": edited.guarantee.value,
        "means": MEANS[edited.guarantee],
        "out": str(request.out),
        "seconds": edited.elapsed_s,
        "rows": {"forget": len(forget), "retain": len(retain)},
        "rows_trained": edited.rows_trained,
        "losses": edited.losses,
        "weights": {"moved": edited.weights_moved, "all": edited.weights},
        "kept": _skill_of(edited.kept),
        "notes": list(edited.notes),
        "estimate": {**before.to_json(), "says": before.sentence(), "disk": asdict(disk)},
        "spent": {**meter.spent.to_json(), "says": meter.spent.sentence()},
        "assumed": asdict(request.rates),
        "next": _next(request),
    }


def _read(path: Path, side: str, model: Any, tokenizer: Any, say: Callable[[str], None]) -> tuple[Record, ...]:
    found = text_rows(path, side, model, tokenizer)
    for note in (f"{len(found.records)} rows", *found.notes):
        say(f"{path}: {note}")
    return found.records


def _skill_of(skill: Any) -> dict[str, Any] | None:
    """What is left of the retained rows; None where the settings have no guard and nobody looked."""
    return None if skill is None else {**asdict(skill), "says": skill.sentence()}


def _bytes(model: Any) -> int:
    return sum(p.numel() * p.element_size() for p in model.parameters())


def _trained(model: Any, settings: Edit) -> int:
    """Weights that an edit trains at most: all, those of the modules that are named, or of adapters on every linear map."""
    if not settings.lora:
        return sum(p.numel() for name, p in model.named_parameters() if re.search(settings.modules, name))
    shapes = [m.weight.shape for m in model.modules() if getattr(m, "weight", None) is not None and m.weight.dim() == 2]
    return sum(settings.lora * (n_out + n_in) for n_out, n_in in shapes)


def _files(request: EditRequest) -> list[tuple[str, Path]]:
    return [("forget", request.forget), ("retain", request.retain)]


def _next(request: EditRequest) -> str:
    """The command that attacks what was made."""
    words = ["expunge", "verify", "--original", request.model, "--unlearned", str(request.out)]
    words += ["--probes", str(request.forget), "--retain", str(request.retain), "--page", f"{request.out}.html"]
    return shlex.join(words)
