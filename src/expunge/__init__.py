"""Expunge: remove data from trained models, and show honestly whether it is gone."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from expunge.approximate import Edit as Edit
    from expunge.core.version import __version__ as __version__
    from expunge.workflow.alone.edit import edit as edit
    from expunge.workflow.inputs.training import Recipe as Recipe
    from expunge.workflow.inputs.training import Training as Training
    from expunge.workflow.shapes.split import split as split
    from expunge.workflow.shapes.track import Track as Track

__all__ = ["Edit", "Recipe", "Track", "Training", "__version__", "edit", "split"]

_HOMES = {
    "__version__": "expunge.core.version",
    "Edit": "expunge.approximate",
    "Recipe": "expunge.workflow.inputs.training",
    "Track": "expunge.workflow.shapes.track",
    "Training": "expunge.workflow.inputs.training",
    "edit": "expunge.workflow.alone.edit",
    "split": "expunge.workflow.shapes.split",
}


def __getattr__(name: str) -> Any:
    """Names and rooms are imported when first used, so that `import expunge` costs nothing and needs no torch."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in (
        "approximate",
        "certify",
        "core",
        "engine",
        "exact",
        "ledger",
        "report",
        "synthetic",
        "testing",
        "verify",
    ):
        return import_module(f"expunge.{name}")
    raise AttributeError(f"expunge has no '{name}'")
