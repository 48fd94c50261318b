"""Everything besides the records and the secret that decides the bits of a model made of units.

What is known to decide them is named: the settings, and the environment of the process. What the names forget shows in
the *canary*: a fixed small piece of the model's own work, a training step, a fit or a kernel, whose digest is kept with the
model, and which is done again before every rebuild and every replay.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from expunge.core.digests import digest_json
from expunge.core.errors import RecipeMismatch

WITHOUT_CANARY = (
    "no fixed piece of this model's own work could be run at its fit, so that bits rest on the versions and modes that are "
    "recorded; another processor, kernel or mode that gives other bits would not be noticed"
)


@dataclass(frozen=True)
class Recipe:
    """Settings and environment as JSON values, and the digest of the canary.

    The canary is None where none could be run: no fixed records suit the estimator (`silence` says how it refused them),
    or an earlier version of Expunge trained the model. Then the names alone are compared, and the model's promise says so.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    canary: str | None = None
    silence: str = field(default="", compare=False)  # why the canary could not be run; words, which decide no bits

    def tried(self, work: Callable[[], str]) -> "Recipe":
        """The same with the digest of this piece of work as its canary; with the reason, where it cannot be done.

        >>> Recipe().tried(lambda: "sha256:a").canary
        'sha256:a'
        >>> Recipe().tried(lambda: str(1 / 0)).silence
        'ZeroDivisionError: division by zero'
        """
        try:
            return replace(self, canary=work(), silence="")
        except Exception as e:  # noqa: BLE001 - whatever an estimator or a model says against what is not its own
            return replace(self, canary=None, silence=f"{type(e).__name__}: {e}".partition("\n")[0])

    def digest(self) -> str:
        return digest_json("recipe", [self.settings, self.environment, self.canary])

    def require(self, here: "Recipe") -> None:
        """See that training here gives the bits that it gave there. Only what this recipe names is compared.

        Raises: RecipeMismatch, which names what differs.

        >>> Recipe(environment={"threads": 1}).require(Recipe(environment={"threads": 1, "machine": "x86_64"}))
        >>> Recipe(canary="sha256:a").require(Recipe(canary="sha256:b"))
        Traceback (most recent call last):
            ...
        expunge.core.errors.RecipeMismatch: ...
        """
        differs = [*_differences(self.settings, here.settings), *_differences(self.environment, here.environment)]
        if differs:
            raise RecipeMismatch(
                f"bits would differ from those of the fit: {'; '.join(differs)}. Restore what was, or train again"
            )
        if self.canary is not None and here.canary is None:
            raise RecipeMismatch(
                f"a fixed piece of this model's own work could not be run here: {here.silence or 'it was not tried'}. At the fit "
                "it could, and whether bits would be the same is not known: rebuild where and as it was trained, or train again"
            )
        if self.canary is not None and self.canary != here.canary:
            raise RecipeMismatch(
                "a fixed piece of this model's own work gives other bits here than it gave at the fit, and nothing that is "
                "recorded says why: look at the processor or GPU, modes of precision, kernels, configuration and code. "
                "Rebuild where and as it was trained, or train again"
            )


def _differences(recorded: Mapping[str, Any], here: Mapping[str, Any], of: str = "") -> Iterator[str]:
    """What is recorded and is not so here, in words."""
    for name in sorted(recorded):
        there, now = recorded[name], here.get(name)
        if isinstance(there, Mapping) and isinstance(now, Mapping):
            yield from _differences(there, now, f"{of}{name}.")
        elif there != now:
            yield f"{of}{name} was {there!r}, is {now!r}"
