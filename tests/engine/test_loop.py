from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from expunge.core.digested import find_digested
from expunge.core.errors import InvalidParameter
from expunge.engine import Resume, Schedule, digest_model, loop, train

COSINE = Schedule(lr=0.1, warmup=3, shape="cosine")


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 1))


def noisy(model: nn.Module) -> Callable[[int], Tensor]:
    """A loss that draws random numbers, so that resuming must bring the generator back too."""
    return lambda k: ((model(torch.randn(5, 4)) - k) ** 2).mean()


def run(model: nn.Module, resume: Resume | None = None, stop_after: int | None = None, n: int = 12) -> list[float]:
    def progress(done: int, _total: int) -> None:
        if done == stop_after:
            raise KeyboardInterrupt

    torch.manual_seed(1)
    return train(list(model.parameters()), noisy(model), n, COSINE, resume=resume, progress=progress)


@pytest.fixture(scope="module")
def uninterrupted() -> str:
    model = net()
    run(model)
    return digest_model(model)


@pytest.mark.parametrize("stop_after", [1, 3, 4, 7, 11])
def test_a_stopped_run_goes_on_to_the_same_bits(tmp_path: Path, uninterrupted: str, stop_after: int) -> None:
    resume = Resume(path=tmp_path / "run.part", every=3)
    with pytest.raises(KeyboardInterrupt):
        run(net(), resume, stop_after)
    assert (find_digested(resume.path) is not None) == (stop_after >= 3)
    model = net()
    losses = run(model, resume)
    assert len(losses) == 12 - stop_after // 3 * 3
    assert digest_model(model) == uninterrupted
    assert list(tmp_path.iterdir()) == []


def checkpoint(resume: Resume) -> Path:
    """Where a run that was stopped after seven steps left its state."""
    with pytest.raises(KeyboardInterrupt):
        run(net(), resume, 7)
    found = find_digested(resume.path)
    assert found is not None
    return found


@pytest.mark.parametrize("keep", [0, 7, 100, -1])
def test_a_truncated_checkpoint_starts_over(tmp_path: Path, uninterrupted: str, keep: int) -> None:
    resume = Resume(path=tmp_path / "run.part", every=3)
    found = checkpoint(resume)
    found.write_bytes(found.read_bytes()[:keep])
    model = net()
    assert len(run(model, resume)) == 12
    assert digest_model(model) == uninterrupted


def test_a_checkpoint_of_which_any_bit_flipped_starts_over(tmp_path: Path, uninterrupted: str) -> None:
    resume = Resume(path=tmp_path / "run.part", every=3)
    n = len(checkpoint(resume).read_bytes())
    for i in range(3, n, 401):
        found = checkpoint(resume)
        data = found.read_bytes()
        found.write_bytes(data[:i] + bytes([data[i] ^ 1]) + data[i + 1 :])
        model = net()
        assert len(run(model, resume)) == 12
        assert digest_model(model) == uninterrupted


def test_a_checkpoint_of_another_run_is_not_continued(tmp_path: Path, uninterrupted: str) -> None:
    path = tmp_path / "run.part"
    with pytest.raises(KeyboardInterrupt):
        run(net(), Resume(path=path, every=3, key="theirs"), 7)
    model = net()
    assert len(run(model, Resume(path=path, every=3, key="ours"))) == 12
    assert digest_model(model) == uninterrupted


def test_a_checkpoint_of_another_shape_is_not_continued(tmp_path: Path, uninterrupted: str) -> None:
    resume = Resume(path=tmp_path / "run.part", every=3)
    torch.manual_seed(0)
    wide = nn.Linear(4, 99)
    with pytest.raises(KeyboardInterrupt):
        run(wide, resume, 7)
    model = net()
    run(model, resume)
    assert digest_model(model) == uninterrupted


def test_a_longer_runs_checkpoint_does_not_pass_for_a_finished_short_one(tmp_path: Path) -> None:
    resume = Resume(path=tmp_path / "run.part", every=3)
    with pytest.raises(KeyboardInterrupt):
        run(net(), resume, 11)
    assert len(run(net(), resume, n=6)) == 6


def test_a_loss_that_is_not_a_number_raises_and_leaves_the_last_good_weights() -> None:
    model, good = net(), net()
    torch.manual_seed(1)
    with pytest.raises(InvalidParameter, match="loss is nan at step 2"):
        train(
            list(model.parameters()),
            lambda k: noisy(model)(k) * (float("nan") if k == 2 else 1.0),
            9,
            Schedule(lr=0.1),
        )
    torch.manual_seed(1)
    train(list(good.parameters()), noisy(good), 2, Schedule(lr=0.1))
    assert digest_model(model) == digest_model(good)


def test_a_gradient_that_is_not_a_number_never_reaches_the_weights() -> None:
    weight = nn.Parameter(torch.zeros(3))
    with pytest.raises(InvalidParameter, match="gradient is"):
        train([weight], lambda _: weight.norm() + weight.sqrt().sum(), 1, Schedule(lr=0.1))
    assert torch.equal(weight, torch.zeros(3))


def test_nothing_to_train_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="no trainable parameters"):
        train([nn.Parameter(torch.zeros(1), requires_grad=False)], lambda _: torch.zeros(()), 1, Schedule(lr=0.1))


def test_the_schedule_warms_up_and_comes_down() -> None:
    rates = [COSINE.at(k, 12) for k in range(12)]
    assert rates[:3] == pytest.approx([0.1 / 3, 0.2 / 3, 0.1])
    assert rates[3] == 0.1
    assert rates[3:] == sorted(rates[3:], reverse=True)
    assert 0 < rates[-1] < 0.01
    assert COSINE.at(12, 12) == pytest.approx(0.0)
    for wrong in ({"lr": 0.0}, {"lr": 1.0, "warmup": -1}):
        with pytest.raises(InvalidParameter):
            Schedule(**wrong)  # type: ignore[arg-type]


class Slow:
    """A clock of which every step takes so many seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.now = seconds, 0.0

    def monotonic(self) -> float:
        self.now += self.seconds
        return self.now


@pytest.mark.parametrize(
    ("seconds", "steps", "most", "least"),
    [(1.0, 100, 0, 0), (10.0, 100, 3, 3), (100.0, 300, 20, 18), (1000.0, 40, 20, 18)],
    ids=["a short run", "every five minutes", "a long run", "the longest steps"],
)
def test_by_the_clock_checkpoints_cost_little_of_a_run(
    seconds: float, steps: int, most: int, least: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None in a run of two minutes, one every five minutes, and never more than twenty."""
    written: list[int] = []
    monkeypatch.setattr(loop, "time", Slow(seconds))
    resume = Resume(path=tmp_path / "run.part", every=None, beside=lambda: written.append(1))
    model = net()
    weights = list(model.parameters())
    train(weights, lambda k: weights[0].square().sum(), steps, Schedule(lr=1e-3), resume=resume)
    assert least <= len(written) <= most


def test_what_stands_beside_a_checkpoint_is_written_first_and_after_the_watch(tmp_path: Path) -> None:
    order: list[str] = []
    path = tmp_path / "run.part"
    beside = lambda: order.append(f"beside {find_digested(path) is not None}")
    watch = lambda done: bool(order.append(f"watch {done}"))
    model = net()
    weights = list(model.parameters())
    resume = Resume(path=path, every=2, beside=beside)
    train(weights, lambda k: weights[0].square().sum(), 3, Schedule(lr=1e-3), resume=resume, watch=watch)
    assert order == ["watch 1", "watch 2", "beside False", "watch 3"]
