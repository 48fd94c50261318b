"""The page of an audit says everything the document holds and names everything it lacks."""

import html
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.report.test_render import HOSTILE, Elements, hostile

from expunge.report import audit_page
from expunge.report.audit_page import audit_html
from expunge.report.audit_view import audit_view
from expunge.report.curve_figure import curves_of
from expunge.report.heat_map import lines_of

Make = Callable[..., dict[str, Any]]


def arm(**changes: Any) -> dict[str, Any]:
    return {
        "digest": "sha256:0123abcd",
        "scores": {"direct": {"greedy": [1.0, 0.0]}},
        "failed": {"adjacent": "no fact has adjacent questions"},
        "skill": [1.0],
        "elapsed_s": {"direct": 2.5, "relearn": 10.0},
        "checks": {},
        "spent": {"direct": {"tokens": 123456, "steps": 0}, "relearn": {"tokens": 2_000_000, "steps": 360}},
        "probes": "sha256:cc",
        "precision": "bfloat16",
        "kind": "model",
    } | changes


@pytest.fixture
def whole(audit: Make, finding: Make) -> Make:
    """A document with every part."""

    def make(**changes: Any) -> dict[str, Any]:
        found = [
            finding("direct", 0.01, "NOT_RECOVERED"),
            finding("relearn", 0.41, "RECOVERED", 0.44),
            finding("quantise", 0.05, "INCONCLUSIVE"),
            finding("paraphrase", None, "NO_CONTRAST"),
        ]
        return (
            audit("CLAIMED", ("HIDDEN",), findings=found)
            | {
                "title": "Audit of models/edited",
                "created": "2026-03-01T09:30:00Z",
                "tool": {"name": "expunge", "version": "0.2.0"},
                "duplicates": 0,
                "control": {"kind": "retrained", "second": True},
                "noise_floor": {"attack": "linear_probe", "recovered": 0.037},
                "power": {"n_facts": 200, "n_people": 10, "detectable": 0.31, "needed": 93},
                "commitment": "sha256:feed",
                "procedure": {"assurance": "SUPPRESSED", "flags": ["PARTIAL"], "n_facts": 240, "n_people": 12},
                "curves": {"relearn": {a: [[15, 0.1], [60, 0.4]] for a in ("original", "unlearned", "control")}},
                "persons": [
                    {
                        "person": "facade0123456789",
                        "n_facts": 20,
                        "attack": "relearn",
                        "original": 0.9,
                        "unlearned": 0.85,
                        "control": 0.1,
                    }
                ],
                "arms": {name: arm() for name in ("original", "unlearned", "control", "second control")},
            }
            | changes
        )

    return make


def words(document: dict[str, Any]) -> str:
    return " ".join(html.unescape(re.sub(r"<(?!path)[^>]+>", " ", audit_html(document))).split())


def test_every_part_is_there(whole: Make) -> None:
    said = words(whole())
    for part in (
        "it was hidden, not forgotten",
        "What may be claimed",
        "200 facts about 10 people were asked",
        "a leak of 31 % of what the original knew",
        "“recovers” 0.04 at most (by linear_probe)",
        "240 canary facts of 12 canary people, with flags: PARTIAL",
        "Neither shown nor ruled out quantise",
        "Silence means nothing: the original hardly beats the control paraphrase",
        "facade0123456789 20 relearn 0.90 0.85 0.10",
        "direct 123 k 123 k 123 k 123 k 10.0",
        "relearn 2,000 k · 360",
        "sha256:0123abcd bfloat16 1 1",
        "adjacent on original, unlearned, control and second control: no fact has adjacent questions",
        "Recompute it yourself",
        "Commitment: sha256:feed",
        "standard, version 1",
        "AUC, members against strangers: original 0.94",
        "98.7 % of the control’s",
    ):
        assert part in said, part


