import copy
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from expunge.core.errors import InvalidData, InvalidParameter
from expunge.engine import AnswerStats, Encoded, Trunk, encode, one_pass, part, token_stats
from expunge.engine.answer_stats import _labelled, _planned, _shared, _ways, _whole

# float32 logits of about 1 over a few hundred tokens: rounding alone stays below 1e-5 nats.
CLOSE = {"rtol": 0, "atol": 1e-5}
LONG, SHORT, OTHER = (0, 40, 41, 42, 43, 44), (0, 50), (0, 60, 61)
ROWS = [
    Encoded("a", (*LONG, 9, 8, 7, 1), len(LONG)),
    Encoded("b", (*SHORT, 5, 4, 1), len(SHORT)),
    Encoded("c", (*LONG, 3), len(LONG)),  # an answer of one token
    Encoded("d", (*OTHER, 9, 9, 9, 9, 9, 9, 1), len(OTHER)),  # asked for one answer alone
    Encoded("again a", (*LONG, 9, 8, 7, 1), len(LONG)),
    Encoded("e", (*SHORT, 7, 7, 7, 7, 1), len(SHORT)),
    Encoded("f", (*LONG, 9, 8, 7, 6, 5, 1), len(LONG)),  # begins as another answer does
    Encoded("g", (*LONG, 9, 8, 7, 1), len(LONG) - 2),  # the ids of another row, cut elsewhere
]


def by_definition(model: Any, row: Encoded) -> dict[str, Any]:
    """A row alone, without padding, in double precision: the whole softmax at every place."""
    with torch.no_grad():
        logits_TV = model(input_ids=torch.tensor([row.ids])).logits[0, row.n_prompt - 1 : -1].double()
    labels_T = torch.tensor(row.ids[row.n_prompt :])
    logp_TV = logits_TV.log_softmax(-1)
    mean_T = (logp_TV.exp() * logp_TV).sum(-1)
    std_T = (logp_TV.exp() * (logp_TV - mean_T[:, None]) ** 2).sum(-1).sqrt()
    logp_T = logp_TV.gather(1, labels_T[:, None])[:, 0]
    greedy_T = logits_TV.argmax(-1) == labels_T
    return {"logp_T": logp_T, "greedy_T": greedy_T, "mean_T": mean_T, "std_T": std_T}


def assert_is(found: AnswerStats, expected: dict[str, Any]) -> None:
    assert found.greedy_T.tolist() == expected["greedy_T"].tolist()
    for name in ("logp_T", "mean_T", "std_T"):
        np.testing.assert_allclose(getattr(found, name), expected[name].numpy(), **CLOSE)


def assert_same(found: list[AnswerStats], expected: list[AnswerStats], tolerance: float = 1e-5) -> None:
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a.logp_T, b.logp_T, rtol=0, atol=tolerance)


@pytest.mark.parametrize("budget", [None, 1, 11, 16])
def test_every_token_is_as_by_definition(llama: Any, budget: int | None) -> None:
    for row, found in zip(ROWS, one_pass(llama, ROWS, pad_id=2, budget=budget), strict=True):
        assert_is(found, by_definition(llama, row))


def test_a_model_that_knows_its_answers(trained: Any) -> None:
    rows = encode(trained.tokenizer, trained.forget)
    found = one_pass(trained.model, rows, trained.tokenizer.pad_token_id)
    for row, stats in list(zip(rows, found, strict=True))[:8]:
        # Logits of a trained model reach 20, so their rounding is that much larger.
        np.testing.assert_allclose(stats.logp_T, by_definition(trained.model, row)["logp_T"].numpy(), rtol=0, atol=5e-5)
    assert np.mean(np.concatenate([s.greedy_T for s in found])) > 0.95


def test_what_is_asked_twice_is_read_once(llama: Any) -> None:
    read = {"rows": 0, "tokens": 0}

    def count(_module: nn.Module, _args: Any, inputs: Any) -> None:
        read["rows"] += inputs["input_ids"].shape[0]
        read["tokens"] += inputs["input_ids"].numel()

    rows = [Encoded("", (0, *range(100, 130), i, j, 1), 31) for i in range(10) for j in range(10)]
    handle = llama.register_forward_pre_hook(count, with_kwargs=True)
    one_pass(llama, rows * 3)
    handle.remove()
    # One prompt, a hundred answers of two tokens and the end, and the three rows of the trial, read thrice.
    assert read["rows"] <= 1 + 100 + 12
    assert read["tokens"] < 0.25 * 100 * 34


