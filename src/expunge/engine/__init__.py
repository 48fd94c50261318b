"""Shared work below learners and methods: digests of values, stages kept in a folder, and, over torch, loading, batches, one
training loop, log-probabilities and generation. Where the speed lives. Names that need torch bring it when first used.
"""

from typing import TYPE_CHECKING

from expunge.core.lazily import lazily

if TYPE_CHECKING:
    from expunge.engine.answer_stats import AnswerStats as AnswerStats
    from expunge.engine.answer_stats import one_pass as one_pass
    from expunge.engine.arrays import ArrayReferences as ArrayReferences
    from expunge.engine.arrays import ArraySide as ArraySide
    from expunge.engine.arrays import Example as Example
    from expunge.engine.arrays import array_step_maker as array_step_maker
    from expunge.engine.arrays import examples as examples
    from expunge.engine.batches import IGNORE as IGNORE
    from expunge.engine.batches import Batch as Batch
    from expunge.engine.batches import collate as collate
    from expunge.engine.batches import epoch_batches as epoch_batches
    from expunge.engine.batches import keyed_order as keyed_order
    from expunge.engine.conditions import environment as environment
    from expunge.engine.determinism import CAPABILITY as CAPABILITY
    from expunge.engine.determinism import derived_seed as derived_seed
    from expunge.engine.determinism import pinned as pinned
    from expunge.engine.distributed import average_gradients as average_gradients
    from expunge.engine.distributed import own as own
    from expunge.engine.distributed import ranks as ranks
    from expunge.engine.distributed import wait as wait
    from expunge.engine.generation import greedy_answers as greedy_answers
    from expunge.engine.generation import greedy_texts as greedy_texts
    from expunge.engine.generation import pad_id as pad_id
    from expunge.engine.loading import check_weights as check_weights
    from expunge.engine.loading import load_model as load_model
    from expunge.engine.loading import load_tokenizer as load_tokenizer
    from expunge.engine.loading import save_model as save_model
    from expunge.engine.logprobs import answer_logits as answer_logits
    from expunge.engine.logprobs import mean_nll as mean_nll
    from expunge.engine.logprobs import rows_logp as rows_logp
    from expunge.engine.logprobs import sequence_logp as sequence_logp
    from expunge.engine.logprobs import token_logp as token_logp
    from expunge.engine.logprobs import token_stats as token_stats
    from expunge.engine.logprobs import trunk_nll as trunk_nll
    from expunge.engine.loop import Loss as Loss
    from expunge.engine.loop import Progress as Progress
    from expunge.engine.loop import Resume as Resume
    from expunge.engine.loop import Schedule as Schedule
    from expunge.engine.loop import backward as backward
    from expunge.engine.loop import train as train
    from expunge.engine.packed import pack as pack
    from expunge.engine.packed import packing as packing
    from expunge.engine.prefix import pad_left as pad_left
    from expunge.engine.sharding import part as part
    from expunge.engine.sharding import spread as spread
    from expunge.engine.stages import Stages as Stages
    from expunge.engine.stages import stage_key as stage_key
    from expunge.engine.state import digest_config as digest_config
    from expunge.engine.state import digest_model as digest_model
    from expunge.engine.state import digest_state as digest_state
    from expunge.engine.state import digest_tokenizer as digest_tokenizer
    from expunge.engine.step import Reference as Reference
    from expunge.engine.step import ReferenceCache as ReferenceCache
    from expunge.engine.step import Side as Side
    from expunge.engine.step import Step as Step
    from expunge.engine.step import TextSide as TextSide
    from expunge.engine.step import by_row_mean as by_row_mean
    from expunge.engine.step import step_maker as step_maker
    from expunge.engine.text import Encoded as Encoded
    from expunge.engine.text import answer_ids as answer_ids
    from expunge.engine.text import encode as encode
    from expunge.engine.text import encode_prompt as encode_prompt
    from expunge.engine.text import end_ids as end_ids
    from expunge.engine.text import text_config as text_config
    from expunge.engine.text import value_span as value_span
    from expunge.engine.trunk import Trunk as Trunk
    from expunge.engine.values import digest_value as digest_value

_HOMES = {
    "AnswerStats": "answer_stats",
    "ArrayReferences": "arrays",
    "ArraySide": "arrays",
    "Batch": "batches",
    "CAPABILITY": "determinism",
    "Encoded": "text",
    "Example": "arrays",
    "IGNORE": "batches",
    "Loss": "loop",
    "Progress": "loop",
    "Reference": "step",
    "ReferenceCache": "step",
    "Resume": "loop",
    "Schedule": "loop",
    "Side": "step",
    "Step": "step",
    "TextSide": "step",
    "Trunk": "trunk",
    "answer_ids": "text",
    "answer_logits": "logprobs",
    "array_step_maker": "arrays",
    "average_gradients": "distributed",
    "backward": "loop",
    "by_row_mean": "step",
    "check_weights": "loading",
    "collate": "batches",
    "derived_seed": "determinism",
    "Stages": "stages",
    "digest_config": "state",
    "digest_model": "state",
    "stage_key": "stages",
    "digest_state": "state",
    "digest_tokenizer": "state",
    "digest_value": "values",
    "encode": "text",
    "encode_prompt": "text",
    "end_ids": "text",
    "environment": "conditions",
    "epoch_batches": "batches",
    "examples": "arrays",
    "greedy_answers": "generation",
    "greedy_texts": "generation",
    "keyed_order": "batches",
    "load_model": "loading",
    "load_tokenizer": "loading",
    "mean_nll": "logprobs",
    "one_pass": "answer_stats",
    "own": "distributed",
    "pack": "packed",
    "packing": "packed",
    "pad_id": "generation",
    "pad_left": "prefix",
    "part": "sharding",
    "pinned": "determinism",
    "ranks": "distributed",
    "rows_logp": "logprobs",
    "save_model": "loading",
    "sequence_logp": "logprobs",
    "spread": "sharding",
    "step_maker": "step",
    "text_config": "text",
    "token_logp": "logprobs",
    "token_stats": "logprobs",
    "trunk_nll": "logprobs",
    "train": "loop",
    "value_span": "text",
    "wait": "distributed",
}
__all__ = [*_HOMES]
__getattr__ = lazily(__name__, _HOMES)
