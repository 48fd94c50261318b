"""What a version is asked, what its request claims, and the arms that its shape makes to be attacked."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from expunge.core import Fact, Guarantee, Record
from expunge.ledger import ModelVersion
from expunge.workflow.project.project import Project
from expunge.workflow.shapes.made import Progress

if TYPE_CHECKING:
    from expunge.verify import Audit, ClassifierAudit, Probes


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is asked of the version after a request, beside the one before it, and by which battery.

    `forgotten` are facts as the removed records state them, `records` what `after` learned from. `control` is a folder with
    a model that was trained without these people. `work` keeps scores, so that a stopped audit goes on. `notes` say which
    probes of the user's are left out.
    """

    project: Project
    before: ModelVersion
    after: ModelVersion
    forgotten: Sequence[Fact]
    records: Sequence[Record]
    probes: "Probes"
    battery: str
    work: Path
    progress: Progress
    control: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What is known of a request beside the attacks, and judged together with them."""

    guarantee: Guarantee = Guarantee.EMPIRICAL
    replay: bool | None = None
    duplicates: int | None = None
    procedure: "Audit | None" = None


class Arms(Protocol):
    """Models, or the scores of those that were attacked already. `notes` say what could not be asked."""

    @property
    def notes(self) -> tuple[str, ...]: ...

    def audit(self, claim: Claim) -> "Audit | ClassifierAudit":
        """Attack the arms, and judge what was found beside the claim."""
        ...

    def document(self, audit: Any, secret: bytes) -> dict[str, Any]:
        """The audit as it is kept."""
        ...
