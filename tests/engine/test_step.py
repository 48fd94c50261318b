import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from expunge.engine import Reference, ReferenceCache, Trunk, encode, pad_id, sequence_logp, step_maker
from expunge.engine.batches import IGNORE, collate
from expunge.engine.references import flat


def test_cached_references_equal_a_live_frozen_copy(trained: Any) -> None:
    frozen, moving, pad = trained.model, copy.deepcopy(trained.model), pad_id(trained.tokenizer)
    forget, retain = encode(trained.tokenizer, trained.forget), encode(trained.tokenizer, trained.retain)
    cache = ReferenceCache(pad)
    needs = [Reference.FORGET_LOGP, Reference.RETAIN_LOGITS, Reference.RETAIN_HIDDEN]
    cache.fill(needs, moving, {"forget": forget, "retain": retain}, block=1)
    with torch.no_grad():
        for p in moving.parameters():
            p.mul_(0.5)  # the model moves on; what was cached does not
    drawn_f, drawn_r = forget[3:40:5], retain[::7]
    step = step_maker(moving, cache, pad)(drawn_f, drawn_r)
    batch = collate(drawn_r, pad)
    with torch.no_grad():
        logp_B = sequence_logp(frozen, collate(drawn_f, pad))
        hidden_BTD = Trunk.of(frozen).states(batch, 1)
        logits_BTV = frozen(input_ids=batch.ids_BT, attention_mask=batch.mask_BT).logits
    answered_BT = batch.labels_BT != IGNORE
    # Other rows in a batch change the order of float32 sums, nothing else.
    torch.testing.assert_close(step.forget.reference_logp_B, logp_B, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(step.retain.reference_hidden_ND(1), hidden_BTD[answered_BT], rtol=1e-4, atol=1e-4)
    said_NV = logits_BTV[:, :-1][answered_BT[:, 1:]]
    torch.testing.assert_close(step.retain.reference_logits_NV, said_NV, rtol=1e-4, atol=1e-3)
    with torch.no_grad():
        assert not torch.allclose(step.forget.logp_B, logp_B, atol=0.1)
        assert not torch.allclose(step.retain.logits_NV, said_NV, atol=0.1)


def test_a_reference_that_was_not_asked_for_is_not_made_up(trained: Any) -> None:
    forget = encode(trained.tokenizer, trained.forget[:2])
    step = step_maker(trained.model, ReferenceCache(), 2)(forget, forget)
    with pytest.raises(KeyError):
        _ = step.forget.reference_logp_B
    with pytest.raises(KeyError):
        step.forget.reference_hidden_ND(0)


def test_states_and_log_probabilities_are_those_of_answers(trained: Any) -> None:
    rows = encode(trained.tokenizer, trained.forget[:3])
    side = step_maker(trained.model, ReferenceCache(), 2)(rows, rows).forget
    counts = [len(r.ids) - r.n_prompt for r in rows]
    assert torch.bincount(side.answer_row_N).tolist() == counts
    assert torch.bincount(side.row_N).tolist() == counts
    assert side.length_B.tolist() == counts
    assert len(side.hidden_ND(0)) == len(side.logits_NV) == sum(counts)


def test_kept_quantities_are_found_again_by_model_and_rows(trained: Any, tmp_path: Path) -> None:
    rows = {"forget": encode(trained.tokenizer, trained.forget[:6])}
    needs = [Reference.FORGET_LOGITS]
    first = ReferenceCache(2, tmp_path, "sha256:a")
    first.fill(needs, trained.model, rows)
    files = {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    batch = collate(rows["forget"][:2], 2)
    again = ReferenceCache(2, tmp_path, "sha256:a")
    again.fill(needs, trained.model, rows)
    assert {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()} == files
    assert torch.equal(first.of("forget", "logits", batch), again.of("forget", "logits", batch))
    other = ReferenceCache(2, tmp_path, "sha256:b")
    other.fill(needs, trained.model, rows)
    assert len(list(tmp_path.iterdir())) == 2 * len(files)


def test_what_a_kill_cut_short_is_computed_again(tmp_path: Path) -> None:
    def computed() -> Any:
        yield "a", torch.ones(2, 3)
        if not whole:
            raise KeyboardInterrupt
        yield "b", torch.full((1, 3), 2.0)

    whole = False
    with pytest.raises(KeyboardInterrupt):
        flat(["a", "b"], [2, 1], computed, tmp_path, "sha256:k")
    whole = True
    found = flat(["a", "b"], [2, 1], computed, tmp_path, "sha256:k")
    assert found.of(["b", "a"]).tolist() == [[2.0] * 3, [1.0] * 3, [1.0] * 3]
    assert flat(["a", "b"], [2, 1], list, tmp_path, "sha256:k").of(["b"]).tolist() == [[2.0] * 3]


def test_what_is_large_lives_in_a_file(tmp_path: Path) -> None:
    found = flat(["a"], [4], lambda: [("a", torch.arange(32.0).view(4, 8))], in_memory=100)
    assert isinstance(found.data_ND, np.memmap)
    assert torch.equal(found.of(["a"]), torch.arange(32.0).view(4, 8))


def test_a_pass_that_begins_higher_gives_the_same(trained: Any) -> None:
    trunk, batch = Trunk.of(trained.model), collate(encode(trained.tokenizer, trained.forget[:5]), 2)
    last = len(trunk.blocks) - 1
    row, at = (batch.labels_BT != IGNORE).nonzero(as_tuple=True)
    inputs = {"input_ids": batch.ids_BT, "attention_mask": batch.mask_BT, "use_cache": False}
    with torch.no_grad():
        whole, highest = trunk.logits_at(row, at, **inputs), trunk.states(batch, last)
        states = trunk.states(batch, 0)
        with trunk.from_block(1, states):
            assert torch.equal(trunk.logits_at(row, at, **inputs), whole)
            assert torch.equal(trunk.states(batch, last), highest)
        with trunk.from_block(1, torch.zeros_like(states)):
            assert not torch.equal(trunk.logits_at(row, at, **inputs), whole)
        assert torch.equal(trunk.logits_at(row, at, **inputs), whole)  # afterwards as before


def test_a_frozen_head_stays_as_it_was(trained: Any) -> None:
    model = copy.deepcopy(trained.model)
    states = torch.randn(3, model.config.hidden_size)
    read, before = Trunk.of(model).frozen_head(), model.get_output_embeddings()(states).detach()
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(2)
    assert torch.equal(read(states), before)


def test_parts_of_a_large_vocabulary_give_the_same_and_the_same_gradients(
    trained: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, grads, values = encode(trained.tokenizer, trained.forget[:4]), [], []
    for at_once in (2**27, 3 * trained.model.config.vocab_size):  # all at once; three tokens at a time
        monkeypatch.setattr("expunge.engine.step.AT_ONCE", at_once)
        model = copy.deepcopy(trained.model).requires_grad_(True)
        side = step_maker(model, ReferenceCache(), 2)(rows, rows).forget
        assert ("logits_NV" in vars(side)) is False
        side.logp_B.sum().backward()
        assert ("logits_NV" in vars(side)) is (at_once == 2**27)
        values.append(side.logp_B.detach())
        grads.append([p.grad for p in model.parameters()])
    torch.testing.assert_close(values[0], values[1], rtol=1e-5, atol=1e-5)
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_what_a_model_does_to_its_logits_still_happens() -> None:
    from transformers import Gemma2Config, Gemma2ForCausalLM

    torch.manual_seed(0)
    size = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "head_dim": 16}
    config = Gemma2Config(
        vocab_size=50, num_attention_heads=2, num_key_value_heads=2, final_logit_softcapping=0.5, **size
    )
    model = Gemma2ForCausalLM(config).eval()
    ids = torch.randint(0, 50, (1, 7))
    caught: list[torch.Tensor] = []
    handle = model.get_output_embeddings().register_forward_pre_hook(lambda _m, args: caught.append(args[0]))
    with torch.no_grad():
        said = model(input_ids=ids).logits[0]
    handle.remove()
    with torch.no_grad():
        assert float(said.abs().max()) <= 0.5
        torch.testing.assert_close(Trunk.of(model).frozen_head()(caught[0][0]), said)
        torch.testing.assert_close(model(input_ids=ids).logits[0], said)  # the head is as it was
