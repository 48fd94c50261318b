"""Models that look at a whole row are edited as they read it: with the mask that says what is padding."""

from typing import Any

import pytest
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertLMHeadModel,
    GPT2Config,
    GPT2ForSequenceClassification,
)

from expunge.approximate import Edit, methods, run_edit
from expunge.approximate._work import Work
from expunge.approximate.npo import NPO
from expunge.core.errors import InvalidData, InvalidParameter
from expunge.engine import Trunk, collate, digest_model, encode, examples, sequence_logp
from expunge.workflow.alone.edit import edit

SHORT = Edit(steps=4, warmup=0, forget_batch=4, retain_batch=8, lr=1e-3)


def bert(kind: Any, vocabulary: int = 60, **more: Any) -> Any:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = BertConfig(vocab_size=vocabulary, max_position_embeddings=64, pad_token_id=0, **sizes, **more)
    model = kind(config).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(6)  # attention that is far from even
    return model


def texts(n: int, seed: int, width: int = 12) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    length = torch.randint(3, width, (n,), generator=draw)
    mask = (torch.arange(width)[None] < length[:, None]).long()
    ids = torch.randint(1, 60, (n, width), generator=draw) * mask
    return {"input_ids": ids, "attention_mask": mask}, torch.arange(n) % 3


def test_a_text_classifier_is_seen_as_it_reads_its_rows_alone() -> None:
    model = bert(BertForSequenceClassification, num_labels=3)
    X, y = texts(9, 0)
    rows = examples(X, y)
    seen = Work(model, None, rows[:4], rows[4:], SHORT).side(rows).logits_NV
    ids = [row[mask.bool()][None] for row, mask in zip(X["input_ids"], X["attention_mask"], strict=True)]
    alone = torch.cat([model(input_ids=one, attention_mask=torch.ones_like(one)).logits for one in ids])
    torch.testing.assert_close(seen, alone, rtol=1e-4, atol=1e-4)
    maskless = model(input_ids=X["input_ids"]).logits.detach()  # the control: what it says where nobody masks
    assert float((maskless - alone.detach()).norm() / alone.norm()) > 0.1


@pytest.mark.parametrize("name", ["npo", "scrub", "ssd", "salun", "fisher", "influence", "relabel"])
def test_it_is_edited_so(name: str) -> None:
    """The same bits however far the rows were padded: the mask decides what is read."""
    model = bert(BertForSequenceClassification, num_labels=3)
    (X, y), (Z, z) = texts(4, 1), texts(12, 2)
    wide = {k: torch.nn.functional.pad(v, (0, 3)) for k, v in Z.items()}
    method = methods.get(name)(**({"keep": 0.01} if name in ("fisher", "influence") else {}))
    settings = Edit(**{**vars(SHORT), "guard": None})
    one, other = (run_edit(model, None, examples(X, y), examples(kept, z), method, settings) for kept in (Z, wide))
    assert digest_model(one.model) != digest_model(model)
    for a, b in zip(one.model.parameters(), other.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-2, atol=1e-3)


def test_a_batch_encoding_is_taken_whole_and_a_text_is_the_same_one_however_far_it_is_padded() -> None:
    from transformers import BatchEncoding

    model = bert(BertForSequenceClassification, num_labels=3)
    (X, y), (Z, z) = texts(4, 1), texts(12, 2)
    edited = edit(model, forget=(BatchEncoding(X), y), retain=(BatchEncoding(Z), z), method=NPO(), settings=SHORT)
    assert digest_model(edited) != digest_model(model)
    wide = {k: torch.nn.functional.pad(v, (0, 3)) for k, v in X.items()}
    with pytest.raises(InvalidData, match="4 texts are in both"):
        edit(model, forget=(X, y), retain=(wide, y), method=NPO(), settings=SHORT)


def test_padding_that_no_mask_names_is_refused_where_the_model_would_read_it() -> None:
    (X, y), (Z, z) = texts(4, 1), texts(12, 2)
    for forget, retain in ((X["input_ids"], Z["input_ids"]), *[[{"input_ids": one["input_ids"]} for one in (X, Z)]]):
        with pytest.raises(InvalidData, match=r"end in padding \(id 0\) that no mask names.*attention_mask"):
            edit(
                bert(BertForSequenceClassification, num_labels=3),
                forget=(forget, y),
                retain=(retain, z),
                method=NPO(),
                settings=SHORT,
            )
    torch.manual_seed(0)  # the control: a decoder finds the last word by itself
    config = GPT2Config(vocab_size=60, n_positions=64, n_embd=32, n_layer=2, n_head=2, pad_token_id=0, num_labels=3)
    decoder = GPT2ForSequenceClassification(config).eval()
    edit(decoder, forget=(X["input_ids"], y), retain=(Z["input_ids"], z), method=NPO(), settings=SHORT)


def test_a_classifier_with_a_tokenizer_is_told_how_rows_are_given(trained: Any) -> None:
    model = bert(BertForSequenceClassification, len(trained.tokenizer), num_labels=3)
    with pytest.raises(InvalidParameter, match=r"answers a text with 3 numbers.*leave the tokenizer out.*\(X, y\)"):
        run_edit(model, trained.tokenizer, trained.forget, trained.retain, NPO(), SHORT)


def test_what_a_classifier_cannot_read_is_refused_before_anything_is_trained() -> None:
    model = bert(BertForSequenceClassification, num_labels=3)
    (X, y), (Z, z) = texts(4, 1), texts(12, 2)
    with pytest.raises(InvalidData, match="3 outputs, and there are rows of class 3"):
        edit(model, forget=(X, y), retain=(Z, z + 3), method=NPO(), settings=SHORT)
    with pytest.raises(InvalidParameter, match="does not read a row of words"):
        edit(model, forget=({"words": X["input_ids"]}, y), retain=(Z, z), method=NPO(), settings=SHORT)
    mixed = [*examples(Z, z), *examples({k: v[:, :5] for k, v in texts(3, 9)[0].items()}, z[:3])]
    with pytest.raises(InvalidData, match="rows have features of 2 forms"):
        edit(model, forget=(X, y), retain=mixed, method=NPO(), settings=SHORT)
    with pytest.raises(InvalidData, match="padding=True"):
        edit(model, forget=({"input_ids": [[1, 2], [3]]}, y[:2]), retain=(Z, z), method=NPO(), settings=SHORT)


def test_a_head_that_looks_both_ways_is_read_with_its_mask(trained: Any) -> None:
    model = bert(BertLMHeadModel, len(trained.tokenizer), is_decoder=False)
    trunk = Trunk.of(model)
    assert trunk.sees_padding
    assert not Trunk.of(trained.model).sees_padding
    rows = encode(trained.tokenizer, trained.forget[3:48:9])
    work = Work(model, trained.tokenizer, trained.forget, trained.retain, SHORT)
    seen = work.side(rows).logp_B
    alone = torch.cat([sequence_logp(model, collate([row])) for row in rows])
    torch.testing.assert_close(seen, alone, rtol=1e-3, atol=1e-3)
    batch = collate(rows)
    line, at = batch.predicts
    logp = model(**batch.inputs).logits[line, at].log_softmax(-1)  # the control: the same batch without its mask
    maskless = torch.zeros(len(rows)).index_add(
        0, batch.row_BT[line, at], logp[range(len(at)), batch.labels_BT[line, at + 1]]
    )
    assert float((maskless - alone).abs().max()) > 0.1
    edited = run_edit(model, trained.tokenizer, trained.forget, trained.retain, NPO(retain="kl"), SHORT)
    assert digest_model(edited.model) != digest_model(model)
