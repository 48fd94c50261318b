"""Model in, model out: unlearning methods for models that were not made of units. One method, one file, its formula.

What they do is measured by attacks and never called more than that. `edit` runs any of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from expunge.approximate._registry import methods

if TYPE_CHECKING:
    from expunge.approximate._edit import Edit as Edit
    from expunge.approximate._edit import Edited as Edited
    from expunge.approximate._edit import run_edit as run_edit
    from expunge.approximate._lat import Lat as Lat
    from expunge.approximate._sam import Sam as Sam

__all__ = ["Edit", "Edited", "Lat", "Sam", "methods", "run_edit"]


def __getattr__(name: str) -> Any:
    """The engine behind `edit`, imported when first used, so that listing methods needs no torch."""
    if name in __all__:
        home = f"_{name.lower()}" if name in ("Lat", "Sam") else "_edit"
        return getattr(import_module(f"expunge.approximate.{home}"), name)
    raise AttributeError(f"expunge.approximate has no '{name}'")
