from dataclasses import replace
from typing import Any

import pytest
import torch
from sklearn.linear_model import Ridge

from expunge.verify import Probes
from expunge.verify.attacks._target import CannotRun, Target
from expunge.verify.attacks.linear_probe import LinearProbe, _Tokens, is_selective, ridge_map


def test_it_is_scikit_learns_ridge_on_standardised_inputs() -> None:
    torch.manual_seed(0)
    x, y, z = torch.randn(40, 5) * 3 + 1, torch.randn(40, 2), torch.randn(7, 5)
    mean, scale = x.double().mean(0), x.double().std(0)
    fitted = Ridge(alpha=0.7).fit(((x.double() - mean) / scale).numpy(), y.double().numpy())
    expected = torch.tensor(fitted.predict(((z.double() - mean) / scale).numpy())).float()
    torch.testing.assert_close(ridge_map(x, y, z, 0.7), expected, rtol=1e-5, atol=1e-5)


def test_a_feature_that_never_changes_is_harmless() -> None:
    x = torch.cat([torch.randn(20, 2), torch.ones(20, 1)], dim=1)
    assert bool(ridge_map(x, x[:, :1], x, 1.0).isfinite().all())


def test_a_probe_is_selective_only_beyond_chance() -> None:
    both, neither = [True] * 50, [False] * 50
    assert not is_selective(both, both)  # reads everything, whatever it was taught
    assert not is_selective(neither, neither)
    assert not is_selective(neither, both)
    assert is_selective([True] * 8 + [False] * 2, [False] * 8 + [True] * 2) is False  # 8 of 10: p = 0.055
    assert is_selective([True] * 9 + [False], [False] * 9 + [True])  # 9 of 10: p = 0.011


def test_tokens_know_their_place(trained: Any, probes: Probes) -> None:
    found = _Tokens.of(Target(trained.model, trained.tokenizer), probes, 4)
    words = [trained.tokenizer.decode(found.token_N[at]).strip() for at in found.value_at]
    assert all(fact.value.startswith(word) and word for fact, word in zip(probes.retain, words, strict=True))
    by_fact = [{int(f) for f in found.fold_N[a:b]} for a, b in zip(found.value_at, found.value_at[1:], strict=False)]
    assert {int(found.fold_N[at]) for at in found.value_at} == {0, 1, 2, 3}
    assert all(len(folds) <= 2 for folds in by_fact)  # from one value to the next lies at most one border of facts
    assert len(found.token_N) == len(found.fold_N) == len(found.read_ND)


def test_a_model_that_knows_nothing_cannot_be_probed(llama: Any, tokenizer: Any, probes: Probes) -> None:
    with pytest.raises(CannotRun, match="shuffled answers"):
        LinearProbe().run(Target(llama, tokenizer), probes)


def test_a_layer_that_is_not_selective_scores_nothing(
    trained: Any, probes: Probes, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdicts = iter([False, True])
    monkeypatch.setattr("expunge.verify.attacks.linear_probe.is_selective", lambda *_: next(verdicts))
    scores = LinearProbe().run(Target(trained.model, trained.tokenizer), probes)
    assert sum(scores["layer 0"]) == 0.0
    assert sum(scores["layer 1"]) >= 50


def test_too_few_retained_facts_are_refused(trained: Any, probes: Probes) -> None:
    with pytest.raises(CannotRun, match="at least 50"):
        LinearProbe().run(Target(trained.model, trained.tokenizer), replace(probes, retain=probes.retain[:49]))
