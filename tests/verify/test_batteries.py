"""A battery is a name for attacks; an attack that is added to it can accuse and withhold, and earns nothing."""

import json
import random
import subprocess
import sys
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint
from typing import Any, ClassVar

import numpy as np
import pytest
from tests.verify.test_judgement import arm, random_findings, three

from expunge.core import Assurance, Finding, Flag, Guarantee, Outcome
from expunge.core.errors import InvalidParameter, UnknownMethod
from expunge.report.carried import carried, raised
from expunge.synthetic import facts, people
from expunge.verify import Arm, Audit, Probes, attack_arm, commitment
from expunge.verify.attacks import Scores, Target, attacks
from expunge.verify.batteries import BATTERIES, added_to, battery_of, described
from expunge.verify.findings import findings
from expunge.verify.judgement import Skill, judge
from expunge.verify.membership_axis import membership
from expunge.verify.statistics import Scored, bounds_of, resamplings

ACCUSING = {Flag.RETAINED, Flag.HIDDEN, Flag.PARTIAL, Flag.DAMAGED, Flag.OVER_FORGOTTEN, Flag.TAINTED}


@dataclass(frozen=True, kw_only=True)
class Insist:
    """Another package's attack; it gives `short` scores too few."""

    short: int = 0
    family: ClassVar[str] = "black box"

    def run(self, target: Target, probes: Probes) -> Scores:
        return {"greedy": target.recalls(probes.forget)[self.short :]}


@dataclass(frozen=True, kw_only=True)
class Short(Insist):
    short: int = 1


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two attacks that another package offers."""
    points = [EntryPoint(name, f"{__name__}:{name.title()}", attacks.group) for name in ("insist", "short")]
    monkeypatch.setitem(vars(attacks), "_offered", tuple(points))


def test_attacks_are_added_to_a_battery_by_name(elsewhere: None) -> None:
    assert battery_of("quick+insist+noise") == (*BATTERIES["quick"], "insist", "noise")
    assert added_to("quick+insist+noise") == ("insist", "noise")
    assert added_to("deep") == ()


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("standart+insist", UnknownMethod, "no battery 'standart'; available: quick, short, standard, deep"),
        ("quick+insits", UnknownMethod, r"no attack 'insits' in expunge.verify.attacks; did you mean 'insist'\?"),
        ("quick+", UnknownMethod, "no attack ''"),
        ("quick+direct", InvalidParameter, "'quick\\+direct' names attack 'direct' twice, 'quick' included"),
        ("quick+insist+insist", InvalidParameter, "names attack 'insist' twice"),
    ],
)
def test_a_name_that_means_nothing_is_refused(elsewhere: None, name: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        battery_of(name)


def test_documents_name_the_package_of_an_added_attack(elsewhere: None) -> None:
    probes = Probes(tuple(facts(people(1))), ())
    assert described("quick+insist")["packages"] == {"insist": f"{__name__}:Insist"}
    assert "packages" not in described("quick+noise")
    committed = commitment(probes, "quick+insist", salt=b"salt")
    assert committed["battery"]["attacks"]["insist"] == {"short": 0, "package": f"{__name__}:Insist"}
    assert committed["digest"] != commitment(probes, "quick", salt=b"salt")["digest"]


def test_no_added_attack_acquits() -> None:
    """Whatever is added, the level is no higher, no accusation goes, and what was open is open or an accusation."""
    draw, changed = random.Random(1), 0
    for _ in range(4000):
        found, member = random_findings(draw)
        added = draw.sample([f.attack for f in found], draw.randint(0, 3))
        asked: Any = (Skill(1.0, 1.0), draw.choice(list(Guarantee)), draw.choice([None, True]), 0)
        own = judge([f for f in found if f.attack not in added], member, *asked)
        both = judge(found, member, *asked, added=added)
        changed += own != both
        assert both.assurance <= own.assurance
        if both.assurance is not Assurance.EXACT:
            assert set(own.flags) & ACCUSING - {Flag.PARTIAL} <= set(both.flags)
        if Flag.INCONCLUSIVE in own.flags:
            assert set(both.flags) & {Flag.INCONCLUSIVE, *ACCUSING}
    assert changed > 400


def test_what_a_level_requires_is_not_earned_by_adding_it() -> None:
    silent = [
        Finding(attack=name, family="black box", outcome=Outcome.NOT_RECOVERED, recovered=0.0, low=0.0, high=0.05)
        for name in ("direct", "paraphrase", "probability", "prompts", "sampling")
    ]
    member = replace(
        silent[0], attack="membership", family="membership", arms={"control": None}, outcome=Outcome.INCONCLUSIVE
    )
    asked: Any = (Skill(1.0, 1.0), Guarantee.EMPIRICAL, None, 0)
    assert judge(silent, member, *asked).assurance is Assurance.RESISTS_BLACK_BOX
    assert judge(silent, member, *asked, added=("prompts", "sampling")).assurance is Assurance.SUPPRESSED


def test_no_added_attack_widens_the_bounds_of_the_batterys_own() -> None:
    draw = np.random.default_rng(0)

    def scored(rate: float) -> Scored:
        return Scored(np.ones((1, 40)), (draw.random((3, 40)) < rate).astype(float), np.zeros((1, 40)))

    own = {"direct": scored(0.2), "noise": scored(0.3)}
    draws = resamplings(["ann", "bob", "eve", "kim"] * 10)
    alone, together = bounds_of(own, draws), bounds_of(own | {"insist": scored(0.2)}, draws, added=("insist",))
    assert {name: together[name] for name in own} == alone
    assert bounds_of(own | {"insist": scored(0.2)}, draws)["direct"] != alone["direct"]
    assert set(together) == {*own, "insist"}


def test_an_added_membership_attack_can_tell_and_cannot_acquit() -> None:
    arms = three(420)
    far = arms["unlearned"].scores["membership"] | {"members": [5.0 + i % 7 for i in range(420)]}

    def given(name: str, rows: Scores) -> dict[str, Any]:
        same = {arm: scores.scores["membership"] for arm, scores in arms.items()} | {"unlearned": rows}
        return {arm: replace(s, scores={**s.scores, name: same[arm]}) for arm, s in arms.items()}

    assert membership(arms).outcome is not Outcome.RECOVERED
    assert membership(given("theirs", far), added=["theirs"]).outcome is Outcome.RECOVERED
    told = given("membership", far)
    dull = {
        arm: replace(s, scores={**s.scores, "theirs": arms["control"].scores["membership"]}) for arm, s in told.items()
    }
    assert membership(dull, added=["theirs"]) == membership(told)


def test_the_same_level_is_drawn_from_the_document(elsewhere: None) -> None:
    """A page judges again, and knows from the battery's name what was added."""
    names = (
        "noise",
        "prompts",
        "sampling",
        "retain_finetune",
        "relearn",
        "relearn_lora",
        "direction_ablation",
        "logit_lens",
    )
    probes = Probes(tuple(facts(people(5)))[:100], tuple(facts(people(3, skip=5)))[:50])
    arms = {name: replace(scores, probes=probes.digest()) for name, scores in three().items()}
    base, extended = (
        Audit.of(arms, probes, battery, duplicates=0) for battery in ("quick", "+".join(("quick", *names)))
    )
    assert base.assurance is extended.assurance is Assurance.SUPPRESSED
    document = json.loads(json.dumps(extended.to_json()))
    assert carried(document) is Assurance.SUPPRESSED
    assert raised(document) == [flag.value for flag in extended.flags]
    arms["unlearned"] = replace(arm("unlearned", 0.0, noise=1.0), probes=probes.digest())
    found = Audit.of(arms, probes, "quick+noise", duplicates=0)
    assert Flag.HIDDEN in found.flags


