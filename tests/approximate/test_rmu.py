from typing import Any

import pytest
import torch
from tests.approximate.moved import Moved

from expunge.approximate import Edit, run_edit
from expunge.approximate.rmu import RMU, misdirection, random_direction
from expunge.core.errors import InvalidParameter
from expunge.engine import ReferenceCache, Trunk, encode, step_maker
from expunge.engine.batches import collate


def mixed() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(7, 5), torch.randn(7, 5), torch.tensor([0, 1, 1, 1, 1, 2, 2])


def test_each_sequence_is_divided_by_its_own_length() -> None:
    hidden, target, row = mixed()
    by_hand = []
    for b in range(3):
        distances = [((hidden[n] - target[n]) ** 2).mean() for n in range(7) if row[n] == b]
        by_hand.append(sum(distances) / len(distances))
    torch.testing.assert_close(misdirection(hidden, target, row), sum(by_hand) / torch.tensor(3.0))


def test_the_crosswise_broadcast_is_absent() -> None:
    hidden, target, row = mixed()
    distance_N = ((hidden - target) ** 2).mean(-1)
    sums = torch.stack([distance_N[row == b].sum() for b in range(3)])
    # The fault: [B, 1] sums over [B] lengths broadcast to [B, B], every sequence by every length.
    faulty = (sums[:, None] / torch.bincount(row)).mean()
    assert not torch.isclose(faulty, misdirection(hidden, target, row), rtol=0.05)


def test_a_batch_is_the_mean_of_its_sequences_alone() -> None:
    hidden, target, row = mixed()
    alone = [
        misdirection(hidden[row == b], target[row == b], torch.zeros(int((row == b).sum())).long()) for b in range(3)
    ]
    torch.testing.assert_close(misdirection(hidden, target, row), torch.stack(alone).mean())


def test_the_direction_has_length_one_and_is_a_function_of_the_seed() -> None:
    u = random_direction(64, seed=3)
    assert u.norm().item() == pytest.approx(1.0)
    assert bool((u >= 0).all())
    assert torch.equal(u, random_direction(64, seed=3))
    assert not torch.equal(u, random_direction(64, seed=4))


def test_the_loss_is_the_published_formula_on_a_mixed_batch(trained: Any) -> None:
    method, model, pad = RMU(layer=1.0, push=2.0, retain_weight=50.0), trained.model, 2
    forget, retain = encode(trained.tokenizer, trained.forget[:5]), encode(trained.tokenizer, trained.retain[:4])
    cache = ReferenceCache(pad)
    cache.fill(method.needs, model, {"forget": forget, "retain": retain}, block=1)
    loss = sum(method.loss(step_maker(model, cache, pad)(forget, retain))).detach()
    with torch.no_grad():
        states = {}
        for side, rows in (("forget", forget), ("retain", retain)):
            # One row at a time: without padding there is nothing to get wrong.
            states[side] = [Trunk.of(model).states(collate([r], pad), 1)[0, r.n_prompt :] for r in rows]
        norms = torch.cat([h.norm(dim=-1) for h in states["retain"]])
        target = 2.0 * norms.mean() * random_direction(64, 0)
        push = torch.stack([((h - target) ** 2).mean() for h in states["forget"]]).mean()
    # At the start nothing has moved, so the retain side adds nothing but rounding.
    assert loss.item() == pytest.approx(push.item(), rel=1e-3)


def test_the_size_of_the_push_can_be_given_or_follow_the_forgotten(trained: Any) -> None:
    model, rows = trained.model, encode(trained.tokenizer, trained.forget[:3])
    cache = ReferenceCache(2)
    cache.fill(list(RMU(size="forgotten").needs), model, {"forget": rows, "retain": rows}, block=1)
    step = step_maker(model, cache, 2)(rows, rows)
    hidden_ND = step.forget.hidden_ND(1).detach()
    given, _ = RMU(layer=1.0, size="given", push=7.0).loss(step)
    torch.testing.assert_close(given, misdirection(hidden_ND, 7.0 * random_direction(64, 0), step.forget.answer_row_N))
    follows, _ = RMU(layer=1.0, size="forgotten", push=2.0).loss(step)
    target_ND = 2.0 * hidden_ND.norm(dim=-1, keepdim=True) * random_direction(64, 0)
    torch.testing.assert_close(
        follows, misdirection(hidden_ND, target_ND, step.forget.answer_row_N), rtol=1e-4, atol=1e-4
    )


def test_only_its_blocks_are_trained(trained: Any) -> None:
    settings = Edit(steps=2, warmup=0, forget_batch=4, retain_batch=4)
    edited = run_edit(trained.model, trained.tokenizer, trained.forget, trained.retain, RMU(layer=0.0), settings).model
    before, after = trained.model.state_dict(), edited.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(name.startswith("model.layers.0.") for name in changed)
    assert len(Trunk.of(edited).blocks) == 2
    assert all(p.requires_grad for p in edited.parameters())  # the result can be trained on


def test_three_blocks_are_trained_in_a_deep_model() -> None:
    assert list(RMU(layer=7).trained_blocks(32)) == [5, 6, 7]
    assert list(RMU(layer=99).trained_blocks(4)) == [1, 2, 3]


@pytest.mark.parametrize("size", ["retained", "forgotten", "given"])
def test_a_weight_of_nothing_runs_nothing_of_the_retain_side(trained: Any, size: Any) -> None:
    method = RMU(retain_weight=0.0, size=size)
    moved = Moved(trained, method)
    (term,) = method.loss(moved.step)
    term.backward()
    assert moved.runs == [5]
    # What is kept of the retained rows is their states' length, where that is what sets the target's.
    assert any(need.side == "retain" for need in method.needs) == (size == "retained")


@pytest.mark.parametrize("wrong", [{"layer": -1.0}, {"push": 0.0}, {"retain_weight": -3.0}], ids=str)
def test_parameters_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidParameter):
        RMU(**wrong)  # type: ignore[arg-type]
