from typing import Any

import pytest
import torch

from expunge.engine import Encoded, collate, mean_nll, pad_id, rows_logp, sequence_logp, token_logp

ROWS = [
    Encoded("a", (0, 9, 8, 7, 6, 1), 3),
    Encoded("b", (0, 5, 4, 1), 1),
    Encoded("c", (0, 3, 1), 2),
    Encoded("d", (0, 9, 9, 9, 9, 9, 9, 1), 7),
]


@pytest.fixture(scope="module")
def by_hand(llama: Any) -> list[list[float]]:
    """Each row alone, without padding, by the definition: the whole softmax, then the token."""
    found = []
    for row in ROWS:
        with torch.no_grad():
            p_TV = llama(torch.tensor([row.ids])).logits[0].double().softmax(-1)
        found.append([float(p_TV[t - 1, row.ids[t]].log()) for t in range(row.n_prompt, len(row.ids))])
    return found


# float32 logits of about 1 over a few hundred tokens: rounding alone stays below 1e-5 nats.
CLOSE = {"rel": 0, "abs": 1e-5}


def test_tokens_have_the_log_probability_of_the_definition(llama: Any, by_hand: list[list[float]]) -> None:
    logp_N, row_N = token_logp(llama, collate(ROWS))
    for i, expected in enumerate(by_hand):
        assert logp_N[row_N == i].tolist() == pytest.approx(expected, **CLOSE)


def test_a_sequence_sums_over_its_answer(llama: Any, by_hand: list[list[float]]) -> None:
    assert sequence_logp(llama, collate(ROWS)).tolist() == pytest.approx([sum(r) for r in by_hand], abs=1e-4)


def test_the_training_loss_is_the_mean_over_tokens_not_rows(llama: Any, by_hand: list[list[float]]) -> None:
    flat = [x for row in by_hand for x in row]
    assert mean_nll(llama, collate(ROWS)).item() == pytest.approx(-sum(flat) / len(flat), abs=1e-5)


@pytest.mark.parametrize("size", [1, 2, 64])
def test_rows_come_back_in_the_order_given_whatever_the_batches(
    llama: Any, tokenizer: Any, by_hand: list[list[float]], size: int
) -> None:
    found = rows_logp(llama, ROWS, pad_id(tokenizer), batch_size=size)
    assert [len(r) for r in found] == [len(r) for r in by_hand]
    for row, expected in zip(found, by_hand, strict=True):
        assert row == pytest.approx(expected, **CLOSE)


def test_gradients_flow_into_the_model(llama: Any) -> None:
    with torch.enable_grad():
        (grad,) = torch.autograd.grad(mean_nll(llama, collate(ROWS)), [llama.model.embed_tokens.weight])
    assert float(grad.abs().sum()) > 0
