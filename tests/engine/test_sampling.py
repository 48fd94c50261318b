from collections import Counter
from typing import Any

import pytest
import torch

from expunge.core.errors import InvalidParameter
from expunge.engine import encode_prompt, greedy_texts
from expunge.engine.sampling import sampled_texts, spoken


def test_first_tokens_are_drawn_from_the_models_distribution(llama: Any, tokenizer: Any) -> None:
    prompt = encode_prompt(tokenizer, "Where was she born?")
    generator = torch.Generator().manual_seed(0)
    uniform = torch.rand(4000, 1, generator=generator, dtype=torch.float64).numpy()
    counts = Counter(
        ids[0] if ids else tokenizer.eos_token_id for ids in spoken(llama, tokenizer, [prompt] * 4000, 1, uniform)
    )
    with torch.no_grad():
        p_V = llama(input_ids=torch.tensor([prompt])).logits[0, -1].double().softmax(-1)
    top = p_V.topk(20).indices.tolist()
    for v in top:
        expected = 4000 * float(p_V[v])
        assert abs(counts[v] - expected) < 5 * expected**0.5 + 1  # five standard deviations of a Poisson count
    assert len(counts) > 100


def test_the_same_seed_gives_the_same_texts_and_another_does_not(trained: Any) -> None:
    prompts = [encode_prompt(trained.tokenizer, r.question.replace(r.subject, "Nobody")) for r in trained.forget[:12]]
    first = sampled_texts(trained.model, trained.tokenizer, prompts, 12, seed=3)
    assert first == sampled_texts(trained.model, trained.tokenizer, prompts, 12, seed=3)
    assert first != sampled_texts(trained.model, trained.tokenizer, prompts, 12, seed=4)
    assert len(first) == 12


def test_without_numbers_it_is_greedy(trained: Any) -> None:
    prompts = [encode_prompt(trained.tokenizer, r.question) for r in trained.forget[:9]]
    ids = spoken(trained.model, trained.tokenizer, prompts, 16)
    said = [text.strip() for text in trained.tokenizer.batch_decode(ids, skip_special_tokens=True)]
    assert said == greedy_texts(trained.model, trained.tokenizer, prompts, 16)


def test_nothing_asked_nothing_said(llama: Any, tokenizer: Any) -> None:
    assert sampled_texts(llama, tokenizer, [], 5, seed=0) == []


def test_a_model_that_keeps_no_cache_is_refused(tiny: Any, tokenizer: Any) -> None:
    with pytest.raises(InvalidParameter, match="cache"):
        sampled_texts(tiny("mamba"), tokenizer, [[5, 6, 7], [5, 6]], 3, seed=0)
