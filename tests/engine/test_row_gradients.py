from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from expunge.engine import ArrayReferences, ReferenceCache, array_step_maker, encode, examples, step_maker
from expunge.engine import row_gradients as module
from expunge.engine.row_gradients import mean_gradient, mean_over_rows, row_gradients


class Branching(nn.Module):
    """The same network, but one that vmap cannot follow: it looks at a value."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) if float(x.sum()) > -1e9 else x


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Unflatten(1, (1, 6)), nn.Conv1d(1, 3, 3), nn.Flatten(), nn.Tanh(), nn.Linear(12, 4))


def rows() -> Any:
    draw = torch.Generator().manual_seed(1)
    return examples(torch.randn(7, 6, generator=draw), torch.randint(0, 4, (7,), generator=draw))


def side_of(model: nn.Module) -> Any:
    make = array_step_maker(model, ArrayReferences())
    return lambda rows: make((), rows).retain


def by_hand(model: nn.Module) -> dict[str, Tensor]:
    each = []
    for row in rows():
        model.zero_grad()
        F.cross_entropy(model(row.x[None]), torch.tensor([row.y])).backward()
        each.append([p.grad.clone() for p in model.parameters()])
    model.zero_grad()
    return {n: torch.stack(g) for (n, _), g in zip(model.named_parameters(), zip(*each, strict=True), strict=True)}


def whole(model: nn.Module) -> dict[str, Tensor]:
    parts = list(row_gradients(model, side_of(model), rows(), F.cross_entropy))
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def test_vectorised_and_looped_gradients_are_those_of_one_row_at_a_time() -> None:
    model = network()
    expected = by_hand(model)
    for found in (whole(model), {n.removeprefix("inner."): g for n, g in whole(Branching(model)).items()}):
        assert found.keys() == expected.keys()
        for name, g in found.items():
            torch.testing.assert_close(g, expected[name], rtol=1e-6, atol=1e-8)  # the order of sums differs


def test_the_size_of_a_pass_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model = network()
    expected = whole(model)
    monkeypatch.setattr(module, "BUDGET", 3 * sum(p.numel() for p in model.parameters()))
    assert [len(part["4.bias"]) for part in row_gradients(model, side_of(model), rows(), F.cross_entropy)] == [3, 3, 1]
    for name, g in whole(model).items():
        torch.testing.assert_close(g, expected[name])


def test_the_mean_square_is_of_rows_and_the_mean_gradient_of_the_batch() -> None:
    model, expected = network(), by_hand(network())
    squares = mean_over_rows(model, side_of(model), rows(), F.cross_entropy)
    means = mean_gradient(model, side_of(model), rows(), F.cross_entropy)
    for name, each in expected.items():
        torch.testing.assert_close(squares[name], each.square().mean(0))
        torch.testing.assert_close(means[name], each.mean(0))
        assert not torch.allclose(squares[name], means[name].square())
    assert all(p.grad is None for p in model.parameters())


def test_rows_of_a_language_model_do_not_feel_each_other(trained: Any) -> None:
    encoded = encode(trained.tokenizer, trained.retain[:5])
    make = step_maker(trained.model, ReferenceCache(), 2)
    side = lambda rows: make((), rows).retain
    parts = list(row_gradients(trained.model, side, encoded, F.cross_entropy))
    together = mean_gradient(trained.model, side, encoded, F.cross_entropy)  # padded to one length
    for name in together:
        each = torch.cat([part[name] for part in parts])
        assert len(each) == 5
        torch.testing.assert_close(each.mean(0), together[name], rtol=1e-4, atol=1e-6)
