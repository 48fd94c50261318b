"""Shared torch work: loading, digests, batches, one training loop, log-probabilities, generation. Where the speed lives."""

from expunge.engine.arrays import ArrayReferences, ArraySide, Example, array_step_maker, examples
from expunge.engine.batches import IGNORE, Batch, collate, epoch_batches, keyed_order
from expunge.engine.determinism import CAPABILITY, derived_seed, environment, pinned
from expunge.engine.generation import greedy_answers, greedy_texts, pad_id
from expunge.engine.loading import check_weights, load_model, load_tokenizer, save_model
from expunge.engine.logprobs import (
    answer_logits,
    mean_nll,
    rows_logp,
    sequence_logp,
    token_logp,
    token_stats,
)
from expunge.engine.loop import Loss, Progress, Resume, Schedule, backward, train
from expunge.engine.one_pass import AnswerStats, one_pass
from expunge.engine.packing import pack, packing
from expunge.engine.prefix import pad_left
from expunge.engine.ranks import average_gradients, own, ranks, wait
from expunge.engine.sharding import part, spread
from expunge.engine.state import digest_model, digest_state, digest_tokenizer
from expunge.engine.step import Reference, ReferenceCache, Side, Step, TextSide, by_row_mean, step_maker
from expunge.engine.text import Encoded, answer_ids, encode, encode_prompt, end_ids, text_config, value_span
from expunge.engine.trunk import Trunk

__all__ = [
    "AnswerStats",
    "ArrayReferences",
    "ArraySide",
    "Example",
    "Loss",
    "TextSide",
    "Trunk",
    "array_step_maker",
    "average_gradients",
    "backward",
    "by_row_mean",
    "examples",
    "CAPABILITY",
    "IGNORE",
    "Batch",
    "Encoded",
    "Progress",
    "Reference",
    "ReferenceCache",
    "Resume",
    "Schedule",
    "Side",
    "Step",
    "check_weights",
    "answer_ids",
    "answer_logits",
    "collate",
    "derived_seed",
    "digest_model",
    "digest_state",
    "digest_tokenizer",
    "encode",
    "encode_prompt",
    "end_ids",
    "environment",
    "epoch_batches",
    "greedy_answers",
    "greedy_texts",
    "keyed_order",
    "load_model",
    "load_tokenizer",
    "mean_nll",
    "one_pass",
    "own",
    "pack",
    "packing",
    "pad_id",
    "ranks",
    "pad_left",
    "part",
    "pinned",
    "rows_logp",
    "save_model",
    "sequence_logp",
    "spread",
    "step_maker",
    "text_config",
    "token_logp",
    "token_stats",
    "train",
    "value_span",
    "wait",
]