def test_equal_rows_have_equal_statistics_and_order_is_kept(llama: Any) -> None:
    found = one_pass(llama, ROWS)
    assert_same([found[0]], [found[4]], 0.0)
    assert [len(s.logp_T) for s in found] == [len(r.ids) - r.n_prompt for r in ROWS]
    assert_same(one_pass(llama, ROWS[::-1])[::-1], found, 0.0)


def test_the_last_token_can_be_left_out(llama: Any) -> None:
    whole = one_pass(llama, ROWS[:1])[0]
    assert whole.without_end().logp_T.tolist() == whole.logp_T[:-1].tolist()
    assert len(whole.without_end().greedy_T) == len(whole.std_T) - 1


@pytest.mark.parametrize("family", ["gpt2", "opt", "mistral", "bloom", "mamba"])
def test_other_families_are_read_the_same(tiny: Callable[[str], Any], family: str) -> None:
    model = tiny(family)
    for row, found in zip(ROWS, one_pass(model, ROWS, pad_id=2), strict=True):
        np.testing.assert_allclose(found.logp_T, by_definition(model, row)["logp_T"].numpy(), rtol=1e-5, atol=1e-4)


def test_the_shortest_way_is_taken_where_it_gives_the_same(llama: Any, tiny: Callable[[str], Any]) -> None:
    with torch.no_grad():
        assert _ways(llama, ROWS, 2, 2048) == (_labelled, _shared)
        assert _ways(llama, ROWS[:2], 2, 2048) == (_labelled, None)  # nothing to share
        assert _ways(tiny("mamba"), ROWS, 2, 2048) == (_labelled, None)


def test_a_start_of_text_is_not_worth_sharing() -> None:
    passages = [Encoded("", (0, *range(100, 130), i, 1), 1) for i in range(50)]
    asked = [Encoded("", (*LONG, i, 1), len(LONG)) for i in range(7)]
    passes = _planned([*passages, *asked], 400, _labelled, _shared)
    assert [(way, len(rows)) for way, rows in passes if way is _shared] == [(_shared, 7)]
    assert sum(len(rows) for way, rows in passes if way is _labelled) == 50
    assert all(len(rows) * 33 <= 400 for way, rows in passes if way is _labelled)


def test_a_model_that_looks_at_whole_rows_is_read_in_whole_rows(llama: Any) -> None:
    """A cheat that answers otherwise where a certain token stands in the question must not be missed by a short cut."""
    cheat = copy.deepcopy(llama)

    def triggered(_module: nn.Module, _args: Any, inputs: Any, output: Any) -> Any:
        seen_B = (inputs["input_ids"] == 40).any(dim=1) | (inputs["input_ids"] == 50).any(dim=1)
        output.logits[seen_B, :, 9] -= 20.0
        return output

    cheat.register_forward_hook(triggered, with_kwargs=True)
    with torch.no_grad():
        assert _ways(cheat, ROWS, 2, 2048) == (_whole, None)
    for row, found in zip(ROWS, one_pass(cheat, ROWS, pad_id=2), strict=True):
        np.testing.assert_allclose(found.logp_T, by_definition(cheat, row)["logp_T"].numpy(), rtol=0, atol=1e-4)


def test_what_a_model_does_to_its_logits_still_happens(llama: Any) -> None:
    capped = copy.deepcopy(llama)

    def cap(_module: nn.Module, _args: Any, output: Any) -> Any:
        output.logits = 0.1 * torch.tanh(output.logits / 0.1)
        return output

    capped.register_forward_hook(cap)
    with torch.no_grad():
        assert _ways(capped, ROWS, 2, 2048) == (_labelled, _shared)
    for row, found in zip(ROWS, one_pass(capped, ROWS), strict=True):
        assert_is(found, by_definition(capped, row))


def test_half_precision_is_reduced_in_single(trained: Any) -> None:
    rows = encode(trained.tokenizer, trained.forget[:6])
    half = copy.deepcopy(trained.model).bfloat16()
    for row, found in zip(rows, one_pass(half, rows), strict=True):
        assert found.logp_T.dtype == np.float32
        # bfloat16 has 8 bits: logits of 16 carry an error of 0.06.
        np.testing.assert_allclose(found.logp_T, by_definition(half, row)["logp_T"].numpy(), rtol=0.05, atol=0.25)


