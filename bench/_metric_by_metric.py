"""TOFU as open-unlearning evaluates it: every metric on its own, over static batches of 32 rows in file order.

The rival of `verify_speed.py`. Each metric tokenizes its rows, runs its own forward passes over all positions and, where
it looks at the vocabulary, keeps each row's whole log-softmax; Min-K%++ runs two passes. Answers are generated in static
batches. No gradients, evaluation mode, no loss inside the model: what is slow here is the order of work alone.
Formulas are written out again from the papers, so equal values are evidence for both.
"""

import math
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from expunge.core import Fact
from expunge.engine import IGNORE, Encoded, collate, encode, encode_prompt, pad_id, pad_left
from expunge.verify.benchmarks._tofu_data import Question, TofuData
from expunge.verify.metrics.rouge_l import rouge_l_recall

BATCH = 32
Scores = dict[str, list[float]]
Pairs = Sequence[tuple[str, str]]  # question, answer


@torch.no_grad()
def read_scores(model: Any, tokenizer: Any, data: TofuData, k: float) -> Scores:
    """The names and numbers of `_tofu_scores.read_scores`, arithmetic truth ratio."""

    def losses(pairs: Pairs) -> list[float]:
        return _each(model, tokenizer, pairs, _losses)

    found: Scores = {}
    for name, asked in data.sets.items():
        own = np.exp(-np.array(losses([(q.question, q.answer) for q in asked])))
        paraphrased = any(q.right != q.answer for q in asked)
        right = np.exp(-np.array(losses([(q.question, q.right) for q in asked]))) if paraphrased else own
        columns = [losses([(q.question, q.wrong[i]) for q in asked]) for i in range(len(asked[0].wrong))]
        wrong = np.exp(-np.array(columns))  # [K, N]: a pass over the set for each wrong answer
        share = own if paraphrased else own / (own + wrong.sum(axis=0))
        found[f"{name}_probability"], found[f"{name}_truth_ratio"] = (
            share.tolist(),
            (wrong.mean(axis=0) / right).tolist(),
        )
    forget = _pairs(data.sets["forget"])
    found["extraction_strength"] = _each(model, tokenizer, forget, _extraction_strength)
    found["exact_memorization"] = _each(model, tokenizer, forget, _exact_memorization)
    for side, pairs in (("forget", forget), ("holdout", _pairs(data.holdout))):
        found[f"{side}_loss"] = [-x for x in losses(pairs)]
        lengths = [len(zlib.compress(a.encode())) for _, a in pairs]
        found[f"{side}_zlib"] = [-x / n for x, n in zip(losses(pairs), lengths, strict=True)]
        tokens = _each(model, tokenizer, pairs, _token_logp)
        found[f"{side}_min_k"] = [_lowest(t, k) for t in tokens]
        vocabulary, tokens = (_each(model, tokenizer, pairs, f) for f in (_moments, _token_logp))
        found[f"{side}_min_k_plus_plus"] = [
            _lowest((t - mean) / std, k) for t, (mean, std) in zip(tokens, vocabulary, strict=True)
        ]
    return found


@torch.no_grad()
def said_scores(model: Any, tokenizer: Any, data: TofuData, answer_tokens: int) -> Scores:
    """ROUGE-L recall of greedy answers, a set at a time."""
    found: Scores = {}
    device = next(model.parameters()).device
    for name, asked in data.sets.items():
        scores: list[float] = []
        for part in (asked[i : i + BATCH] for i in range(0, len(asked), BATCH)):
            ids, mask = pad_left([encode_prompt(tokenizer, q.question) for q in part], pad_id(tokenizer))
            out = model.generate(
                input_ids=ids.to(device),
                attention_mask=mask.to(device),
                max_new_tokens=answer_tokens,
                do_sample=False,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=pad_id(tokenizer),
            )
            said = tokenizer.batch_decode(out[:, ids.shape[1] :], skip_special_tokens=True)
            scores += [rouge_l_recall(text.strip(), q.answer) for text, q in zip(said, part, strict=True)]
        found[f"{name}_rouge"] = scores
    return found


