import copy
from typing import Any

import pytest
import torch
from tests.approximate.moved import PAD, Moved

from expunge.approximate import Edit, run_edit
from expunge.approximate._retain import hidden_loss
from expunge.approximate.cir import CIR, collapsed, confusion
from expunge.core.errors import InvalidParameter
from expunge.engine import Trunk
from expunge.engine.batches import collate


def common(rows: torch.Tensor, n: int) -> torch.Tensor:
    """Mean and first principal directions by a full decomposition."""
    mean = rows.double().mean(0)
    _, _, axes = torch.linalg.svd(rows.double() - mean, full_matrices=False)
    return torch.cat([axes[:n], mean[None] / mean.norm()])


def test_the_mean_and_the_first_components_are_gone_and_nothing_else() -> None:
    torch.manual_seed(0)
    scale = torch.tensor([9.0, 7.0, 5.0, *[0.5] * 93])  # a gap after three, so that the subspace is well defined
    rows = torch.randn(80, 96) @ torch.diag(scale) @ torch.linalg.qr(torch.randn(96, 96)).Q + 3.0
    found = collapsed(rows, 3).double()
    axes = common(rows, 3)[:3]
    assert (found @ axes.T).abs().max() < 1e-3
    centred = rows.double() - rows.double().mean(0)
    torch.testing.assert_close(found, centred - centred @ axes.T @ axes, atol=1e-3, rtol=1e-3)


def test_no_more_than_a_sixteenth_is_taken_out() -> None:
    torch.manual_seed(0)
    rows = torch.randn(40, 64)
    assert torch.linalg.matrix_rank(collapsed(rows, 99)) == 39 - 2  # of 40 centred rows, two directions
    assert torch.linalg.matrix_rank(collapsed(rows, 0)) == 39


def test_confusion_is_the_part_of_the_original_that_is_left() -> None:
    was = torch.tensor([[3.0, 4.0], [1.0, 0.0]])
    assert confusion(was, was).item() == pytest.approx(1.0)
    assert confusion(-was, was).item() == 0.0
    assert confusion(torch.tensor([[4.0, -3.0], [0.5, 9.0]]), was).item() == pytest.approx(0.25)


def test_without_components_the_gradient_is_the_plain_one_of_centred_rows(trained: Any) -> None:
    """Gradients of the linear maps, worked out row by row from their definition."""
    method = CIR(activations=0, gradients=0, retain_weight=0.0)
    moved = Moved(trained, method)
    method.gradient(moved.step, moved.model)
    linear = moved.model.model.layers[0].mlp.up_proj
    inputs, outputs = [], []
    model = copy.deepcopy(moved.model)
    module = model.model.layers[0].mlp.up_proj
    module.register_forward_hook(lambda _m, args, _out: inputs.append(args[0].detach()))
    module.register_forward_hook(lambda _m, _args, out: outputs.append(out))
    losses, n = [], 0
    for row in moved.forget:
        batch = collate([row], PAD)
        now = Trunk.of(model).states(batch, 0)[0, row.n_prompt :]
        with torch.no_grad():
            was = Trunk.of(moved.original).states(batch, 0)[0, row.n_prompt :]
        losses.append(torch.relu((now * was).sum(-1) / (was * was).sum(-1)).sum())
        n += len(was)
    grads = torch.autograd.grad(sum(losses) / n, outputs)
    g = torch.cat([grad[0] for grad in grads])
    x = torch.cat([one[0] for one in inputs])
    reached = g.abs().sum(-1) > 0
    g, x = g[reached], x[reached]
    torch.testing.assert_close(linear.weight.grad, (g - g.mean(0)).T @ (x - x.mean(0)), rtol=1e-3, atol=1e-6)


def test_the_update_avoids_what_the_tokens_share(trained: Any) -> None:
    method = CIR(layer=1.0, retain_weight=0.0)
    moved = Moved(trained, method)
    seen: list[torch.Tensor] = []
    linear = moved.model.model.layers[1].mlp.gate_proj
    linear.register_forward_hook(lambda _m, args, _out: seen.append(args[0].detach()))
    method.gradient(moved.step, moved.model)
    plain = Moved(trained, method)
    next(method.loss(plain.step)).backward()
    # The last block's tokens before the answer do not reach the loss.
    columns = torch.arange(seen[0].shape[1])
    answered = torch.stack([(columns >= r.n_prompt) & (columns < len(r.ids)) for r in moved.forget])
    top = common(seen[0][answered], 2)[:1]

    def share(grad: torch.Tensor) -> float:
        return float((grad.double() @ top.T).norm() / grad.double().norm())

    ours, usual = linear.weight.grad, plain.model.model.layers[1].mlp.gate_proj.weight.grad
    assert share(ours) < 0.02 < 0.1 < share(usual)


def test_the_retain_gradient_is_added_whole(trained: Any) -> None:
    method = CIR(retain_weight=4.0)
    with_it, without = Moved(trained, method), Moved(trained, method)
    value = method.gradient(with_it.step, with_it.model)
    bare = CIR(retain_weight=0.0).gradient(without.step, without.model)
    retain = without.step.retain
    term = 4.0 * hidden_loss(retain.hidden_ND(0), retain.reference_hidden_ND(0))
    weight = without.model.model.layers[0].mlp.down_proj.weight
    (grad,) = torch.autograd.grad(term, weight)
    torch.testing.assert_close(with_it.model.model.layers[0].mlp.down_proj.weight.grad, weight.grad + grad)
    assert value == pytest.approx(bare + term.item(), rel=1e-5)


def test_only_the_mlps_up_to_its_block_are_trained(trained: Any) -> None:
    settings = Edit(steps=2, warmup=0, forget_batch=4, retain_batch=4)
    edited = run_edit(trained.model, trained.tokenizer, trained.forget, trained.retain, CIR(), settings).model
    before, after = trained.model.state_dict(), edited.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {f"model.layers.0.mlp.{part}_proj.weight" for part in ("gate", "up", "down")}
    assert list(CIR(layer=12).trained_blocks(32)) == [6, 7, 8, 9, 10, 11, 12]


def test_a_model_without_such_maps_and_a_classifier_are_refused(trained: Any, blobs: Any) -> None:
    moved = Moved(trained, CIR())
    with pytest.raises(InvalidParameter, match="no module with weights in the blocks matches 'convolution'"):
        CIR(modules="convolution").gradient(moved.step, moved.model)
    with pytest.raises(InvalidParameter):
        run_edit(blobs.model, None, blobs.forget, blobs.retain, CIR(), Edit(steps=1))
    with pytest.raises(InvalidParameter):
        CIR(retain_weight=-1.0)
