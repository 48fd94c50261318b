from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from expunge.approximate import Edit, run_edit
from expunge.approximate._work import Work
from expunge.approximate.gradient_ascent import GradientAscent
from expunge.approximate.relabel import Relabel
from expunge.approximate.salun import SalUn, saliency, salient
from expunge.approximate.ssd import SSD
from expunge.core.errors import InvalidParameter
from expunge.engine import Schedule, digest_model, train


def masks(work: Work, share: float) -> list[Any]:
    """What may move, by another road: all rows at once, and a quantile."""
    x, y = torch.stack([row.x for row in work.forget]), torch.tensor([row.y for row in work.forget])
    loss = F.cross_entropy(work.model(x), y, reduction="sum")
    gradients = [g.abs() for g in torch.autograd.grad(loss, list(work.model.parameters()))]
    border = torch.cat([g.flatten() for g in gradients]).sort(descending=True).values
    least = border[round(share * len(border)) - 1]
    return [g >= least for g in gradients]


def test_weights_outside_the_mask_keep_their_bits_under_weight_decay_and_momentum(blobs: Any) -> None:
    edited = run_edit(blobs.model, None, blobs.forget, blobs.retain, SalUn(share=0.3), Edit(lr=1e-2, steps=30))
    free = masks(blobs.work(), 0.3)
    assert sum(int(f.sum()) for f in free) == round(0.3 * 243)
    for before, after, moves in zip(blobs.model.parameters(), edited.model.parameters(), free, strict=True):
        assert torch.equal(before[~moves], after[~moves])
        assert (before[moves] != after[moves]).all()


def test_a_gradient_of_zero_would_not_have_kept_them(blobs: Any) -> None:
    """The control: with the mask on gradients alone, weight decay moves what should stay."""
    work = blobs.work()
    free = salient(saliency(work), 0.3)
    before = [p.detach().clone() for p in work.model.parameters()]

    def masked(_step: int) -> float:
        loss = work.side(work.forget).nll
        for p, g in zip(free, torch.autograd.grad(loss, list(free)), strict=True):
            p.grad = g * free[p]
        return loss.item()

    train(list(work.model.parameters()), masked, 3, Schedule(lr=1e-2))
    assert any(not torch.equal(b[~m], p[~m]) for b, (p, m) in zip(before, free.items(), strict=True))


def test_a_class_is_forgotten_by_a_share_of_the_weights(blobs: Any) -> None:
    edited = run_edit(blobs.model, None, blobs.forget, blobs.retain, SalUn(), Edit(lr=1e-2, steps=60))
    seen = blobs.work()
    assert seen.accuracy(seen.forget, edited.model) < 0.3 < 0.9 < seen.accuracy(seen.retain, edited.model)
    assert SalUn().inner == Relabel()


def test_ties_do_not_free_more_than_the_share() -> None:
    p = torch.nn.Parameter(torch.zeros(10))
    assert salient({p: torch.zeros(10)}, 0.5)[p].tolist() == [True] * 5 + [False] * 5


def test_another_share_does_not_continue_a_stopped_edit(blobs: Any, tmp_path: Path) -> None:
    def stop(done: int, _total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    settings = Edit(steps=8, every=2)
    with pytest.raises(KeyboardInterrupt):
        run_edit(
            blobs.model, None, blobs.forget, blobs.retain, SalUn(share=0.5), settings, folder=tmp_path, progress=stop
        )
    ends = [
        digest_model(run_edit(blobs.model, None, blobs.forget, blobs.retain, SalUn(share=0.2), settings, **more).model)
        for more in ({}, {"folder": tmp_path})
    ]
    assert ends[0] == ends[1]


def test_what_is_not_a_loss_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="SSD has none"):
        SalUn(inner=SSD())
    for share in (0.0, 1.0):
        with pytest.raises(InvalidParameter):
            SalUn(inner=GradientAscent(), share=share)
