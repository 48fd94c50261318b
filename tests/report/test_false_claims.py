"""No page, terminal or certificate says a level that `judge` would not give on the findings beside it.

Documents are drawn near the edge: findings that carry a level, with a few things taken away or altered, under any level's
name and any flags.
"""

import contextlib
import html
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from expunge.cli import demo_view
from expunge.cli.show import people_console
from expunge.cli.verdict import exit_code, show_audit
from expunge.core import ArmScore, Assurance, Finding, Flag, Guarantee, Outcome
from expunge.report import audit_page, page, summary_rows
from expunge.report.audit_page import audit_html
from expunge.report.carried import carried, raised
from expunge.report.claims import flags_of, level_of
from expunge.verify.attacks import attacks
from expunge.verify.judgement import REQUIRED, Judgement, Skill, judge
from expunge.workflow.steps.statement import _assurance

NAMES = sorted(
    {name for groups in REQUIRED.values() for group in groups for name in group} | {"adjacent", "soft_prompt"}
)
FAMILIES = {"direct": "plain", "paraphrase": "black box", "probability": "black box", "prompts": "black box"}
NOT_NUMBERS = (None, float("nan"), float("inf"), float("-inf"), "NaN", "Infinity", "0.0", True, [], {})
SLOW = settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
FAST = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))

scores = st.builds(ArmScore, mean=st.floats(0, 1), low=st.just(0.0), high=st.just(1.0))
bounds = st.sampled_from([-0.3, -0.05, 0.0, 0.05, 0.1, 0.11, 0.5, 0.9, None])


def silent(name: str) -> Finding:
    """An attack that found nothing."""
    arms = {arm: ArmScore(mean, mean, mean) for arm, mean in (("original", 0.9), ("unlearned", 0.0), ("control", 0.0))}
    return Finding(
        attack=name,
        family=FAMILIES.get(name, "reading"),
        arms=arms,
        contrast_low=0.8,
        recovered=0.0,
        low=-0.05,
        high=0.05,
        outcome=Outcome.NOT_RECOVERED,
        n_facts=200,
    )


@st.composite
def anything(draw: st.DrawFn, name: str) -> Finding:
    """Any finding of this attack, one that contradicts itself as well."""
    return Finding(
        attack=name,
        family=FAMILIES.get(name, "reading"),
        arms=draw(st.dictionaries(st.sampled_from(["original", "unlearned", "control"]), scores)),
        recovered=draw(bounds),
        low=draw(bounds),
        high=draw(bounds),
        outcome=draw(st.sampled_from(Outcome)),
        applies=draw(st.booleans()),
        reason=draw(st.sampled_from(["", *(level.sentence[:20] for level in Assurance)])),
    )


@st.composite
def judged_documents(draw: st.DrawFn) -> tuple[dict[str, Any], Judgement]:
    """A document under any name, and what `judge` says of its findings."""
    names = NAMES if draw(st.booleans()) else draw(st.lists(st.sampled_from(NAMES), unique=True))
    altered = draw(st.lists(st.sampled_from(NAMES), max_size=2))
    found = [draw(anything(name)) if name in altered else silent(name) for name in names]
    member = draw(st.sampled_from([silent("membership"), Finding(attack="membership", family="membership")]))
    member = Finding(**{**vars(member), "family": "membership"})
    asked: dict[str, Any] = {
        "guarantee": draw(st.sampled_from(Guarantee)),
        "replay": draw(st.sampled_from([True, None, False])),
        "duplicates": draw(st.sampled_from([0, None, 3])),
    }
    people = draw(st.sampled_from([10, 10, 5, 4, 1]))
    share, high = draw(
        st.sampled_from([(1.0, 1.0), (1.0, 1.1), (0.95, 1.0), (0.5, 0.6), (0.8, 1.0), (0.8, None), (None, None)])
    )
    retained = None if share is None else Skill(share, high or share)
    judged = judge(found, member, retained, n_people=people, **asked)
    flags = draw(st.sampled_from([[], None, [f.value for f in judged.flags], ["EXPIRED"]]))
    document = {
        "assurance": draw(st.sampled_from([level.name for level in Assurance])),
        "flags": flags,
        "findings": [f.to_json() for f in found],
        "membership": member.to_json(),
        "power": {"n_people": people, "n_facts": 200, "detectable": 0.2, "needed": 60},
        "control": {"kind": draw(st.sampled_from(["retrained", "placebo", None])), "second": False},
        **asked,
        "skill": share,
        "skill_high": high,
        "guarantee": asked["guarantee"].value,
    }
    return document, judged


def row_of(document: dict[str, Any]) -> dict[str, Any]:
    return {"method": "npo", "guarantee": "EMPIRICAL", "audit": document, "replay": document.get("replay")}


def says_no_more(text: str, most: Assurance) -> None:
    """No sentence of a higher level; no name of one that has no other use on a page."""
    plain = " ".join(html.unescape(text).split())
    for level in Assurance:
        if level > most:
            assert level.sentence not in plain, f"{level.name} is said, {most.name} is carried"
            assert not (level.name.startswith("RESISTS") and level.name in plain), level.name
            assert f"{level.name}: " not in plain


