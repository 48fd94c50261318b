"""What came of checking a certificate: one line per step, and what follows from them."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from expunge.certify.statement import Statement

Status = Literal["ok", "failed", "not run"]


class Step(NamedTuple):
    """One question that was asked of a certificate."""

    name: str
    status: Status
    message: str


@dataclass(frozen=True)
class Check:
    """Every step in order. `needed` names those that must be ok for a pass; the others were not asked for.

    `statement` is what the certificate says, or None where its signature or form did not hold; `said` is what a reader must
    not miss of it, in sentences.

    >>> steps = Step("signature", "ok", "valid"), Step("signer", "not run", "unknown")
    >>> Check(steps, needed=frozenset({"signature", "signer"})).exit_code
    3
    """

    steps: tuple[Step, ...]
    needed: frozenset[str]
    warnings: tuple[str, ...] = ()
    statement: Statement | None = None
    said: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0: every needed step is ok. 1: something failed. 3: nothing failed, but a needed step is not ok."""
        if any(step.status == "failed" for step in self.steps):
            return 1
        shown = {step.name for step in self.steps if step.status == "ok"}
        return 0 if self.needed <= shown else 3

    @property
    def first_failure(self) -> str | None:
        """The first step that failed, with its reason."""
        return next((f"{step.name}: {step.message}" for step in self.steps if step.status == "failed"), None)

    def to_json(self) -> dict[str, Any]:
        return {
            "exit_code": self.exit_code,
            "verdict": {0: "pass", 1: "failed", 3: "inconclusive"}[self.exit_code],
            "first_failure": self.first_failure,
            "steps": [step._asdict() for step in self.steps],
            "warnings": list(self.warnings),
            "said": list(self.said),
            "statement": self.statement,
        }
