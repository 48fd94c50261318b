import copy
from typing import Any

import pytest
import torch

from expunge.engine import Reference, ReferenceCache, encode, hidden_at, pad_id, sequence_logp, step_maker
from expunge.engine.batches import collate


def test_cached_references_equal_a_live_frozen_copy(trained: Any) -> None:
    frozen, moving, pad = trained.model, copy.deepcopy(trained.model), pad_id(trained.tokenizer)
    forget, retain = encode(trained.tokenizer, trained.forget), encode(trained.tokenizer, trained.retain)
    cache = ReferenceCache()
    cache.fill([Reference.SEQUENCE_LOGP, Reference.HIDDEN], moving, forget, retain, 1, pad)
    with torch.no_grad():
        for p in moving.parameters():
            p.mul_(0.5)  # the model moves on; what was cached does not
    drawn_f, drawn_r = forget[3:40:5], retain[::7]
    step = step_maker(moving, cache, pad)(drawn_f, drawn_r)
    with torch.no_grad():
        logp_B = sequence_logp(frozen, collate(drawn_f, pad))
        batch = collate(drawn_r, pad)
        hidden_BTD = hidden_at(frozen, batch, 1)
    # Other rows in a batch change the order of float32 sums, nothing else.
    torch.testing.assert_close(step.forget.reference_logp_B, logp_B, rtol=1e-4, atol=1e-4)
    real = batch.mask_BT.bool()
    reference = step.retain.reference_hidden(1)
    torch.testing.assert_close(reference[real], hidden_BTD[real], rtol=1e-4, atol=1e-4)
    assert float(reference[~real].abs().sum()) == 0
    with torch.no_grad():
        assert not torch.allclose(step.forget.logp_B, logp_B, atol=0.1)


def test_a_reference_that_was_not_asked_for_is_not_made_up(trained: Any) -> None:
    forget = encode(trained.tokenizer, trained.forget[:2])
    step = step_maker(trained.model, ReferenceCache(), 2)(forget, forget)
    with pytest.raises(KeyError):
        _ = step.forget.reference_logp_B
    with pytest.raises(KeyError):
        step.forget.reference_hidden(0)


def test_the_answer_mask_marks_answers(trained: Any) -> None:
    rows = encode(trained.tokenizer, trained.forget[:3])
    side = step_maker(trained.model, ReferenceCache(), 2)(rows, rows).forget
    assert side.answer_mask_BT.sum(1).tolist() == [len(r.ids) - r.n_prompt for r in rows]
