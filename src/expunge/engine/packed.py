"""Rows in one line, one behind the other, with no padding between them; every row attends to itself alone.

In batches of like-minded length a sixth of all positions are padding, which a model computes like any other. Packed, the
linear layers see real tokens only. Attention sees the rows side by side, padded for it alone: that padding stands on the
right, where a model that looks back never looks, and costs little, for attention is a small part of a step on short rows.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from expunge.engine.batches import IGNORE, Batch
from expunge.engine.text import Encoded, text_config
from expunge.engine.trunk import REFUSALS

NAME = "expunge_packed"


def pack(encoded: Sequence[Encoded], learn_question: bool = False) -> Batch:
    """All rows in a single line of N tokens. As in `collate`, questions are labelled only if asked for.

    >>> batch = pack([Encoded("a", (5, 6, 7), 1), Encoded("b", (5, 6), 1)])
    >>> batch.ids_BT.tolist(), batch.labels_BT.tolist()
    ([[5, 6, 7, 5, 6]], [[-100, 6, 7, -100, 6]])
    >>> batch.row_BT.tolist(), batch.inputs["position_ids"].tolist()
    ([[0, 0, 0, 1, 1]], [[0, 1, 2, 0, 1]])
    """
    ids = torch.tensor([[token for e in encoded for token in e.ids]])
    given = [0 if learn_question else e.n_prompt for e in encoded]
    labels = [label for e, n in zip(encoded, given, strict=True) for label in (*[IGNORE] * n, *e.ids[n:])]
    rows, lengths = tuple(e.id for e in encoded), tuple(len(e.ids) for e in encoded)
    return Batch(ids, torch.ones_like(ids), torch.tensor([labels]), rows, lengths)


@contextmanager
def packing(model: Any) -> Iterator[bool]:
    """Meanwhile the model can read packed rows; False, and nothing is changed, where it cannot.

    It can on a processor, where attention goes through torch's scaled-dot-product kernel and looks at the whole row, and
    where two rows packed are found to say what they say apart. On a GPU a kernel for every row would cost more than
    the padding.
    """
    before = getattr(getattr(model, "config", None), "_attn_implementation", None)
    if before != "sdpa" or not _attends_plainly(model):
        yield False
        return
    _register()
    whole = model.get_base_model() if hasattr(model, "get_base_model") else model
    whole.set_attn_implementation(NAME)
    try:
        yield _says_the_same(model)
    finally:
        whole.set_attn_implementation(before)


def _attends_plainly(model: Any) -> bool:
    config = text_config(model)
    if config is not model.config:  # the attention of other parts would be changed with it
        return False
    if next(model.parameters()).device.type != "cpu" or not getattr(model, "_supports_attention_backend", False):
        return False
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    windows = [getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size")]
    return kinds == {"full_attention"} and not any(windows) and not getattr(config, "is_encoder_decoder", False)


def _register() -> None:
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(NAME, _attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)


def _attend(
    module: Any,
    query_BHTD: Tensor,
    key_BHTD: Tensor,
    value_BHTD: Tensor,
    attention_mask: Tensor | None,
    cu_seq_lens_q: Tensor | None = None,
    **more: Any,
) -> tuple[Tensor, None]:
    """Attention of a layer: of each row of a packed batch by itself; of any other batch as always."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward as attend

    if cu_seq_lens_q is None:
        return attend(module, query_BHTD, key_BHTD, value_BHTD, attention_mask, **more)[0], None
    length_R, packed = cu_seq_lens_q.diff(), (query_BHTD, key_BHTD, value_BHTD)
    n_rows, longest = len(length_R), int(length_R.max())
    if n_rows * longest > 2 * query_BHTD.shape[2]:  # beside a long row the padding of short ones would cost more
        rows = zip(*(torch.split(t, length_R.tolist(), dim=2) for t in packed), strict=True)
        return torch.cat([attend(module, *row, None, **more)[0] for row in rows], dim=1), None
    row_N = torch.repeat_interleave(length_R)
    at_N = torch.arange(len(row_N), device=row_N.device) - cu_seq_lens_q[row_N]

    def apart(packed_BHTD: Tensor) -> Tensor:
        _, heads, _, size = packed_BHTD.shape
        apart_RTHD = packed_BHTD.new_zeros(n_rows, longest, heads, size)
        return apart_RTHD.index_put((row_N, at_N), packed_BHTD[0].transpose(0, 1)).transpose(1, 2)

    found_RTHD = attend(module, *map(apart, packed), None, **more)[0]
    return found_RTHD[row_N, at_N][None], None


@torch.no_grad()
def _says_the_same(model: Any) -> bool:
    """Two short rows, packed and apart: an architecture that looks across rows in some other way is found out here."""
    rows = [Encoded("a", (3, 2, 1, 0, 1), 1), Encoded("b", (1, 3, 2), 1)]
    try:
        together = model(**pack(rows).inputs).logits[0]
    except REFUSALS:  # an argument or a mask of this form is not taken
        return False
    apart = torch.cat([model(**pack([row]).inputs).logits[0] for row in rows])
    return bool((together - apart).abs().max() <= 1e3 * torch.finfo(apart.dtype).eps * apart.abs().max())
