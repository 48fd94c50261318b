"""Raw scores of an arm, as its attacks gave them. A judgement needs nothing else, so anybody can judge them again."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from expunge.verify.names import salted

ARMS = ("original", "unlearned", "control")

Scores = dict[str, list[float]]
"""Setting -> one score in [0, 1] per fact to forget, higher where more of the fact came back.

A setting whose name ends in " @ N" is a point on a curve over the budget N (steps, samples, prompts): "lr 0.0002 @ 15".
"""


@dataclass(frozen=True)
class ArmScores:
    """Attack -> setting -> one number per fact; why an attack could not run; retained skill.

    `probes` names what was asked, `precision` in which the weights were. `checks` holds what attacks found out about
    themselves (`Ran`), `spent` the tokens that an attack read of the model and the passes that computed gradients. `kind` is
    "model", or "placebo" where facts never trained on were asked instead of the forgotten.
    """

    digest: str
    scores: dict[str, Scores]
    failed: dict[str, str]
    skill: tuple[float, ...]
    elapsed_s: dict[str, float]
    checks: dict[str, dict[str, Any]] = field(default_factory=dict)
    spent: dict[str, dict[str, int]] = field(default_factory=dict)
    probes: str = ""
    precision: str = ""
    kind: str = "model"
    unseen: tuple[float, ...] = ()  # plain recall of the facts that were never trained on

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def documented(arms: Mapping[str, ArmScores], salt: bytes) -> dict[str, Any]:
    """Arms in a document that stays: what they were asked is named under the salt."""
    return {name: arm.to_json() | {"probes": salted("probes", salt, arm.probes)} for name, arm in arms.items()}