def test_the_reasons_of_all_findings_stand_beside_them(whole: Make) -> None:
    document = whole()
    said = words(document)
    for found in document["findings"]:
        assert found["reason"] in said
        assert found["outcome"] in said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"control": {"kind": "placebo", "second": False}}, "The control is made-up facts"),
        ({"control": {"kind": None, "second": False}}, "No control is named"),
        ({"control": {"kind": "placebo", "second": False}}, "98.7 % of the original’s"),
        (
            {"arms": {"unlearned": arm(skill=[1.0, 0.0]), "control": arm(skill=[1.0, 0.5])}},
            "98.7 % of the control’s (50 % of retained questions right, 75 % in the control)",
        ),
        ({"skill_high": 1.024}, "98.7 % of the control’s, at most 102.4 %"),
        ({"control": {"kind": "retrained", "second": False}}, "Noise floor: UNKNOWN"),
        ({"noise_floor": None}, "Noise floor: not measured"),
        ({"power": None}, "does not say how small a leak"),
        ({"power": {"n_facts": 12, "n_people": 1, "detectable": None, "needed": 93}}, "No leak of any size"),
        ({"power": {"n_facts": 12, "n_people": 1, "needed": 93}}, "could have been seen: UNKNOWN"),
        (
            {"power": {"n_facts": 12, "n_people": 1, "detectable": 0.9, "needed": 93}},
            "finding nothing with fewer is no evidence",
        ),
        ({"persons": None}, "UNKNOWN: this document does not look at people"),
        ({"persons": []}, "No person could be looked at alone"),
        ({"duplicates": None}, "UNKNOWN: nobody looked"),
        ({"procedure": None}, "rests on these facts alone"),
        ({"arms": {}}, "Budgets: UNKNOWN"),
        ({"curves": {}}, "No attack of this audit has more than one budget"),
        ({"membership": None}, "Membership: not run."),
        ({"findings": []}, "Named by the battery, but without a finding: direct, relearn."),
        ({"assurance": "EXACT"}, "names a level that its own content does not carry"),
    ],
)
def test_what_is_missing_or_weak_is_said(changes: dict[str, Any], said: str, whole: Make) -> None:
    assert said in words(whole(**changes))


def test_an_empty_document_is_unknown_throughout() -> None:
    said = words({})
    for part in ("No audit was run", "Attacks: not run.", "Audit: not run.", "Commitment: UNKNOWN", "Created UNKNOWN"):
        assert part in said
    assert "NOT_RECOVERED" not in said


JUNK = [None, "x", 3, float("nan"), [], {}, [None], {"a": None}, True, "NaN"]


@pytest.mark.parametrize("junk", JUNK, ids=repr)
def test_no_part_can_crash_the_page(junk: Any, whole: Make) -> None:
    document = whole()
    for key in document:
        broken = document | {key: junk}
        assert audit_view(broken).title
        assert lines_of(broken) or key in ("battery", "findings")
        curves_of(broken)
    assert "</html>" in audit_html(dict.fromkeys(document, junk))
    assert "</html>" in audit_html(document | {"findings": junk, "arms": {"control": junk}, "persons": [junk]})


@pytest.mark.parametrize("junk", JUNK, ids=repr)
def test_no_field_of_a_finding_or_an_arm_can_crash_the_page(junk: Any, whole: Make) -> None:
    document = whole()
    found, one = document["findings"][0], document["arms"]["control"]
    for key in found:
        broken = document | {"findings": [found | {key: junk}]}
        assert audit_view(broken).row.findings
        assert lines_of(broken)
    for key in one:
        assert audit_view(document | {"arms": {"control": one | {key: junk}}}).arms
    fields = dict.fromkeys(found, junk) | {"arms": {"control": dict.fromkeys(("mean", "low", "high", "setting"), junk)}}
    assert "</html>" in audit_html(document | {"findings": [fields], "membership": fields})


def test_every_string_is_escaped(whole: Make, tmp_path: Path) -> None:
    plain = {tag for tag, _ in Elements(audit_html(whole())).found}
    text = audit_page(hostile(whole()), tmp_path / "p.html").read_text("utf-8")
    elements = Elements(text)
    assert elements.open == []
    assert {tag for tag, _ in elements.found} <= plain
    assert not any(name.startswith("on") for _, attributes in elements.found for name in attributes)
    assert html.escape(HOSTILE)[:20] in text


def test_it_needs_nothing_beside_it_and_is_the_same_every_time(whole: Make) -> None:
    text = audit_html(whole())
    assert text == audit_html(whole())
    for tag, attributes in Elements(text).found:
        assert tag not in ("script", "link", "iframe", "img", "object", "base")
        assert (attributes.get("href") or "#").startswith("#")
    assert "http:" not in text
    assert "https:" not in text
    ids = [attributes["id"] for _, attributes in Elements(text).found if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"url\(#([^)]+)\)", text) + re.findall(r'href="#([^"]+)"', text)) <= set(ids)


def test_single_scores_and_facts_are_not_printed(whole: Make) -> None:
    text = audit_html(whole())
    assert "per_fact" not in text
    assert "facefeed" not in text
