from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from expunge.approximate import Edit
from expunge.approximate._work import Work
from expunge.approximate.influence import Influence, inverse_fisher
from expunge.core.errors import InvalidParameter
from expunge.engine import examples


def logistic(n: int = 4000) -> tuple[nn.Linear, Tensor, Tensor]:
    """Softmax regression on labels drawn from such a model, fitted to its optimum: there the Fisher is the Hessian."""
    torch.manual_seed(0)
    x, truth = torch.randn(n, 3), torch.randn(3, 2)
    y = torch.multinomial(torch.softmax(x @ truth, -1), 1)[:, 0]
    model = nn.Linear(3, 2, bias=False)
    fit(model, x, y)
    return model, x, y


def fit(model: nn.Linear, x: Tensor, y: Tensor) -> None:
    """To the optimum nearest to the start: adding the same to both classes' weights changes nothing."""
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=300, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        return loss

    optimizer.step(closure)


def newton(model: nn.Linear, x: Tensor, y: Tensor) -> Tensor:
    """- H^-1 grad of the retained rows, by another road than the method's."""
    weight = model.weight.detach().flatten()
    loss = lambda w: F.cross_entropy(x @ w.reshape(2, 3).T, y)
    hessian, gradient = torch.func.hessian(loss)(weight), torch.func.grad(loss)(weight)
    return -(torch.linalg.pinv(hessian, rtol=1e-4) @ gradient)


def test_its_step_is_the_newton_step_of_a_convex_model_in_sign_and_size() -> None:
    model, x, y = logistic()
    start = model.weight.detach().clone()
    expected = newton(model, x[400:], y[400:])
    work = Work(model, None, examples(x[:400], y[:400]), examples(x[400:], y[400:]), Edit())
    Influence(alpha=1.0, damping=1e-6, samples=3600).edit(work)
    moved = (model.weight.detach() - start).flatten()
    assert F.cosine_similarity(moved, expected, 0) > 0.95
    assert 0.85 < moved.norm() / expected.norm() < 1.15  # empirical Fisher of 3,600 rows for the Hessian
    fit(model_again := nn.Linear(3, 2, bias=False), x[400:], y[400:])
    fit_to_retain = model_again.weight.detach()
    difference = lambda w: w[0] - w[1]  # what the model depends on
    before, after = ((difference(w) - difference(fit_to_retain)).norm() for w in (start, model.weight.detach()))
    assert after < 0.35 * before


def test_the_inverse_is_that_of_the_whole_matrix() -> None:
    torch.manual_seed(0)
    g, v = torch.randn(7, 5), torch.randn(5)
    expected = torch.linalg.solve(0.1 * torch.eye(5) + g.T @ g / 7, v)
    found = inverse_fisher({"a": g[:, :2], "b": g[:, 2:].reshape(7, 3, 1)}, {"a": v[:2], "b": v[2:, None]}, 0.1)
    torch.testing.assert_close(torch.cat([found["a"], found["b"][:, 0]]), expected, rtol=1e-4, atol=1e-5)


def test_it_is_computed_where_the_gradients_are() -> None:
    g, v = torch.ones(7, 5, device="meta"), torch.ones(5, device="meta")
    assert inverse_fisher({"w": g}, {"w": v}, 0.1)["w"].device.type == "meta"


def test_the_rank_one_recursion_gives_the_same() -> None:
    """Singh and Alistarh's recursion, carried out on the whole matrix."""
    torch.manual_seed(1)
    g, v, n = torch.randn(6, 4).double(), torch.randn(4).double(), 6
    inverse = torch.eye(4).double() / 0.2
    for row in g:
        through = inverse @ row
        inverse = inverse - torch.outer(through, through) / (n + row @ through)
    torch.testing.assert_close(inverse_fisher({"w": g}, {"w": v}, 0.2)["w"], inverse @ v)


def test_the_strength_is_searched_and_said(blobs: Any) -> None:
    work = blobs.work()
    start, forgotten = work.accuracy(work.retain), work.side(work.forget).nll.item()
    losses = Influence(keep=0.9).edit(work)
    assert losses == pytest.approx([forgotten, work.side(work.forget).nll.item()], rel=1e-5)
    assert work.side(work.forget).nll.item() > forgotten + 1
    assert work.accuracy(work.retain) >= 0.9 * start
    assert "chosen: the largest that leaves 90%" in work.notes[-1]


def test_rows_that_do_not_fit_into_memory_are_left_out_and_said(blobs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("expunge.approximate.influence.NUMBERS", 5000)
    work = blobs.work()
    Influence(alpha=1e-6).edit(work)
    assert "curvature from 20 rows" in work.notes[0]  # 5,000 numbers, 243 weights


def test_parameters_out_of_range_are_refused() -> None:
    with pytest.raises(InvalidParameter, match="damping"):
        Influence(damping=0.0)