def _pairs(asked: Sequence[Question]) -> Pairs:
    return [(q.question, q.answer) for q in asked]


def _each(model: Any, tokenizer: Any, pairs: Pairs, measure: Callable[[Tensor, Tensor], list[Any]]) -> list[Any]:
    """One metric: tokenize, run every batch, measure its logits."""
    rows = encode(tokenizer, [Fact(str(i), "", q, a) for i, (q, a) in enumerate(pairs)])
    found: list[Any] = []
    for k in range(0, len(rows), BATCH):
        part: Sequence[Encoded] = rows[k : k + BATCH]
        batch = collate(part, pad_id(tokenizer)).to(next(model.parameters()).device)
        logits_BTV = model(input_ids=batch.ids_BT, attention_mask=batch.mask_BT, use_cache=False).logits
        found += measure(logits_BTV[:, :-1], batch.labels_BT[:, 1:])
    return found


def _losses(logits_BTV: Tensor, labels_BT: Tensor) -> list[float]:
    """Mean NLL per labelled token, the end of text among them."""
    nll_BT = F.cross_entropy(logits_BTV.transpose(-1, -2), labels_BT, ignore_index=IGNORE, reduction="none")
    return list((nll_BT.sum(-1) / (labels_BT != IGNORE).sum(-1)).tolist())


def _answers(logits_BTV: Tensor, labels_BT: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Whole log-softmax of each answer's tokens, [N, V], and the tokens; without the end of text."""
    logp_BTV = F.log_softmax(logits_BTV, dim=-1)
    places = [(row != IGNORE).nonzero()[:-1, 0] for row in labels_BT]
    return [(logp_BTV[i, at], labels_BT[i, at]) for i, at in enumerate(places)]


def _token_logp(logits_BTV: Tensor, labels_BT: Tensor) -> list[Any]:
    """Log-probability of each answer token."""
    logp_BTV = F.log_softmax(logits_BTV, dim=-1)
    logp_BT = logp_BTV.gather(2, labels_BT.clamp(min=0)[..., None])[..., 0]
    return [
        row[(labels != IGNORE).nonzero()[:-1, 0]].cpu().numpy() for row, labels in zip(logp_BT, labels_BT, strict=True)
    ]


def _moments(logits_BTV: Tensor, labels_BT: Tensor) -> list[Any]:
    """Mean and standard deviation of log p over the vocabulary, at each answer token."""
    found = []
    for logp_NV, _ in _answers(logits_BTV, labels_BT):
        mean_N = (logp_NV.exp() * logp_NV).sum(-1)
        variance_N = (logp_NV.exp() * logp_NV**2).sum(-1) - mean_N**2
        found.append((mean_N.cpu().numpy(), variance_N.clamp(min=1e-6).sqrt().cpu().numpy()))
    return found


def _exact_memorization(logits_BTV: Tensor, labels_BT: Tensor) -> list[float]:
    return [float((p.argmax(-1) == y).float().mean()) for p, y in _answers(logits_BTV, labels_BT)]


def _extraction_strength(logits_BTV: Tensor, labels_BT: Tensor) -> list[float]:
    """The shortest start after which all guesses are right, tried one by one; 0 where there is none."""
    found = []
    for logp_NV, labels_N in _answers(logits_BTV, labels_BT):
        guesses_N, n = logp_NV.argmax(-1), len(labels_N)
        found.append(1 - next((k for k in range(n) if torch.equal(guesses_N[k:], labels_N[k:])), n) / n)
    return found


def _lowest(scores_N: Any, k: float) -> float:
    """Mean of the lowest share."""
    lowest = sorted(scores_N.tolist())[: max(1, int(len(scores_N) * k))]
    return math.fsum(lowest) / len(lowest)
