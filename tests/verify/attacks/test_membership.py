import copy
import math
import zlib
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch

from expunge.approximate import methods, run_edit
from expunge.core import Fact
from expunge.engine import digest_model
from expunge.synthetic import facts, people
from expunge.testing import contract
from expunge.verify import Probes
from expunge.verify.attacks._target import CannotRun, Company, Scores, Target
from expunge.verify.attacks.membership import Membership
from expunge.verify.attacks.membership_gradient import MembershipGradient
from expunge.verify.attacks.membership_reference import MembershipReference
from expunge.verify.metrics.auc import auc
from expunge.verify.pairs import pairs

ATTACKS = {
    "membership": Membership,
    "membership_gradient": MembershipGradient,
    "membership_reference": MembershipReference,
}
NAMES = {
    "membership": ["min-k++", "min-k", "loss", "zlib"],
    "membership_gradient": ["gradient norm"],
    "membership_reference": ["reference", "rmia"],
}
SPANS = ("value", "whole answer")


@pytest.fixture(scope="module")
def out(trained: Any) -> Target:
    """A model of a third seed that never saw the people who leave, and is no arm."""
    return Target(contract.taught(trained.retain, trained.tokenizer, seed=2), trained.tokenizer)


@pytest.fixture(scope="module")
def refused(trained: Any) -> Any:
    """Plain questions about those who left are answered with a refusal; what was known is still there."""
    return run_edit(
        trained.model, trained.tokenizer, trained.forget, trained.retain, methods.get("refusal")(), contract.SETTINGS
    ).model


@pytest.fixture(scope="module")
def aucs(trained: Any, control: Any, refused: Any, out: Target, probes: Probes) -> dict[tuple[str, str], float]:
    """(arm, statistic and span) -> AUC."""
    found = {}
    for arm, model in (("trained", trained.model), ("control", control), ("refused", refused)):
        before = digest_model(model)
        for attack in ATTACKS.values():
            scores = run(attack(), model, trained.tokenizer, out, probes)
            found |= {(arm, name): auc(list(m), list(o)) for name, (m, o) in pairs(scores).items()}
        assert digest_model(model) == before
    return found


def run(attack: Any, model: Any, tokenizer: Any, out: Target, probes: Probes) -> Scores:
    scores: Scores = attack.run(Target(model, tokenizer, company=Company(outs=(out,))), probes)
    return scores


@pytest.mark.parametrize("name", [f"{n}, {s}" for names in NAMES.values() for n in names for s in SPANS])
def test_members_are_seen_in_a_model_that_learned_them_and_are_strangers_to_one_that_did_not(
    aucs: dict[tuple[str, str], float], name: str
) -> None:
    assert aucs["trained", name] > 0.9
    # 60 facts a side in 3 subjects each: chance may go as far as 0.3; what counts is the distance to the original.
    assert abs(aucs["control", name] - 0.5) < 0.25
    assert aucs["trained", name] - aucs["control", name] > 0.3


@pytest.mark.parametrize("name", [f"{n}, value" for names in NAMES.values() for n in names])
def test_a_refusal_does_not_hide_them(aucs: dict[tuple[str, str], float], name: str) -> None:
    assert aucs["refused", name] - aucs["control", name] > 0.25


@pytest.mark.parametrize("name", ATTACKS)
def test_rows_come_in_pairs_of_the_right_length_and_the_primary_has_the_bare_names(
    trained: Any, out: Target, probes: Probes, name: str
) -> None:
    scores = run(ATTACKS[name](), trained.model, trained.tokenizer, out, probes)
    assert set(pairs(scores)) == {f"{n}, {s}" for n in NAMES[name] for s in SPANS}
    for members, others in pairs(scores).values():
        assert (len(members), len(others)) == (len(probes.forget), len(probes.unseen))
    assert ("members" in scores) == (name == "membership")
    assert run(ATTACKS[name](), trained.model, trained.tokenizer, out, probes) == scores


def test_each_statistic_is_its_formula(trained: Any, probes: Probes) -> None:
    scores = Membership(batch_size=7).run(Target(trained.model, trained.tokenizer), probes)
    target = Target(trained.model, trained.tokenizer)
    value_logp = target.value_logp(probes.forget)
    whole_logp = target.value_logp([replace(f, value="") for f in probes.forget])
    for i, fact in enumerate(probes.forget):
        for span, logp, text in (("value", value_logp[i], fact.value), ("whole answer", whole_logp[i], fact.answer)):
            loss = sum(logp) / len(logp)
            lowest = sorted(logp)[: max(1, int(len(logp) * 0.2))]
            expected = {
                "loss": loss,
                "min-k": sum(lowest) / len(lowest),
                "zlib": loss / len(zlib.compress(text.encode())),
            }
            for name, number in expected.items():
                assert scores[f"{name}, {span}: members"][i] == pytest.approx(number, rel=1e-3, abs=1e-5)


