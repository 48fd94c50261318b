"""One audit's document → the strings of its page. What is missing is a word here, never a blank or a crash."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from expunge.core import Outcome
from expunge.report.claims import WITHHELD, may_be_claimed
from expunge.report.document_view import made_words
from expunge.report.headline import headline
from expunge.report.heat_map import arms_of, lines_of
from expunge.report.row_view import RowView, row_view
from expunge.report.words import (
    NOT_MEASURED,
    NOT_RUN,
    UNKNOWN,
    decimals,
    items,
    mapping,
    number,
    percent,
    plural,
    seconds,
    text,
)

Cells = list[str]
SHOWN_PERSONS = 5

_CONTROLS = {
    "retrained": "a model trained without the data",
    "placebo": "made-up facts, asked of the unlearned model itself",
}
_WEAKER = (
    "The control is made-up facts and not a model trained without the data: it says nothing of what a model could infer "
    "about the forgotten from the data that remain."
)


@dataclass(frozen=True, kw_only=True)
class AuditView:
    """Everything the template prints, in its order."""

    title: str
    meta: str
    headline: str
    alerts: list[str]
    row: RowView
    facts: list[tuple[str, str]]
    commitment: str
    procedure: str
    power: list[str]
    left_open: list[tuple[str, str]]  # outcome or "did not run", and the attacks
    noise: str
    persons: list[Cells]
    persons_note: str
    spent_headings: Cells
    spent: list[Cells]
    arms: list[Cells]
    failures: list[str]


def audit_view(document: Mapping[str, Any]) -> AuditView:
    row = as_row(document)
    view = row_view(row)
    persons, note = _persons(document)
    return AuditView(
        title=text(document.get("title"), "Audit of an unlearned model"),
        meta=made_words(document, f"tool {UNKNOWN}"),
        headline=headline({"rows": [row]}),
        alerts=_alerts(document, row),
        row=view,
        facts=_facts(document),
        commitment=text(document.get("commitment")),
        procedure=procedure_words(document),
        power=power_words(document),
        left_open=_left_open(document),
        noise=_noise(document),
        persons=persons,
        persons_note=note,
        spent_headings=["attack", *arms_of(document), "seconds"],
        spent=_spent(document),
        arms=_arms(document),
        failures=_failures(document),
    )


def as_row(document: Mapping[str, Any]) -> dict[str, Any]:
    """The audit as the row that claims are drawn from."""
    return {"audit": document, "guarantee": document.get("guarantee"), "replay": document.get("replay")}


def power_words(document: Mapping[str, Any]) -> list[str]:
    """What these probes could have shown, and what they could not.

    >>> power_words({"power": {"n_facts": 12, "n_people": 1, "detectable": None, "needed": 93}})[1]
    'No leak of any size could have been shown with so few.'
    """
    power = mapping(document.get("power"))
    if not power:
        return [f"{UNKNOWN}: this document does not say how small a leak its probes could have shown."]
    sentences = [
        f"{_counted(power.get('n_facts'), 'fact')} about {_counted(power.get('n_people'), 'person', 'people')} were asked."
    ]
    seen, needed, have = number(power.get("detectable")), number(power.get("needed")), number(power.get("n_facts"))
    if seen is not None:
        sentences.append(
            f"An attack would have reported a leak of {percent(seen)} of what the original knew, or more, four times in "
            "five. A smaller one could have been missed."
        )
    elif "detectable" in power and power["detectable"] is None:
        sentences.append("No leak of any size could have been shown with so few.")
    else:
        sentences.append(f"The smallest leak that could have been seen: {UNKNOWN}.")
    if needed is not None:
        enough = have is not None and have >= needed
        tail = "" if enough else ": finding nothing with fewer is no evidence"
        sentences.append(f"To show that nothing comes back takes at least {needed:.0f} facts{tail}.")
    return sentences


def procedure_words(document: Mapping[str, Any]) -> str:
    """Whose the level is: that of the procedure on canary people, or of these people's own facts."""
    procedure = mapping(document.get("procedure"))
    if not procedure:
        return "No audit of the procedure on canary people is attached: what is said here rests on these facts alone."
    flags = ", ".join(text(flag) for flag in items(procedure.get("flags"))) or (
        "none" if isinstance(procedure.get("flags"), list | tuple) else UNKNOWN
    )
    return (
        f"The same method and configuration was audited on {_counted(procedure.get('n_facts'), 'canary fact')} of "
        f"{_counted(procedure.get('n_people'), 'canary person', 'canary people')}, with flags: {flags}. A level belongs to that "
        "procedure; the findings below belong to the people asked about. Its own findings are not in this document."
    )


