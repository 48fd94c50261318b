import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from expunge.approximate import Edit, _accountant, run_edit
from expunge.approximate._work import Work
from expunge.approximate.noisy_finetune import NoisyFinetune, clipped
from expunge.core import Guarantee
from expunge.core.errors import InvalidParameter
from expunge.engine import digest_model, examples


def total_variation(a: torch.Tensor, b: torch.Tensor) -> float:
    """Of two samples of one-dimensional Gaussians of equal spread: the best test is a threshold half-way."""
    middle = float((a.mean() + b.mean()) / 2)
    return float((a < middle).double().mean() - (b < middle).double().mean())


@pytest.mark.parametrize("decay", [0.0, 0.7])
def test_the_one_dimensional_worst_case_meets_the_bound(decay: float) -> None:
    """Starts at both ends of the ball and gradients that always pull apart, with varying rates and noise."""
    draw, n = torch.Generator().manual_seed(0), 200_000
    radius, clip, steps = 0.6, 0.8, 7
    rates = [0.1 + 0.05 * t for t in range(steps)]
    sigmas = [0.5 + 0.1 * t for t in range(steps)]
    ends = []
    for sign in (-1.0, 1.0):
        x = torch.full((n,), sign * radius, dtype=torch.float64)
        for rate, sigma in zip(rates, sigmas, strict=True):
            x = x - rate * (-sign * clip + decay * x) + sigma * torch.randn(n, generator=draw, dtype=torch.float64)
        ends.append(x)
    bound = _accountant.delta(0.0, _accountant.mu(radius, clip, rates, decay, sigmas))  # at epsilon 0 delta is the TV
    assert total_variation(*ends) == pytest.approx(bound, abs=0.006)  # four standard errors
    # What is not the worst case stays below it: a drift that turns back.
    x = torch.full((2, n), radius, dtype=torch.float64) * torch.tensor([[-1.0], [1.0]])
    for rate, sigma in zip(rates, sigmas, strict=True):
        noise = sigma * torch.randn(2, n, generator=draw, dtype=torch.float64)
        x = x - rate * (clip * torch.sin(3 * x) + decay * x) + noise
    assert total_variation(*x) < bound


def test_budgets_are_the_known_ones() -> None:
    known = {0.5: 0.142, 1: 0.268, 2: 0.502, 4: 0.925, 8: 1.666}
    for epsilon, expected in known.items():
        mu = _accountant.budget(epsilon, 1e-5)
        assert mu == pytest.approx(expected, abs=6e-4)
        assert _accountant.delta(epsilon, mu) == pytest.approx(1e-5, rel=1e-3)


def test_without_decay_the_bound_is_its_closed_form_and_is_least_at_the_known_length() -> None:
    for steps in (1, 10, 50):
        expected = 2 * (0.5 + 0.02 * 1.5 * steps) / (0.3 * math.sqrt(steps))
        assert _accountant.mu(0.5, 1.5, [0.02] * steps, 0.0, [0.3] * steps) == pytest.approx(expected)
    best = min(
        range(1, 60), key=lambda steps: _accountant.sigma_for(0.268, 0.5, 1.0, 0.02, 0.0, steps) * steps**0.5 / steps
    )
    least = min(range(1, 60), key=lambda steps: _accountant.mu(0.5, 1.0, [0.02] * steps, 0.0, [1.0] * steps))
    assert least == 25  # C0 / (gamma C1)
    assert best >= least


def test_with_decay_it_is_the_sum_in_closed_form_and_its_limit_is_that_without() -> None:
    """[2 C0 q^T + (2 C1/lambda)(1 - q^T)]^2 gamma lambda (2 - gamma lambda) / (mu^2 (1 - q^2T)); as lambda -> 0 sqrt(2)
    more noise than the form that authors' programs use there."""
    radius, clip, rate, steps, mu = 0.5, 1.0, 0.02, 30, 0.268
    for decay in (40.0, 1.0, 1e-5):
        q = 1 - rate * decay
        gap = 2 * radius * q**steps + 2 * clip / decay * (1 - q**steps)
        variance = gap**2 * rate * decay * (2 - rate * decay) / (mu**2 * (1 - q ** (2 * steps)))
        found = _accountant.sigma_for(mu, radius, clip, rate, decay, steps)
        assert found == pytest.approx(math.sqrt(variance), rel=1e-4)
    short = math.sqrt((2 * radius + 2 * clip * rate * steps) ** 2 / (2 * mu**2 * steps))
    assert _accountant.sigma_for(mu, radius, clip, rate, 0.0, steps) == pytest.approx(math.sqrt(2) * short)