def test_an_attack_that_gives_too_few_scores_could_not_run(elsewhere: None, trained: Any, probes: Probes) -> None:
    scores = attack_arm(Arm.of(trained.model, trained.tokenizer), probes, "quick+insist+short")
    assert scores.scores["insist"] == scores.scores["direct"]
    assert scores.failed == {"short": "gave 59 scores for 60 facts; one score per fact is needed"}
    [found] = findings({"original": scores, "unlearned": scores, "control": scores}, ("short",))
    assert found.outcome is Outcome.INCONCLUSIVE


LIGHT = (
    "expunge.verify",
    "expunge.verify.batteries",
    "expunge.verify.scores",
    "expunge.verify.probes",
    "expunge.verify.judgement",
    "expunge.verify.thresholds",
    "expunge.report",
    "expunge.report.audit_view",
    "expunge.report.benchmark_page",
    "expunge.report.claims",
)
WITH_NUMPY = (
    "expunge.verify.audits",
    "expunge.verify.commitments",
    "expunge.verify.duplicates",
    "expunge.verify.findings",
    "expunge.verify.membership_axis",
    "expunge.verify.metrics.recall",
    "expunge.verify.passages",
    "expunge.verify.sample_size",
    "expunge.verify.skill",
    "expunge.verify.targets",
    "expunge.verify.views",
)


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        (LIGHT, "torch transformers sklearn scipy numpy matplotlib"),
        ((*LIGHT, *WITH_NUMPY), "torch transformers sklearn scipy matplotlib"),
    ],
)
def test_names_judgements_and_pages_need_no_torch(modules: tuple[str, ...], heavy: str) -> None:
    """Names of batteries are checked, and an audit's document is judged again, without it."""
    code = (
        f"import sys, {', '.join(modules)}\n"
        "from expunge.verify import ArmScores, Probes, TAU, battery_of, read_probes\n"
        "battery_of('quick+soft_prompt')\n"
        "from expunge.report.claims import level_of\n"
        "level_of({'audit': {'assurance': 'CLAIMED', 'findings': [], 'battery': {'name': 'quick+noise'}}})\n"
        f"print([name for name in {heavy.split()} if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
