"""No level is printed that the findings do not carry."""

import random
from dataclasses import replace
from typing import Any

import pytest

from expunge.core import ArmScore, Assurance, Finding, Flag, Guarantee, Outcome
from expunge.verify.attacks import attacks
from expunge.verify.batteries import BATTERIES
from expunge.verify.findings import findings
from expunge.verify.judgement import REQUIRED, Judgement, Skill, judge
from expunge.verify.membership_axis import membership
from expunge.verify.scores import ARMS, ArmScores
from expunge.verify.thresholds import TAU

RECALL = tuple(n for n in BATTERIES["standard"] if attacks.get(n).family != "membership")
BATTERY = BATTERIES["standard"]
DECIDED = {Flag.RETAINED, Flag.HIDDEN, Flag.PARTIAL, Flag.DAMAGED, Flag.INCONCLUSIVE}


def arm(name: str, rate: float, n: int = 100, seed: int = 0, **attacks: Any) -> ArmScores:
    """An arm whose attacks hit so large a share of facts; `attacks` gives one attack another rate, or raw rows."""
    draw = random.Random(f"{name}/{seed}")

    def row(p: float) -> list[float]:
        hit = round(p * n)
        return draw.sample([1.0] * hit + [0.0] * (n - hit), n)

    scores = {}
    for attack in RECALL:
        given = attacks.get(attack, rate)
        scores[attack] = {"s": row(given)} if isinstance(given, int | float) else given
    members = [draw.gauss(3 if name == "original" else 0, 1) for _ in range(n)]
    scores["membership"] = {"members": members, "others": [draw.gauss(0, 1) for _ in range(n)]}
    return ArmScores(name, scores, {}, (1.0,) * 50, {})


def three(n: int = 100, **unlearned: Any) -> dict[str, ArmScores]:
    return {
        "original": arm("original", 1.0, n),
        "unlearned": arm("unlearned", 0.0, n, **unlearned),
        "control": arm("control", 0.0, n),
    }


def judged(
    arms: dict[str, ArmScores],
    skill: float | None = 1.0,
    guarantee: Guarantee = Guarantee.EMPIRICAL,
    replay: Any = None,
) -> Judgement:
    return judge(findings(arms, BATTERY), membership(arms), kept(skill), guarantee, replay)


def kept(share: float | None, high: float | None = None) -> Skill | None:
    """Without a bound of its own, one that is as sure as can be."""
    return None if share is None else Skill(share, share if high is None else high)


def finding(
    attack: str, outcome: Outcome, recovered: float | None = 0.0, low: float = 0.0, high: float = 0.05
) -> Finding:
    family = attacks.get(attack).family if attack in attacks.names() else "black box"
    return Finding(attack=attack, family=family, outcome=outcome, recovered=recovered, low=low, high=high, n_facts=100)


def random_findings(draw: random.Random) -> tuple[list[Finding], Finding]:
    found = []
    for name in dict.fromkeys([*RECALL, *(name for groups in REQUIRED.values() for group in groups for name in group)]):
        if draw.random() < 0.1:
            continue
        outcome = draw.choice([*Outcome, Outcome.NOT_RECOVERED, Outcome.NOT_RECOVERED, Outcome.NOT_RECOVERED])
        match outcome:
            case Outcome.RECOVERED:
                low = draw.uniform(TAU + 1e-6, 0.9)
                found.append(finding(name, outcome, draw.uniform(low, 1), low, 1.0))
            case Outcome.NOT_RECOVERED:
                found.append(finding(name, outcome, draw.uniform(-0.3, 0.05), -0.4, draw.uniform(-0.1, TAU)))
            case Outcome.INCONCLUSIVE:
                found.append(finding(name, outcome, draw.choice([None, draw.uniform(-0.1, 0.6)]), -0.2, 0.8))
            case Outcome.NO_CONTRAST:
                found.append(finding(name, outcome, None))
    draw.shuffle(found)
    return found, finding("membership", draw.choice(list(Outcome)), None)


