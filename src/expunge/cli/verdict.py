"""An audit in a terminal, and the exit code it stands for."""

from typing import Any

from expunge.cli.show import say, table
from expunge.core import Flag, Outcome

FAILS = {Flag.HIDDEN, Flag.RETAINED, Flag.PARTIAL, Flag.DAMAGED, Flag.TAINTED, Flag.EXPIRED}


def exit_code(audit: Any) -> int:
    """1 if something came back or the model is wrecked, 3 if the evidence does not suffice, else 0."""
    if FAILS & set(audit.flags):
        return 1
    return 3 if Flag.INCONCLUSIVE in audit.flags else 0


def show_audit(audit: Any) -> None:
    """Findings as a table, then level and flags with what they mean."""
    rows = []
    for f in [*audit.findings, audit.membership]:
        arms = {name: f"{score.mean:.2f}" for name, score in f.arms.items()}
        interval = "–" if f.low is None or f.high is None else f"[{f.low:.2f}, {f.high:.2f}]"
        rows.append(
            {
                "attack": f.attack,
                "original": arms.get("original", "–"),
                "unlearned": arms.get("unlearned", "–"),
                "control": arms.get("control", "–"),
                "recovered": "–" if f.recovered is None else f"{f.recovered:.2f} {interval}",
                "outcome": f.outcome.value,
            }
        )
    table("What each attack recovered", rows)
    for f in [*audit.findings, audit.membership]:
        if f.outcome is not Outcome.NOT_RECOVERED:
            say(f"  {f.attack}: {f.reason}")
    skill = "not measured" if audit.skill is None else f"{audit.skill:.2f} of the control's"
    replay = {True: "matched", False: "did NOT match", None: "was not run"}[audit.replay]
    say(f"retained skill {skill}; the replay {replay}")
    say(f"[bold]{audit.assurance.name}[/]: {audit.assurance.sentence}")
    for flag in audit.flags:
        say(f"[bold]{flag.value}[/]: {flag.sentence}")