def _counted(value: object, one: str, many: str = "") -> str:
    known = number(value)
    return f"{UNKNOWN} {many or one + 's'}" if known is None else plural(int(known), one, many)


def _alerts(document: Mapping[str, Any], row: Mapping[str, Any]) -> list[str]:
    sentences = []
    if may_be_claimed(row) == WITHHELD:
        sentences.append(WITHHELD)
    kind = mapping(document.get("control")).get("kind")
    if kind == "placebo":
        sentences.append(_WEAKER)
    elif kind is None:
        sentences.append("No control is named in this document: without one, a score cannot be judged.")
    if skipped := [line.attack for line in lines_of(document) if not line.finding]:
        sentences.append(f"Named by the battery, but without a finding: {', '.join(skipped)}.")
    return sentences


def _facts(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    battery, control = mapping(document.get("battery")), mapping(document.get("control"))
    looked = document.get("duplicates")
    return [
        ("Battery", f"{text(battery.get('name'))}, version {text(battery.get('version'))}"),
        ("Threshold τ", decimals(battery.get("tau"))),
        ("Control", _CONTROLS.get(str(control.get("kind")), UNKNOWN)),
        ("Second control", {True: "yes", False: NOT_RUN}.get(control.get("second", None), UNKNOWN)),
        ("Retained skill", skill_words(document)),
        ("Duplicates kept", f"{UNKNOWN}: nobody looked" if looked is None else text(looked)),
        ("Promised", text(document.get("guarantee"))),
        ("Took", seconds(document.get("elapsed_s"))),
    ]


def skill_words(document: Mapping[str, Any]) -> str:
    """The retained skill beside the arm that it is measured by, with its upper bound and both arms' own skill where the audit
    has them: a model that hardly learned keeps nearly all of little."""
    known = percent(document.get("skill"), NOT_MEASURED, floor=True)
    measure = "original" if mapping(document.get("control")).get("kind") == "placebo" else "control"
    high = percent(document.get("skill_high"), "")
    most = f", at most {high}" if high else ""
    own, beside = (_mean_skill(document, arm) for arm in ("unlearned", measure))
    right = f" ({own} of retained questions right, {beside} in the {measure})" if own and beside else ""
    return known if known == NOT_MEASURED else f"{known} of the {measure}’s{most}{right}"


def _mean_skill(document: Mapping[str, Any], arm: str) -> str:
    """An arm's own share; nothing where the document holds none."""
    values = [number(one) for one in items(mapping(mapping(document.get("arms")).get(arm)).get("skill"))]
    known = [one for one in values if one is not None]
    return percent(sum(known) / len(known), "") if known and len(known) == len(values) else ""


_OPEN = {
    Outcome.INCONCLUSIVE.value: "Neither shown nor ruled out",
    Outcome.NO_CONTRAST.value: "Silence means nothing: the original hardly beats the control",
}


def _left_open(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    found: dict[str, list[str]] = {}
    for line in lines_of(document):
        outcome = line.finding.get("outcome")
        if not line.finding:
            found.setdefault("Without a finding", []).append(line.attack)
        elif outcome == Outcome.INCONCLUSIVE and all(cell.share is None for cell in line.cells):
            found.setdefault("Did not run", []).append(line.attack)
        elif str(outcome) in _OPEN:
            found.setdefault(_OPEN[str(outcome)], []).append(line.attack)
        elif outcome not in (Outcome.RECOVERED, Outcome.NOT_RECOVERED):
            found.setdefault(f"Outcome {UNKNOWN}", []).append(line.attack)
    return [(why, ", ".join(names)) for why, names in found.items()]


def _noise(document: Mapping[str, Any]) -> str:
    if mapping(document.get("control")).get("second") is not True:
        return (
            f"Noise floor: {UNKNOWN}. There was no second control, so nothing shows how far two models that never saw the data "
            "differ."
        )
    floor = mapping(document.get("noise_floor"))
    if number(floor.get("recovered")) is None:
        return "Noise floor: not measured. No attack could be judged on the second control."
    return (
        f"Noise floor: a second control, which never saw the data either, “recovers” {decimals(floor['recovered'])} at most "
        f"(by {text(floor.get('attack'))})."
    )


def _persons(document: Mapping[str, Any]) -> tuple[list[Cells], str]:
    """The worst first, as they stand in the document, and what a reader must know beside them."""
    given = document.get("persons")
    if not isinstance(given, list | tuple):
        return [], f"{UNKNOWN}: this document does not look at people one by one."
    rows = [mapping(person) for person in given]
    if not rows:
        return [], "No person could be looked at alone: no attack had enough contrast on their facts."
    shown = [
        [
            text(person.get("person")),
            text(person.get("n_facts")),
            text(person.get("attack")),
            *(decimals(person.get(arm)) for arm in ("original", "unlearned", "control")),
        ]
        for person in rows[:SHOWN_PERSONS]
    ]
    return shown, (
        f"The {len(shown)} of {plural(len(rows), 'person', 'people')} of whom most came back, each by the attack that brought out "
        "most; named by salted digests. These are estimates from few facts, chosen for being the largest: they say whom to look at."
    )


def _spent(document: Mapping[str, Any]) -> list[Cells]:
    """Attack, thousands of tokens and steps on each arm, seconds on all."""
    arms = [mapping(mapping(document.get("arms")).get(arm)) for arm in arms_of(document)]
    names = dict.fromkeys(text(a) for arm in arms for key in ("spent", "elapsed_s") for a in mapping(arm.get(key)))
    rows = []
    for name in names:
        took = [number(mapping(arm.get("elapsed_s")).get(name)) for arm in arms]
        known = [t for t in took if t is not None]
        cells = [_budget(mapping(mapping(arm.get("spent")).get(name))) for arm in arms]
        rows.append([name, *cells, f"{sum(known):.1f}" if known else UNKNOWN])
    return rows


def _budget(spent: Mapping[str, Any]) -> str:
    """
    >>> _budget({"tokens": 1234567, "steps": 360}), _budget({"tokens": 12, "steps": 0}), _budget({})
    ('1,235 k · 360', '< 1 k', '–')
    """
    tokens, steps = number(spent.get("tokens")), number(spent.get("steps"))
    if tokens is None:
        return "–"
    read = f"{tokens / 1000:,.0f} k" if tokens >= 500 else "< 1 k"
    return f"{read} · {steps:,.0f}" if steps else read


def _arms(document: Mapping[str, Any]) -> list[Cells]:
    arms = mapping(document.get("arms"))
    rows = []
    for name in arms_of(document):
        arm = mapping(arms.get(name))
        if not arm:
            rows.append([name, NOT_RUN, "–", "–", "–", "–"])
            continue
        kind = {"model": "a model", "placebo": "made-up facts"}.get(str(arm.get("kind")), UNKNOWN)
        rows.append([
            name, kind, text(arm.get("digest")), text(arm.get("precision")),
            str(len(mapping(arm.get("scores")))), str(len(mapping(arm.get("failed")))),
        ])  # fmt: skip
    return rows


def _failures(document: Mapping[str, Any]) -> list[str]:
    """Why attacks could not run, once for arms that share a reason."""
    arms, by_reason = mapping(document.get("arms")), dict[tuple[str, str], list[str]]()
    for name in arms_of(document):
        for attack, reason in mapping(mapping(arms.get(name)).get("failed")).items():
            by_reason.setdefault((text(attack), text(reason, "no reason given")), []).append(name)
    return [f"{attack} on {_joined(names)}: {reason}" for (attack, reason), names in by_reason.items()]


def _joined(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
