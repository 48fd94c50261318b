"""Ways of getting forgotten facts back. One attack, one file; each runs on any arm, at the same budget."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from expunge.verify.attacks._registry import attacks

if TYPE_CHECKING:
    from expunge.verify.attacks._target import CannotRun as CannotRun
    from expunge.verify.attacks._target import Company as Company
    from expunge.verify.attacks._target import Ran as Ran
    from expunge.verify.attacks._target import Scores as Scores
    from expunge.verify.attacks._target import Target as Target

__all__ = ["CannotRun", "Company", "Ran", "Scores", "Target", "attacks"]


def __getattr__(name: str) -> Any:
    """What an attack is given and what it gives back, imported when first used, so that listing attacks needs no torch."""
    if name in __all__:
        return getattr(import_module("expunge.verify.attacks._target"), name)
    raise AttributeError(f"expunge.verify.attacks has no '{name}'; attacks: {', '.join(attacks.names())}")
