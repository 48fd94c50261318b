"""One finding → words: what each arm scored, what came back, and how far that may be trusted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from expunge.core import Outcome
from expunge.report.marks import Mark, outcome_mark
from expunge.report.words import NOT_MEASURED, decimals, interval, mapping, number, text
from expunge.verify.scores import ARMS

Strings = dict[str, str]


@dataclass(frozen=True, kw_only=True)
class FindingView:
    """One line of the findings table."""

    attack: str
    family: str
    arms: list[Strings]
    contrast: str
    recovered: str
    mark: Mark
    reason: str
    facts: str


def finding_view(finding: Mapping[str, Any]) -> FindingView:
    n, needed = finding.get("n_facts"), finding.get("facts_needed")
    facts = text(n) if n else "none"
    return FindingView(
        attack=text(finding.get("attack")),
        family=text(finding.get("family")),
        arms=[_arm(finding, arm) for arm in ARMS],
        contrast=decimals(finding.get("contrast_low"), NOT_MEASURED),
        recovered=recovered_words(finding, "does not exist"),
        mark=outcome_mark(finding.get("outcome")),
        reason=text(finding.get("reason"), "no reason given"),
        facts=f"{facts} of {text(needed)} needed" if needed else facts,
    )


def membership_view(finding: Mapping[str, Any]) -> FindingView | None:
    """Membership has no recovered fraction: its bounds are of the difference in AUC to the control."""
    if not finding:
        return None
    return replace(
        finding_view(finding),
        attack="membership",
        arms=[_arm(finding, arm) | {"bounds": ""} for arm in ARMS],
        contrast=NOT_MEASURED,
        recovered=NOT_MEASURED if number(finding.get("low")) is None else _bounds(finding),
    )


def membership_words(outcome: str) -> str:
    """What an outcome means on this axis, where "recovered" has another sense."""
    return _MEMBERSHIP.get(outcome, "The outcome is not one that this version of the page knows.")


_MEMBERSHIP = {
    Outcome.RECOVERED.value: "Members can be told from strangers differently than with the control: "
    "the model gives away who was in the training data or who was taken out.",
    Outcome.NOT_RECOVERED.value: "No difference to the control beyond the margin was found.",
    Outcome.INCONCLUSIVE.value: "Neither a difference nor its absence was shown.",
    Outcome.NO_CONTRAST.value: "The original does not give its members away either, so this says nothing.",
}


def mean_of(finding: Mapping[str, Any], arm: str) -> float | None:
    """An arm's score, where it has one."""
    return number(mapping(mapping(finding.get("arms")).get(arm)).get("mean"))


def recovered_words(finding: Mapping[str, Any], missing: str = "no RF") -> str:
    """The recovered fraction with its bounds."""
    known = number(finding.get("recovered")) is not None
    return f"{decimals(finding['recovered'])} {_bounds(finding)}" if known else missing


def gap_words(finding: Mapping[str, Any]) -> str:
    """The bounds of membership's difference in AUC to the control."""
    return "no ΔAUC" if number(finding.get("low")) is None else f"Δ {_bounds(finding)}"


def measured(found: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Findings that have a recovered fraction, the largest first."""
    known = [f for f in found if number(f.get("recovered")) is not None]
    return sorted(known, key=lambda f: -float(f["recovered"]))


def _bounds(of: Mapping[str, Any]) -> str:
    return interval(of.get("low"), of.get("high"))


def _arm(finding: Mapping[str, Any], arm: str) -> Strings:
    score = mapping(mapping(finding.get("arms")).get(arm))
    if number(score.get("mean")) is None:
        return {"mean": "no score", "bounds": "", "setting": ""}
    return {
        "mean": decimals(score["mean"]),
        "bounds": _bounds(score),
        "setting": text(score.get("setting"), ""),
    }