def test_no_level_is_printed_that_the_findings_do_not_carry() -> None:
    draw, reached = random.Random(0), set()
    for _ in range(6000):
        found, member = random_findings(draw)
        skill = draw.choice([None, float("nan"), 0.0, 0.89, 0.9, 1.0, 1.2])
        guarantee, replay, duplicates = (
            draw.choice(list(Guarantee)),
            draw.choice([None, False, True]),
            draw.choice([None, 0, 3]),
        )
        result = judge(found, member, kept(skill, draw.choice([None, 1.0])), guarantee, replay, duplicates)
        level, flags, by_name = result.assurance, set(result.flags), {f.attack: f for f in [*found, member]}
        recovered = [f for f in found if f.outcome is Outcome.RECOVERED]
        reached.add(level)
        assert len(flags) == len(result.flags)
        if level is Assurance.EXACT:
            assert guarantee is Guarantee.EXACT
            assert replay is True
            assert not recovered
            assert not duplicates
            continue
        assert level is not Assurance.CERTIFIED
        for step, groups in REQUIRED.items():
            for group in groups if level >= step else ():
                outcomes = [by_name[name].outcome for name in group]
                assert set(outcomes) <= {Outcome.NOT_RECOVERED, Outcome.NO_CONTRAST}
                assert Outcome.NOT_RECOVERED in outcomes
        if level >= Assurance.RESISTS_BLACK_BOX:
            assert member.outcome is not Outcome.RECOVERED
        if level >= Assurance.RESISTS_WHITE_BOX:
            assert not any(f.outcome is Outcome.INCONCLUSIVE for f in found)
        if level > Assurance.CLAIMED:
            assert skill is not None
            assert skill >= 0.9
        if recovered or guarantee is Guarantee.SUPPRESSED:
            assert level <= Assurance.SUPPRESSED
        if recovered:
            assert flags & {Flag.RETAINED, Flag.PARTIAL, Flag.HIDDEN}
        assert (Flag.TAINTED in flags) == bool(duplicates)
        undecided = any(f.outcome is Outcome.INCONCLUSIVE for f in found)
        if undecided and not recovered and Flag.DAMAGED not in flags:
            assert Flag.INCONCLUSIVE in flags
        if skill is None or skill != skill:
            assert Flag.INCONCLUSIVE in flags
        if skill is not None and skill < 0.9:
            assert Flag.DAMAGED in flags
    assert reached >= {Assurance.CLAIMED, Assurance.SUPPRESSED, Assurance.EXACT}


def test_nothing_found_is_not_a_pass() -> None:
    assert judge(
        [], finding("membership", Outcome.INCONCLUSIVE, None), kept(1.0), Guarantee.EMPIRICAL, None
    ) == Judgement(Assurance.CLAIMED, (Flag.INCONCLUSIVE,))


def test_a_clean_model_resists_and_no_attack_is_left_out() -> None:
    result = judged(three())
    assert result.assurance is Assurance.RESISTS_WHITE_BOX
    assert not set(result.flags) & DECIDED


def test_an_untouched_model_is_retained() -> None:
    arms = three()
    arms["unlearned"] = arms["original"]
    result = judged(arms)
    assert result.assurance is Assurance.CLAIMED
    assert Flag.RETAINED in result.flags


def test_what_only_an_attack_finds_is_hidden() -> None:
    result = judged(three(relearn=0.7))
    assert Flag.HIDDEN in result.flags
    assert Flag.RETAINED not in result.flags
    assert result.assurance is Assurance.SUPPRESSED


def test_what_plain_questions_find_in_part_is_partial() -> None:
    result = judged(three(direct=0.3))
    assert Flag.PARTIAL in result.flags
    assert Flag.HIDDEN not in result.flags
    assert result.assurance is Assurance.CLAIMED


def test_partial_within_the_noise_is_inconclusive_too() -> None:
    result = judged(three(20, direct=0.15))
    assert {Flag.PARTIAL, Flag.INCONCLUSIVE} <= set(result.flags)


@pytest.mark.parametrize("missing", ARMS)
def test_a_missing_arm_is_inconclusive(missing: str) -> None:
    arms = three()
    del arms[missing]
    found = findings(arms, BATTERY)
    assert all(f.outcome is Outcome.INCONCLUSIVE and missing in f.reason for f in [*found, membership(arms)])
    result = judge(found, membership(arms), None, Guarantee.EMPIRICAL, None)
    assert result == Judgement(Assurance.CLAIMED, (Flag.INCONCLUSIVE,))


