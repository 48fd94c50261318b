"""The page says what the evidence carries, and nothing above it."""

import html
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from expunge.core import Assurance, Flag
from expunge.report import page, summary_rows
from expunge.report.claims import WITHHELD, flags_of, level_of, may_be_claimed, may_not_be_claimed

Make = Callable[..., dict[str, Any]]


def written(document: dict[str, Any], folder: Path) -> str:
    return html.unescape(page(document, folder / "p.html").read_text(encoding="utf-8"))


def shown_levels(text: str) -> set[str]:
    return set(re.findall(r'class="level assurance">([^<]*)<', text))


@pytest.mark.parametrize("level", list(Assurance), ids=lambda level: level.name)
def test_a_level_brings_its_own_sentence_and_no_other(
    level: Assurance, document: Make, row: Make, audit: Make, tmp_path: Path
) -> None:
    replay = True if level is Assurance.EXACT else None
    text = written(document(row(audit=audit(level.name, replay=replay), replay=replay)), tmp_path)
    if level is Assurance.CERTIFIED:  # no findings of attacks carry a theorem
        assert shown_levels(text) == {"UNKNOWN"}
        assert WITHHELD in text
        return
    assert {other for other in Assurance if other.sentence in text} == {level}
    assert shown_levels(text) == {level.name}


def test_a_level_without_the_attacks_it_rests_on_is_withheld(row: Make, audit: Make, finding: Make) -> None:
    assert level_of(row(audit=audit("SUPPRESSED"))) is Assurance.SUPPRESSED
    only = [finding("direct", 0.01, "NOT_RECOVERED")]
    assert level_of(row(audit=audit("SUPPRESSED", findings=only))) is None
    assert level_of(row(audit=audit("SUPPRESSED", power=None))) is None  # nobody knows how many people
    assert level_of(row(audit=audit("SUPPRESSED", skill="Infinity"))) is None
    assert level_of(row(audit=audit("CLAIMED", findings=only))) is Assurance.CLAIMED


def test_a_silence_without_its_bound_is_none(row: Make, audit: Make, finding: Make) -> None:
    for high in (None, float("nan"), "0.05", 0.4):
        found = [finding("direct", 0.01, "NOT_RECOVERED") | {"high": high}, finding("paraphrase", 0.0, "NOT_RECOVERED")]
        assert level_of(row(audit=audit("SUPPRESSED", findings=found))) is None


def test_a_flag_that_the_findings_raise_is_shown_where_it_was_left_out(
    document: Make, row: Make, audit: Make, finding: Make, tmp_path: Path
) -> None:
    found = [finding("direct", 0.01, "NOT_RECOVERED"), finding("relearn", 0.6, "RECOVERED", 0.6)]
    assert flags_of(row(audit=audit("CLAIMED", findings=found))) == ["HIDDEN"]
    text = written(document(row(audit=audit("CLAIMED", findings=found) | {"flags": None})), tmp_path)
    assert f'class="headline">{Flag.HIDDEN.sentence}<' in text


def test_a_level_lent_by_the_procedure_is_said_to_be_its_own(row: Make, audit: Make, finding: Make) -> None:
    lent = {"assurance": "RESISTS_BLACK_BOX", "flags": [], "n_facts": 200, "n_people": 10}
    few = {"power": {"n_facts": 20, "n_people": 1}, "procedure": lent}
    person = row(audit=audit("RESISTS_BLACK_BOX", findings=[finding("direct", 0.0, "INCONCLUSIVE")], **few))
    assert level_of(person) is Assurance.RESISTS_BLACK_BOX
    assert "level of the procedure" in may_be_claimed(person)
    assert flags_of(person) == []
    back = [finding("direct", 0.0, "NOT_RECOVERED"), finding("relearn", 0.9, "RECOVERED", 0.9)]
    assert level_of(row(audit=audit("RESISTS_BLACK_BOX", findings=back, **few))) is None
    for claim in ({"flags": ["DAMAGED"]}, {"flags": None}, {"assurance": "EXACT"}, {"assurance": "CERTIFIED"}):
        assert level_of(row(audit=audit("RESISTS_BLACK_BOX", findings=[], **few | {"procedure": lent | claim}))) is None


@pytest.mark.parametrize("flag", list(Flag))
def test_a_flag_brings_its_own_sentence_and_no_other(
    flag: Flag, document: Make, row: Make, audit: Make, tmp_path: Path
) -> None:
    text = written(document(row(audit=audit("CLAIMED", (flag.value,)))), tmp_path)
    assert {other for other in Flag if other.sentence in text} == {flag}
    assert f"</svg>{flag.value}</span>" in text  # a word beside its shape, never colour alone
    assert f'class="headline">{flag.sentence}<' in text  # a flag outranks the level in the headline


def test_without_flags_no_flag_sentence_appears(document: Make, tmp_path: Path) -> None:
    text = written(document(), tmp_path)
    assert not [flag for flag in Flag if flag.sentence in text]
    assert "Flags: none." in text