def test_the_published_forms_ask_for_more() -> None:
    for decay, least, most in ((0.0, 1.3, 1.6), (40.0, 1.5, 10.0)):
        arguments = (0.5, 1.0, 0.02, decay, 20)
        ours = _accountant.sigma_for(_accountant.budget(1.0, 1e-5), *arguments)
        published = _accountant.published_sigma(1.0, 1e-5, *arguments)
        assert published is not None
        assert least < published / ours < most
    assert _accountant.published_sigma(1.0, 1e-5, 0.5, 1.0, 0.02, 10.0, 20) is None  # gamma lambda <= 1/2
    assert _accountant.published_sigma(40.0, 1e-5, 0.5, 1.0, 0.02, 0.0, 20) is None  # epsilon > 3 ln(1/delta)


class Recorded:
    """A model of two weights whose gradient is known: loss = -scale (w . (3, 4)) for class 0."""

    @staticmethod
    def work(start: list[float]) -> Work:
        model = nn.Linear(2, 2, bias=False)
        model.weight.data = torch.tensor([start, [0.0, 0.0]])
        rows = examples(torch.tensor([[30.0, 40.0], [3.0, 4.0], [6.0, 8.0]]), [1, 1, 1])
        return Work(model, None, rows[:1], rows[1:], Edit(retain_batch=2))


