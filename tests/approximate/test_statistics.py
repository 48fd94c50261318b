"""Running statistics of the training data: trained where weights begin anew, of the retained rows alone after any edit."""

import copy
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn

from expunge.approximate import Edit, methods, run_edit
from expunge.approximate._draws import paired
from expunge.approximate._statistics import reestimate
from expunge.approximate._work import Work
from expunge.approximate.retrain import Retrain
from expunge.approximate.undo import Undo
from expunge.core.errors import InvalidParameter
from expunge.engine import Schedule, derived_seed, digest_model, examples, train

SETTINGS = Edit(lr=3e-3, steps=60, warmup=0, forget_batch=32, retain_batch=64, guard=None)


def net(seed: int, width: int = 8, depth: int = 6) -> nn.Module:
    torch.manual_seed(seed)
    blocks: list[nn.Module] = []
    for k in range(depth):
        blocks += [nn.Conv2d(1 if k == 0 else width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * width, 10))


@lru_cache(maxsize=1)
def digits() -> tuple[Any, Any, Any]:
    """Rows to forget, to retain, and never seen."""
    x, y = load_digits(return_X_y=True)
    x = torch.tensor(x, dtype=torch.float32).reshape(-1, 1, 8, 8) / 16
    rows = [examples(x[part], y[part]) for part in (slice(0, 60), slice(60, 660), slice(1200, 1600))]
    return rows[0], rows[1], rows[2]


@lru_cache(maxsize=1)
def original() -> Any:
    forget, retain, _ = digits()
    rows = [*forget, *retain]
    x, y = torch.stack([r.x for r in rows]), torch.tensor([r.y for r in rows])
    model = net(0).train()

    def loss(k: int) -> Any:
        at = slice(64 * k % 640, 64 * k % 640 + 64)
        return F.cross_entropy(model(x[at]), y[at])

    train(list(model.parameters()), loss, 60, Schedule(lr=3e-3))
    return model.eval()


def right(model: Any) -> float:
    rows = digits()[2]
    with torch.no_grad():
        found = model(torch.stack([r.x for r in rows])).argmax(-1)
    return float((found == torch.tensor([r.y for r in rows])).float().mean())


def statistics(model: Any) -> dict[str, Any]:
    return {name: b for name, b in model.named_buffers() if "running" in name}


def test_retraining_reaches_what_plain_training_reaches() -> None:
    """The same start, rows, rate and steps in a loop of one's own, in training mode; the control is evaluation mode."""
    forget, retain, _ = digits()
    settings = replace(SETTINGS, bucket=False)
    edited = run_edit(original(), None, forget, retain, Retrain(), settings).model

    def plain(training: bool) -> float:
        work = Work(copy.deepcopy(original()), None, forget, retain, settings)
        model = work.fresh(derived_seed(b"expunge/retrain/v1", settings.seed)).train(training)
        order = torch.Generator().manual_seed(0)

        def loss(_: int) -> Any:
            rows = [retain[i] for i in torch.randperm(len(retain), generator=order)[:64].tolist()]
            return F.cross_entropy(model(torch.stack([r.x for r in rows])), torch.tensor([r.y for r in rows]))

        train(list(model.parameters()), loss, settings.steps, Schedule(lr=settings.lr, shape="cosine"))
        return right(model.eval())

    assert right(edited) > plain(True) - 0.05 > 0.7
    assert plain(False) < right(edited) - 0.2


NAMES = ["npo", "gradient_ascent", "scrub", "salun", "ssd", "retrain", "undo", "noisy_finetune", "relabel", "fisher"]


@pytest.mark.parametrize("name", NAMES)
def test_after_any_edit_they_are_those_of_the_retained_rows_alone(name: str) -> None:
    forget, retain, _ = digits()
    method: Any = Undo(inner=methods.get("npo")(), epochs=1) if name == "undo" else methods.get(name)()
    method = replace(method, keep=0.01) if name == "fisher" else method
    edited = run_edit(original(), None, forget, retain, method, replace(SETTINGS, steps=4)).model
    again = copy.deepcopy(edited)
    for layer in again.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.fill_(7.0)
    reestimate(Work(again, None, forget[:1], retain, SETTINGS))
    assert digest_model(again) == digest_model(edited)  # a function of the weights and the retained rows
    first = edited[0](torch.stack([row.x for row in retain])).detach()
    torch.testing.assert_close(edited[1].running_mean, first.mean((0, 2, 3)), rtol=1e-3, atol=1e-4)


def test_the_order_of_rows_and_what_is_forgotten_decide_nothing() -> None:
    forget, retain, _ = digits()
    found = []
    for gone, stays in ((forget, retain), (forget[:3], retain[::-1])):
        work = Work(copy.deepcopy(original()), None, gone, stays, SETTINGS)
        reestimate(work)
        found.append(digest_model(work.model))
    assert found[0] == found[1] != digest_model(original())


def test_they_come_near_those_of_training_on_the_same_rows() -> None:
    """The control of the estimate itself: what torch's own update makes of the same batches."""
    _, retain, _ = digits()
    work = Work(copy.deepcopy(original()), None, retain[:1], retain, SETTINGS)
    reestimate(work)
    theirs = copy.deepcopy(original())
    torch.optim.swa_utils.update_bn([torch.stack([r.x for r in retain])], theirs)
    for name, value in statistics(theirs).items():
        torch.testing.assert_close(statistics(work.model)[name], value, rtol=0.1, atol=0.05)


def test_what_is_frozen_keeps_its_statistics() -> None:
    forget, retain, _ = digits()
    model = copy.deepcopy(original())
    model[:3].requires_grad_(False)
    edited = run_edit(model, None, forget, retain, methods.get("npo")(), replace(SETTINGS, steps=2)).model
    assert torch.equal(edited[1].running_mean, model[1].running_mean)
    assert not torch.equal(edited[4].running_mean, model[4].running_mean)


def test_dropout_stays_off_and_modes_are_put_back() -> None:
    forget, retain, _ = digits()
    model = nn.Sequential(*original(), nn.Dropout(0.5)).eval()
    one, other = (run_edit(model, None, forget, retain, Retrain(), replace(SETTINGS, steps=3)) for _ in range(2))
    assert one.losses == other.losses
    assert not any(m.training for m in one.model.modules())


def test_a_stopped_one_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    forget, retain, _ = digits()
    asked = (original(), None, forget, retain, Retrain(), replace(SETTINGS, steps=8, every=3))

    def stop(done: int, _total: int) -> None:
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_edit(*asked, folder=tmp_path / "e", progress=stop)
    steps: list[int] = []
    again = run_edit(*asked, folder=tmp_path / "e", progress=lambda done, _: steps.append(done))
    assert steps == [7, 8]
    assert digest_model(again.model) == digest_model(run_edit(*asked).model)


def test_no_batch_is_a_single_row() -> None:
    assert paired([[1, 2], [3]]) == [[1, 2, 3]]
    assert paired([[1]]) == [[1]]
    x, y = torch.randn(9, 4), torch.arange(9) % 2
    flat = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    rows = examples(x, y)
    settings = Edit(steps=6, warmup=0, retain_batch=3, guard=None)
    edited = run_edit(flat, None, rows[:2], rows[2:], Retrain(), settings)  # 3 + 3 + 1 rows
    assert edited.rows_trained == 6 * 3 + 3
    with pytest.raises(InvalidParameter, match="they are single rows; give two at least"):
        run_edit(flat, None, rows[:2], rows[2:], Retrain(), replace(settings, retain_batch=1))