@pytest.mark.parametrize("which", ARMS)
@pytest.mark.parametrize("attack", ["direct", "relearn"])
@pytest.mark.parametrize(
    "harm", ["nan", "inf", "failed", "absent", "no settings", "no facts", "fewer facts", "other settings"]
)
def test_an_attack_that_said_nothing_on_one_arm_is_inconclusive(which: str, attack: str, harm: str) -> None:
    arms = three()
    scores, failed = dict(arms[which].scores), {}
    row = scores[attack]["s"]
    match harm:
        case "nan" | "inf":
            scores[attack] = {"s": [float(harm), *row[1:]]}
        case "failed":
            del scores[attack]
            failed = {attack: "no material"}
        case "absent":
            del scores[attack]
        case "no settings":
            scores[attack] = {}
        case "no facts":
            scores[attack] = {"s": []}
        case "fewer facts":
            scores[attack] = {"s": row[1:]}
        case "other settings":
            scores[attack] = {"other": row}
    arms[which] = replace(arms[which], scores=scores, failed=failed)
    found = {f.attack: f for f in findings(arms, BATTERY)}
    assert found[attack].outcome is Outcome.INCONCLUSIVE
    assert found[attack].reason
    assert found["paraphrase"].outcome is Outcome.NOT_RECOVERED
    result = judge(list(found.values()), membership(arms), kept(1.0), Guarantee.EMPIRICAL, None)
    assert Flag.INCONCLUSIVE in result.flags
    assert result.assurance is (Assurance.CLAIMED if attack == "direct" else Assurance.RESISTS_BLACK_BOX)


def test_an_attack_that_scored_fewer_facts_on_every_arm_is_inconclusive() -> None:
    arms = {
        name: replace(a, scores={**a.scores, "relearn": {"s": a.scores["relearn"]["s"][:50]}})
        for name, a in three().items()
    }
    found = {f.attack: f for f in findings(arms, BATTERY)}
    assert found["relearn"].outcome is Outcome.INCONCLUSIVE
    assert "50 of 100" in found["relearn"].reason


def test_the_original_in_place_of_the_control_is_never_a_pass() -> None:
    arms = three()
    arms["control"] = replace(arms["original"])
    found = findings(arms, BATTERY)
    assert all(f.outcome is Outcome.INCONCLUSIVE for f in found)
    arms["control"] = replace(arms["original"], digest="another seed")
    assert all(f.outcome is Outcome.NO_CONTRAST for f in findings(arms, BATTERY))
    result = judged(arms)
    assert result.assurance is Assurance.CLAIMED
    assert Flag.INCONCLUSIVE in result.flags


def test_the_unlearned_model_in_place_of_the_control_is_never_a_pass() -> None:
    arms = three(relearn=0.7)  # hidden, and its own control would hide that
    arms["control"] = arms["unlearned"]
    found = findings(arms, BATTERY)
    assert all(f.outcome is Outcome.INCONCLUSIVE for f in [*found, membership(arms)])
    assert judged(arms) == Judgement(Assurance.CLAIMED, (Flag.INCONCLUSIVE,))


def test_damage_voids_negatives_and_what_was_recovered_stands() -> None:
    clean, hidden = judged(three(), skill=0.5), judged(three(relearn=0.7), skill=0.5)
    assert (clean.assurance, hidden.assurance) == (Assurance.CLAIMED, Assurance.CLAIMED)
    assert Flag.DAMAGED in clean.flags
    assert {Flag.DAMAGED, Flag.HIDDEN} <= set(hidden.flags)


@pytest.mark.parametrize(("replay", "high"), [(True, 0.95), (True, 0.85), (False, 0.95), (None, 0.95)])
def test_only_a_matched_replay_excuses_a_loss_that_two_retrained_models_may_show_too(
    replay: bool | None, high: float
) -> None:
    found = judge(findings(three(), BATTERY), membership(three()), kept(0.7, high), Guarantee.EXACT, replay)
    assert (Flag.DAMAGED not in found.flags) is (replay is True and high >= 0.9)