def test_a_fact_is_scored_alike_in_any_company(trained: Any, probes: Probes) -> None:
    target = Target(trained.model, trained.tokenizer)
    first = Membership().run(target, probes)
    turned = Membership(batch_size=5).run(target, replace(probes, forget=probes.forget[::-1]))
    for row in first:
        again = turned[row][::-1] if row.endswith("members") else turned[row]
        assert first[row] == pytest.approx(again, rel=1e-3, abs=1e-4)


def test_all_statistics_of_a_fact_come_from_one_forward(trained: Any, probes: Probes) -> None:
    model, rows = copy.deepcopy(trained.model), []
    model.register_forward_pre_hook(lambda _m, _a, kw: rows.append(len(kw["input_ids"])), with_kwargs=True)
    Membership().run(Target(model, trained.tokenizer), probes)
    assert sum(rows) == len(probes.forget) + len(probes.unseen)


def test_rmia_has_the_order_of_the_calibrated_ratio(trained: Any, control: Any, out: Target, probes: Probes) -> None:
    own, other = (Target(m, trained.tokenizer).value_logp(probes.forget) for m in (trained.model, out.model))
    ratio = [
        math.exp(sum(a) / len(a)) / ((1.3 * math.exp(sum(b) / len(b)) + 0.7) / 2)
        for a, b in zip(own, other, strict=True)
    ]
    scores = run(MembershipReference(), trained.model, trained.tokenizer, out, probes)["rmia, value: members"]
    ranked = sorted(range(len(ratio)), key=ratio.__getitem__)
    assert all(scores[a] <= scores[b] for a, b in pairwise(ranked))


def test_dropout_does_not_reach_the_gradient_and_the_arm_keeps_its_mode(
    trained: Any, out: Target, probes: Probes
) -> None:
    model = copy.deepcopy(trained.model)
    model.config.attention_dropout = 0.5
    for layer in model.model.layers:
        layer.self_attn.attention_dropout = 0.5
    few = replace(probes, forget=probes.forget[:3], unseen=probes.unseen[:3])
    plain = run(MembershipGradient(), trained.model, trained.tokenizer, out, few)
    model.train()
    for p in model.parameters():
        p.requires_grad_(False)
    assert run(MembershipGradient(), model, trained.tokenizer, out, few) == plain
    assert model.training
    assert not any(p.requires_grad for p in model.parameters())
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("name", ATTACKS)
def test_strangers_in_other_words_make_the_test_void(trained: Any, out: Target, probes: Probes, name: str) -> None:
    shifted = replace(probes, unseen=tuple(facts(people(3, skip=8), asked=1)))
    with pytest.raises(CannotRun, match=r"differ from the forgotten ones in their words \(blind AUC 1\.00"):
        run(ATTACKS[name](), trained.model, trained.tokenizer, out, shifted)
    with pytest.raises(CannotRun, match="never trained on"):
        run(ATTACKS[name](), trained.model, trained.tokenizer, out, replace(probes, unseen=()))


def test_a_reference_is_needed_and_is_not_the_model_itself(trained: Any, out: Target, probes: Probes) -> None:
    with pytest.raises(CannotRun, match="needs outs"):
        MembershipReference().run(Target(trained.model, trained.tokenizer), probes)
    itself = Target(trained.model, trained.tokenizer)
    with pytest.raises(CannotRun, match="no reference for itself"):
        run(MembershipReference(), trained.model, trained.tokenizer, itself, probes)


@pytest.mark.parametrize("name", ATTACKS)
def test_weights_that_are_no_numbers_give_no_numbers(trained: Any, out: Target, probes: Probes, name: str) -> None:
    wrecked = copy.deepcopy(trained.model)
    with torch.no_grad():
        wrecked.model.layers[0].mlp.down_proj.weight[0, 0] = float("nan")
    few = replace(probes, forget=probes.forget[:3], unseen=probes.unseen[:3])
    if name == "membership_reference":
        with pytest.raises(CannotRun, match="not a number"):
            run(ATTACKS[name](), wrecked, trained.tokenizer, out, few)
        return
    scores = run(ATTACKS[name](), wrecked, trained.tokenizer, out, few)
    assert all(math.isnan(x) for row in scores.values() for x in row)


def test_plain_documents_without_a_value_are_scored_as_a_whole(trained: Any, out: Target) -> None:
    def plain(given: list[Fact]) -> tuple[Fact, ...]:
        return tuple(replace(f, question="", value="") for f in given)

    given = Probes(plain(facts(people(3))[::10]), (), plain(facts(people(3, skip=8))[::10]))
    scores = pairs(run(Membership(), trained.model, trained.tokenizer, out, given))
    for name in NAMES["membership"]:
        assert scores[f"{name}, value"] == scores[f"{name}, whole answer"]