def shown_levels(text: str) -> set[str]:
    return set(re.findall(r'class="level assurance">([^<]*)<', text))


def allowed(most: Assurance) -> set[str]:
    return {level.name for level in Assurance if level <= most} | {"UNKNOWN", "not run"}


@contextlib.contextmanager
def terminal() -> Iterator[io.StringIO]:
    """What people see, on a screen so wide that no word is cut."""
    said, width = io.StringIO(), people_console.width
    people_console.width = 500
    try:
        with contextlib.redirect_stderr(said):
            yield said
    finally:
        people_console.width = width


@given(judged_documents())
@FAST
def test_no_level_above_what_judge_gives_is_taken_over(drawn: tuple[dict[str, Any], Judgement]) -> None:
    document, judged = drawn
    level = level_of(row_of(document))
    assert level is None or level <= judged.assurance
    assert set(judged.flags) <= set(flags_of(row_of(document)))
    assert carried(document) <= judged.assurance


def agrees_with_itself(finding: dict[str, Any]) -> bool:
    """Whether the outcome is one that the bounds beside it can carry."""
    low, high, contrast = finding["low"], finding["high"], finding["contrast_low"]
    match finding["outcome"]:
        case "NOT_RECOVERED":
            return (
                low is not None and high is not None and low <= high <= 0.1 and contrast is not None and contrast >= 0.3
            )
        case "NO_CONTRAST":
            return low is None and contrast is not None and contrast < 0.3
    return True


@given(judged_documents())
@FAST
def test_what_judge_gives_is_shown(drawn: tuple[dict[str, Any], Judgement]) -> None:
    """The control of the test above: silence is not how the page keeps its promise."""
    document, judged = drawn
    if all(agrees_with_itself(f) for f in document["findings"]):
        true = document | {"assurance": judged.assurance.name}
        assert level_of(row_of(true)) is judged.assurance
        assert sorted(raised(true)) == sorted(judged.flags)


@given(judged_documents())
@FAST
def test_no_text_of_the_terminal_says_more(drawn: tuple[dict[str, Any], Judgement]) -> None:
    document, judged = drawn
    with terminal() as said:
        show_audit(document)
    says_no_more(said.getvalue(), judged.assurance)
    for flag in judged.flags:
        assert flag.sentence in said.getvalue()
    if set(judged.flags) & {Flag.HIDDEN, Flag.RETAINED, Flag.PARTIAL, Flag.DAMAGED, Flag.TAINTED}:
        assert exit_code(document) == 1
    elif Flag.INCONCLUSIVE in judged.flags:
        assert exit_code(document) in (1, 3)


@given(judged_documents())
@FAST
def test_no_table_of_the_demo_says_more(drawn: tuple[dict[str, Any], Judgement]) -> None:
    document, judged = drawn
    result = {
        "recalls": {"columns": [], "rows": []},
        "person": {"facts_needed": None},
        "traces": [],
        "check": {"exit_code": 0, "first_failure": None},
        **dict.fromkeys(("certificate", "report"), ""),
        **dict.fromkeys(("seconds", "peak_mb"), 1.0),
    }
    with terminal() as said:
        demo_view._show(result, {"rows": [row_of(document)]})
    says_no_more(said.getvalue(), judged.assurance)
    assert summary_rows({"rows": [row_of(document)]})[0]["assurance"] in allowed(judged.assurance)
    assert not [level for level in Assurance if level > judged.assurance and f" {level.name} " in said.getvalue()]


@given(judged_documents())
@FAST
def test_no_certificate_says_more(drawn: tuple[dict[str, Any], Judgement]) -> None:
    document, judged = drawn
    level, _, words = _assurance(document, {"guarantee": document["guarantee"]})
    assert level <= judged.assurance
    says_no_more(words, judged.assurance)


@given(judged_documents())
@SLOW
def test_no_page_says_more(tmp_path_factory: pytest.TempPathFactory, drawn: tuple[dict[str, Any], Judgement]) -> None:
    document, judged = drawn
    folder = tmp_path_factory.mktemp("pages")
    for path in (
        audit_page(document, folder / "audit.html"),
        page({"rows": [row_of(document)]}, folder / "request.html"),
    ):
        text = path.read_text("utf-8")
        says_no_more(text, judged.assurance)
        assert shown_levels(text) <= allowed(judged.assurance)
        for flag in judged.flags:
            assert flag.sentence in html.unescape(text)


def carrying(level: Assurance) -> dict[str, Any]:
    """A document that carries this level, by `judge`."""
    found = [silent(name) for name in NAMES]
    exact = level is Assurance.EXACT
    document = {
        "assurance": level.name,
        "flags": [],
        "findings": [f.to_json() for f in found],
        "membership": {**silent("membership").to_json(), "family": "membership"},
        "power": {"n_people": 10, "n_facts": 200},
        "skill": 1.0,
        "guarantee": "EXACT" if exact else "EMPIRICAL",
        "replay": True if exact else None,
        "duplicates": 0,
    }
    assert level_of(row_of(document)) is level
    return document