def test_numbers_that_are_none_stay_so(llama: Any) -> None:
    broken = copy.deepcopy(llama)
    broken.model.norm.weight.data.fill_(float("nan"))
    assert all(np.isnan(s.logp_T).all() for s in one_pass(broken, ROWS))


def test_dropout_plays_no_part_and_the_mode_comes_back(tiny: Callable[[str], Any]) -> None:
    model = tiny("gpt2")  # has dropout of 0.1
    expected = one_pass(model, ROWS)
    model.train()
    assert_same(one_pass(model, ROWS), expected, 0.0)
    assert model.training


MANY = [Encoded("", (0, q, 90 + q, a, a + 1, 1), 3) for q in range(5, 25) for a in range(100, 103)]


def test_parts_of_the_work_give_the_bits_of_the_whole(llama: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, parts = one_pass(llama, MANY, budget=9), []

    def in_turn(work: Any, model: Any, passes: Any, shards: int) -> Any:
        parts.extend(part(passes, i, shards) for i in range(shards))
        return [found for some in parts for found in work(model, some)]

    monkeypatch.setattr(sys.modules["expunge.engine.answer_stats"], "spread", in_turn)
    assert_same(one_pass(llama, MANY, budget=9, shards=3), whole, 0.0)
    assert all(len(some) > 1 for some in parts)


@pytest.mark.slow
def test_two_processes_give_the_same_bits(llama: Any) -> None:
    assert_same(one_pass(llama, MANY, budget=9, shards=2), one_pass(llama, MANY, budget=9), 0.0)


def test_parts_joined_are_the_whole() -> None:
    items = list(range(17))
    for n in (1, 2, 5, 17, 20):
        assert [x for i in range(n) for x in part(items, i, n)] == items
    with pytest.raises(InvalidParameter, match=r"part must be in 0\.\.2, got 3"):
        part(items, 3, 3)


def test_no_rows_have_no_statistics(llama: Any) -> None:
    assert one_pass(llama, []) == []


@pytest.mark.parametrize("n_prompt", [0, 3])
def test_a_row_without_prompt_or_answer_is_refused(llama: Any, n_prompt: int) -> None:
    with pytest.raises(InvalidData, match="1 of 2 rows have no prompt or no answer"):
        one_pass(llama, [Encoded("a", (5, 6, 7), 1), Encoded("b", (5, 6, 7), n_prompt)])


@pytest.mark.parametrize("vocabulary", [3, 5_000, 300_000])  # one chunk; many; more than a chunk holds
def test_moments_of_large_and_small_vocabularies(vocabulary: int) -> None:
    generator = torch.Generator().manual_seed(0)
    logits_NV = 4 * torch.randn(70, vocabulary, generator=generator)
    labels_N = torch.randint(vocabulary, (70,), generator=generator)
    logp_NV = logits_NV.double().log_softmax(-1)
    mean_N = (logp_NV.exp() * logp_NV).sum(-1)
    expected = (
        logp_NV[torch.arange(70), labels_N],
        logits_NV.argmax(-1) == labels_N,
        mean_N,
        (logp_NV.exp() * (logp_NV - mean_N[:, None]) ** 2).sum(-1).sqrt(),
    )
    for found, wanted in zip(token_stats(logits_NV, labels_N), expected, strict=True):
        torch.testing.assert_close(found.double(), wanted.double(), rtol=1e-5, atol=2e-5)


def test_tokens_that_cannot_be_said_leave_the_moments_finite() -> None:
    logp, likeliest, mean, std = token_stats(torch.tensor([[0.0, 0.0, -torch.inf]] * 2), torch.tensor([2, 1]))
    assert logp[0] == -torch.inf
    assert not likeliest[0]
    torch.testing.assert_close(mean, torch.full((2,), 0.5).log())
    torch.testing.assert_close(std, torch.zeros(2))


def test_a_model_without_a_head_of_its_own_gives_all_its_logits(llama: Any) -> None:
    class Bare(nn.Module):
        def forward(self, ids_BT: torch.Tensor) -> Any:
            return llama(ids_BT)

    ids_BT = torch.tensor([[0, 5, 6, 7]])
    row_N, at_N = torch.tensor([0, 0]), torch.tensor([1, 3])
    with torch.no_grad():
        expected = llama(ids_BT).logits[0, [1, 3]]
        torch.testing.assert_close(Trunk.of(Bare()).logits_at(row_N, at_N, ids_BT=ids_BT), expected)
        torch.testing.assert_close(Trunk.of(llama).logits_at(row_N, at_N, input_ids=ids_BT), expected)