def test_the_worst_of_several_flags_is_the_headline(document: Make, row: Make, audit: Make, tmp_path: Path) -> None:
    text = written(document(row(audit=audit(flags=("OVER_FORGOTTEN", "HIDDEN")))), tmp_path)
    assert f'class="headline">{Flag.HIDDEN.sentence}<' in text
    assert Flag.OVER_FORGOTTEN.sentence in text


def test_a_missing_audit_is_not_run(document: Make, row: Make, tmp_path: Path) -> None:
    bare = document(row(audit=None, guarantee="EXACT", equality="bitwise", replay=True))
    text = written(bare, tmp_path)
    assert shown_levels(text) == {"not run"}
    assert "Audit: not run." in text
    assert "Membership: not run." in text
    assert not [level for level in Assurance if level.sentence in text]
    assert "No audit was run" in text
    assert "no membership test was run" in text
    strings = summary_rows(bare)[0]
    assert {strings[key] for key in ("recall", "recovered", "attack", "retained", "flags", "assurance")} == {"not run"}


@pytest.mark.parametrize(
    ("level", "audit_replay", "row_replay"),
    [
        ("EXACT", None, None),
        ("EXACT", False, False),
        ("EXACT", True, False),
        ("PERFECT", True, True),
        (None, None, None),
    ],
)
def test_a_level_that_the_document_contradicts_is_withheld(
    level: str, audit_replay: bool, row_replay: bool, document: Make, row: Make, audit: Make, tmp_path: Path
) -> None:
    bad = row(audit=audit(level, replay=audit_replay), replay=row_replay)
    text = written(document(bad), tmp_path)
    assert level_of(bad) is None
    assert shown_levels(text) == {"UNKNOWN"}
    assert WITHHELD in text
    assert not [other for other in Assurance if other.sentence in text]


@pytest.mark.parametrize("level", ["RESISTS_BLACK_BOX", "RESISTS_WHITE_BOX", "CERTIFIED", "EXACT"])
def test_no_strong_level_stands_beside_an_attack_that_recovered(
    level: str, document: Make, row: Make, audit: Make, finding: Make, tmp_path: Path
) -> None:
    back = [finding("direct", 0.01, "NOT_RECOVERED"), finding("relearn", 0.6, "RECOVERED", 0.6)]
    judged = audit(level, replay=True, findings=back, guarantee="EMPIRICAL")
    text = written(document(row(audit=judged, replay=True)), tmp_path)
    assert shown_levels(text) == {"UNKNOWN"}
    assert level not in text


def test_what_may_not_be_claimed_shrinks_as_the_level_rises(row: Make, audit: Make) -> None:
    def denied(level: str) -> list[str]:
        replay = level == "EXACT"
        return may_not_be_claimed(row(audit=audit(level, replay=replay), replay=replay))

    holder = "That somebody who holds the weights cannot bring the data out."
    assert holder in denied("RESISTS_BLACK_BOX")
    assert holder not in denied("RESISTS_WHITE_BOX")
    assert any("never prove absence" in sentence for sentence in denied("CERTIFIED"))
    for level in Assurance:
        assert any("any law" in sentence for sentence in denied(level.name))
        assert any("who was in the training data" in sentence for sentence in denied(level.name))


def test_exact_says_when_the_attacks_could_not_decide(row: Make, audit: Make, finding: Make) -> None:
    found = [finding("direct", 0.01, "NOT_RECOVERED"), finding("relearn", 0.02, "INCONCLUSIVE")]
    denied = may_not_be_claimed(row(audit=audit("EXACT", replay=True, findings=found), replay=True))
    assert any("1 of 2 could not decide" in sentence for sentence in denied)


def test_an_audit_of_another_promise_is_named(row: Make, audit: Make) -> None:
    denied = may_not_be_claimed(row(guarantee="EXACT", audit=audit("SUPPRESSED")))
    assert any("the row says EXACT, the audit was judged as EMPIRICAL" in sentence for sentence in denied)


def test_several_methods_are_sorted_by_what_they_show(document: Make, row: Make, audit: Make, tmp_path: Path) -> None:
    rows = [
        row(method="shards", replay=True, audit=audit("EXACT", replay=True)),
        row(method="refusal", audit=audit("SUPPRESSED", ("HIDDEN",))),
        row(method="nothing", audit=audit("CLAIMED")),
        row(method="retrain", audit=None),
    ]
    text = written(document(*rows), tmp_path)
    assert (
        "Of 4 methods, 1 reaches a level without a flag (shards: EXACT); 1 carries a flag (refusal: HIDDEN); "
        "1 shows nothing beyond the request (nothing); 1 was not audited (retrain)." in text
    )


def test_what_is_left_undone_is_said_before_what_was_shown(
    document: Make, row: Make, audit: Make, tmp_path: Path
) -> None:
    left = {"exceptions": ["copy:1 is not reached"]}
    rows = [row(method=name, audit=audit("SUPPRESSED")) for name in ("npo", "rmu")]
    text = page({**document(rows=rows), **left}, tmp_path / "p.html").read_text()
    assert (
        'class="headline">Not everything was dealt with. Where it was: of 2 methods, 2 reach a level without a flag '
        "(npo: SUPPRESSED, rmu: SUPPRESSED).<" in text
    )
    assert "With exceptions: copy:1 is not reached." in text