def test_a_suppressed_guarantee_caps_the_level() -> None:
    everything = {name for groups in REQUIRED.values() for group in groups for name in group}
    found = [finding(name, Outcome.NOT_RECOVERED) for name in everything]
    member = replace(finding("membership", Outcome.NOT_RECOVERED, None), arms={"unlearned": ArmScore(0.5, 0.5, 0.5)})
    assert judge(found, member, kept(1.0), Guarantee.EMPIRICAL, None).assurance is Assurance.RESISTS_WHITE_BOX
    assert judge(found, member, kept(1.0), Guarantee.SUPPRESSED, None).assurance is Assurance.SUPPRESSED


@pytest.mark.parametrize("replay", [None, False, True])
def test_exact_needs_a_replay_that_matched_and_nothing_recovered(replay: bool | None) -> None:
    clean = judged(three(20), guarantee=Guarantee.EXACT, replay=replay)
    assert (clean.assurance is Assurance.EXACT) is (replay is True)
    found = judged(three(relearn=0.9), guarantee=Guarantee.EXACT, replay=replay)
    assert found.assurance < Assurance.EXACT
    assert Flag.HIDDEN in found.flags
    assert judged(three(), guarantee=Guarantee.EMPIRICAL, replay=replay).assurance < Assurance.EXACT


def test_twenty_facts_are_too_few_and_say_how_many_are_needed() -> None:
    for f in findings(three(20), BATTERY):
        assert f.outcome is Outcome.INCONCLUSIVE
        assert f.facts_needed is not None
        assert f.facts_needed >= 60
        assert str(f.facts_needed) in f.reason
    assert Flag.INCONCLUSIVE in judged(three(20)).flags


def test_knowing_less_than_a_stranger_is_over_forgotten() -> None:
    arms = three()
    arms["control"] = arm("control", 0.4)
    assert Flag.OVER_FORGOTTEN in judged(arms).flags


def test_facts_can_be_judged_apart() -> None:
    arms = three(direct={"s": [1.0] * 50 + [0.0] * 50})
    kept, gone = findings(arms, ("direct",), list(range(50))), findings(arms, ("direct",), list(range(50, 100)))
    assert (kept[0].recovered, gone[0].recovered) == (1.0, 0.0)
    assert kept[0].n_facts == gone[0].n_facts == 50


def with_membership(n: int, m: int, shift: float) -> dict[str, ArmScores]:
    arms = {}
    for name, mean in (("original", 3.0), ("unlearned", shift), ("control", 0.0)):
        draw = random.Random(name)
        scores = {
            "members": [draw.gauss(mean, 1) for _ in range(n)],
            "others": [draw.gauss(0, 1) for _ in range(m)],
        }
        arms[name] = ArmScores(name, {"membership": scores}, {}, (), {})
    return arms


@pytest.mark.parametrize(
    "n, m, shift, outcome",
    [
        (500, 500, 0.0, Outcome.NOT_RECOVERED),
        (500, 500, 2.0, Outcome.RECOVERED),
        (500, 500, -2.0, Outcome.RECOVERED),  # two-sided: looking stranger than a stranger gives it away too
        (399, 500, 0.0, Outcome.INCONCLUSIVE),
        (500, 30, 0.0, Outcome.INCONCLUSIVE),  # few non-members are as bad as few members
        (10, 10, 0.5, Outcome.INCONCLUSIVE),
        (500, 500, 3.0, Outcome.RECOVERED),
    ],
)
def test_membership_is_two_sided_and_equivalence_needs_many_on_both_sides(
    n: int, m: int, shift: float, outcome: Outcome
) -> None:
    found = membership(with_membership(n, m, shift))
    assert found.outcome is outcome
    assert (found.facts_needed is None) == (min(n, m) >= 400)


def test_membership_without_contrast_says_nothing() -> None:
    arms = with_membership(500, 500, 0.0)
    arms["original"] = replace(arms["control"], digest="original")
    assert membership(arms).outcome is Outcome.NO_CONTRAST