def without(document: dict[str, Any], attack: str) -> list[dict[str, Any]]:
    return [f for f in document["findings"] if f["attack"] != attack]


def adversarial() -> dict[str, dict[str, Any]]:
    """Documents that name a level and are short of it by one thing."""
    white, exact = carrying(Assurance.RESISTS_WHITE_BOX), carrying(Assurance.EXACT)
    made = {
        f"no {name}": white | {"findings": without(white, name)}
        for groups in REQUIRED.values()
        for g in groups
        for name in g
    }
    for value in NOT_NUMBERS:
        made[f"skill {value!r}"] = white | {"skill": value}
        made[f"people {value!r}"] = white | {"power": {"n_people": value}}
        altered = [f | {"high": value} if f["attack"] == "direct" else f for f in white["findings"]]
        made[f"bound {value!r}"] = white | {"findings": altered}
        made[f"exact, replay {value!r}"] = exact | {"replay": None if value is True else value}
    twice = [*white["findings"], white["findings"][0] | {"outcome": "RECOVERED"}]
    return made | {
        "exact, not promised": exact | {"guarantee": "EMPIRICAL"},
        "exact, promise missing": {k: v for k, v in exact.items() if k != "guarantee"},
        "exact, tainted by a word": exact | {"duplicates": "none"},
        "exact, replayed as a word": exact | {"replay": "matched"},
        "theorem": white | {"assurance": "CERTIFIED"},
        "an attack twice": white | {"findings": twice},
        "membership among the attacks": white | {"findings": [*white["findings"], white["membership"]]},
        "findings are words": white | {"findings": ["direct", "relearn"]},
        "findings are missing": {k: v for k, v in white.items() if k != "findings"},
        "outcome in other letters": white | {"findings": [f | {"outcome": "not_recovered"} for f in white["findings"]]},
        "outcome is a list": white | {"findings": [f | {"outcome": ["NOT_RECOVERED"]} for f in white["findings"]]},
        "membership missing": {k: v for k, v in white.items() if k != "membership"},
        "level in other letters": white | {"assurance": "resists_white_box"},
        "level is a number": white | {"assurance": 3},
        "procedure that claims what needs a replay": white
        | {"findings": [], "procedure": {"assurance": "EXACT", "flags": []}},
        "procedure without flags": white | {"findings": [], "procedure": {"assurance": "RESISTS_WHITE_BOX"}},
    }


@pytest.mark.parametrize("name", adversarial())
def test_a_document_short_by_one_thing_shows_no_level(name: str) -> None:
    document = adversarial()[name]
    assert level_of(row_of(document)) is None
    with terminal() as said:
        show_audit(document)
        assert exit_code(document) != 0
    says_no_more(said.getvalue(), Assurance.CLAIMED)
    says_no_more(_assurance(document, {"guarantee": document.get("guarantee", "EMPIRICAL")})[2], Assurance.CLAIMED)


@pytest.mark.parametrize(
    "name", ["no relearn", "exact, replay None", "findings are words", "skill 'NaN'", "level is a number"]
)
def test_its_pages_show_none_either(name: str, tmp_path: Path) -> None:
    document = adversarial()[name]
    for text in (audit_html(document), page({"rows": [row_of(document)]}, tmp_path / "p.html").read_text("utf-8")):
        says_no_more(text, Assurance.CLAIMED)
        assert shown_levels(text) == {"UNKNOWN"}


def test_names_cannot_bring_a_level_in(tmp_path: Path) -> None:
    """Free text that imitates the page's own marks stays text."""
    fake = '</td><span class="level assurance">EXACT</span>'
    document = carrying(Assurance.SUPPRESSED) | {
        "findings": [silent("direct").to_json() | {"attack": fake, "reason": fake}]
    }
    document |= {
        "title": fake,
        "control": {"kind": fake},
        "guarantee": fake,
        "persons": [{"person": fake}],
        "commitment": fake,
    }
    document["arms"] = {
        fake: {"digest": fake, "scores": {fake: {"a": [0.5]}}, "failed": {fake: fake}, "spent": {fake: {"tokens": 1}}}
    }
    document["curves"] = {fake: {"control": [[1, 0.5], [2, 0.5]]}}
    text = audit_page(document, tmp_path / "p.html").read_text("utf-8")
    assert shown_levels(text) == {"UNKNOWN"}
    assert "&lt;span class=" in text


def test_a_document_of_json_is_read_as_one_of_python() -> None:
    """What is written with NaN and read again is judged alike."""
    document = carrying(Assurance.RESISTS_WHITE_BOX)
    document["findings"][0]["high"] = float("nan")
    assert level_of(row_of(json.loads(json.dumps(document)))) is None


def test_the_attacks_drawn_are_those_of_the_rule() -> None:
    assert {"direct", "paraphrase"} <= set(NAMES)
    assert set(NAMES) & set(attacks.names())
