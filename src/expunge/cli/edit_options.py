"""What may be said of an edit on the command line, declared once: `expunge edit` and `expunge forget --route edit` take it all."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from inspect import Parameter, signature
from typing import Annotated, Any, get_type_hints

import typer


@dataclass(frozen=True, kw_only=True)
class EditOptions:
    """Every option with its words; None where it is not given, and `Edit` decides."""

    lr: Annotated[float | None, typer.Option(help="Learning rate; about 1e-5 for billions of parameters.")] = None
    steps: Annotated[int | None, typer.Option(help="Number of steps.")] = None
    forget_batch: Annotated[int | None, typer.Option(help="Rows to forget in each step.")] = None
    retain_batch: Annotated[int | None, typer.Option(help="Rows to keep in each step.")] = None
    seed: Annotated[int | None, typer.Option(help="Decides the order of rows and all that is drawn.")] = None
    threads: Annotated[
        int | None,
        typer.Option(help="Threads; other numbers give other bits. More than there are idle cores is slower than one."),
    ] = None
    lora: Annotated[int | None, typer.Option(help="Train adapters of this rank, merged at the end.")] = None
    modules: Annotated[
        str | None, typer.Option(help="Train only parameters whose names match this regular expression.")
    ] = None
    guard: Annotated[bool, typer.Option("--guard/--no-guard", help="Go back before the retained rows are wrecked.")] = (
        True
    )
    until: Annotated[float | None, typer.Option(help="End when no larger share of the forgotten tokens is right.")] = (
        None
    )
    checkpointing: Annotated[bool, typer.Option("--checkpointing", help="Less memory, more time.")] = False
    every: Annotated[
        int | None, typer.Option(help="Steps between checkpoints; default: five minutes, or a twentieth of the run.")
    ] = None
    set: Annotated[list[str] | None, typer.Option(help="A parameter of the method, as key=value. May be repeated.")] = (
        None
    )

    def settings(self) -> dict[str, Any]:
        """Those of `Edit` that were said. Not guarded, an edit is still looked at: what it kept is told."""
        settings = {
            f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("guard", "checkpointing", "set")
        }
        switches = {} if self.guard else {"guard": 0.0}
        switches |= {"checkpointing": True} if self.checkpointing else {}
        return {name: value for name, value in settings.items() if value is not None} | switches


NOTHING_SAID = EditOptions()


def with_edit_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command takes every field of `EditOptions` as an option of its own, in the place of its parameter `edit`."""
    hints = get_type_hints(EditOptions, include_extras=True)
    each = [
        Parameter(f.name, Parameter.KEYWORD_ONLY, default=f.default, annotation=hints[f.name])
        for f in fields(EditOptions)
    ]
    own = [p.replace(kind=Parameter.KEYWORD_ONLY) for p in signature(command, eval_str=True).parameters.values()]
    at = next(k for k, p in enumerate(own) if p.name == "edit")

    @wraps(command)
    def taking(**given: Any) -> None:
        edit = EditOptions(**{p.name: given.pop(p.name) for p in each})
        command(**given, edit=edit)

    taken = [*own[:at], *each, *own[at + 1 :]]
    taking.__signature__ = signature(command).replace(parameters=taken)  # type: ignore[attr-defined]
    taking.__annotations__ = {p.name: p.annotation for p in taken}
    del taking.__wrapped__  # typer would read the hints of what is wrapped
    return taking