def noiseless(method: NoisyFinetune, work: Work, monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """The iterates of the noisy phase with its noise taken off, from an anchor of ones."""
    monkeypatch.setattr(NoisyFinetune, "sigma", 0.0)
    anchor = nn.Linear(2, 2, bias=False)
    anchor.weight.data = torch.ones(2, 2)
    method.noisy_phase(work, anchor, np.random.default_rng(0))
    return [work.model.weight.detach().clone(), anchor.weight.detach()]


def test_the_start_is_clipped_around_the_anchor_and_decay_is_not_clipped(monkeypatch: pytest.MonkeyPatch) -> None:
    work = Recorded.work([100.0, 1.0])
    method = NoisyFinetune(radius=0.5, clip=1e-9, rate=0.1, decay=2.0, steps=1)
    start, anchor = work.model.weight.detach().clone(), torch.ones(2, 2)
    toward = (start - anchor) / (start - anchor).norm()
    found, _ = noiseless(method, work, monkeypatch)
    torch.testing.assert_close(found, anchor + 0.5 * toward * (1 - 0.1 * 2.0))


def test_the_gradient_of_the_batch_is_clipped_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    work = Recorded.work([1.0, 1.0])
    found, anchor = noiseless(NoisyFinetune(radius=0.0, clip=0.01, rate=1.0, steps=1), work, monkeypatch)
    assert float((found - anchor).norm()) == pytest.approx(0.01, rel=1e-4)  # (3, 4) times something larger than 0.01
    a, b = clipped([torch.tensor([3.0, 0.0]), torch.tensor([4.0])], 1.0)
    assert float(a.square().sum() + b.square().sum()) == pytest.approx(1.0)
    assert clipped([torch.tensor([0.3])], 1.0)[0].item() == pytest.approx(0.3)


def test_the_noise_is_added_at_every_step_with_the_deviation_that_is_said() -> None:
    """Descent with no gradient to speak of is a random walk: variance steps x sigma^2."""
    model = nn.Linear(200, 100, bias=False)
    rows = examples(torch.zeros(3, 200), [0, 1, 2])
    work, method = Work(model, None, rows[:1], rows[1:], Edit(seed=3)), NoisyFinetune(radius=0.0, steps=9)
    anchor = nn.Linear(200, 100, bias=False)
    before = anchor.weight.detach().clone()
    method.noisy_phase(work, anchor, np.random.default_rng(1))
    walked = (model.weight.detach() - before) / (3 * method.sigma)
    assert abs(float(walked.std()) - 1) < 0.02  # four standard errors of 20,000 numbers
    assert abs(float(walked.mean())) < 0.03


def test_running_statistics_of_the_original_do_not_survive() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    model[1].running_mean.fill_(7.0)
    rows = examples(torch.randn(6, 2), [0, 1] * 3)
    edited = run_edit(model, None, rows[:2], rows[2:], NoisyFinetune(), Edit(steps=2)).model
    retained = torch.stack([row.x for row in rows[2:]])
    torch.testing.assert_close(edited[1].running_mean, edited[0](retained).mean(0))


def test_the_noisy_phase_leaves_no_statistics_of_weights_before_their_noise() -> None:
    """It normalises by batches; what that fills the buffers with comes from the original's weights, and goes."""
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    rows = examples(torch.randn(9, 2), [0, 1, 0] * 3)
    work = Work(model, None, rows[:2], rows[2:], Edit(steps=2, retain_batch=3))
    anchor = work.fresh(0)
    NoisyFinetune().noisy_phase(work, anchor, np.random.default_rng(0))
    assert all(torch.equal(a, b) for a, b in zip(work.model.buffers(), anchor.buffers(), strict=True))


def test_nothing_depends_on_the_forgotten_rows(blobs: Any) -> None:
    """The same retained rows and the same start: another forget set gives the same bits."""
    settings = Edit(steps=5)
    ends = {
        digest_model(run_edit(blobs.model, None, forget, blobs.retain, NoisyFinetune(), settings).model)
        for forget in (blobs.forget, blobs.forget[:3], blobs.holdout)
    }
    assert len(ends) == 1


def test_it_is_certified_only_with_secret_noise(blobs: Any) -> None:
    settings = Edit(steps=2)
    seeded = [run_edit(blobs.model, None, blobs.forget, blobs.retain, NoisyFinetune(), settings) for _ in range(2)]
    secret = [
        run_edit(blobs.model, None, blobs.forget, blobs.retain, NoisyFinetune(secret=True), settings) for _ in range(2)
    ]
    assert [e.guarantee for e in (*seeded, *secret)] == [Guarantee.EMPIRICAL] * 2 + [Guarantee.CERTIFIED] * 2
    assert digest_model(seeded[0].model) == digest_model(seeded[1].model)
    assert digest_model(secret[0].model) != digest_model(secret[1].model)
    assert "nothing is certified" in seeded[0].notes[0]


def test_the_cheaper_alternative_is_priced(blobs: Any) -> None:
    settings = Edit(steps=10, retain_batch=16)
    edited = run_edit(blobs.model, None, blobs.forget, blobs.retain, NoisyFinetune(), settings)
    assert "mu 0.2680" in edited.notes[0].replace("0.2681", "0.2680").replace("0.2679", "0.2680")
    assert "visits 160 retained rows; this visits 480" in edited.notes[1]
    assert "0.052 bits" in edited.notes[1]
    assert edited.rows_trained == 480


def test_what_would_escape_the_noise_is_refused(blobs: Any) -> None:
    for settings in ({"modules": "2"}, {"until": 0.1}):
        with pytest.raises(InvalidParameter, match="every weight"):
            NoisyFinetune().edit(blobs.work(**settings))
    work = blobs.work()
    work.model.to(torch.bfloat16)
    with pytest.raises(InvalidParameter, match="float32"):
        NoisyFinetune().edit(work)


@pytest.mark.parametrize("wrong", [{"clip": 0.0}, {"radius": -1.0}, {"steps": 0}, {"epsilon": 0.0}, {"delta": 1.0}])
def test_parameters_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameter):
        NoisyFinetune(**wrong)
    with pytest.raises(InvalidParameter, match="rate x decay"):
        replace(NoisyFinetune(), rate=1.0, decay=1.5)
