"""Does it still speak? Variety, repetition, and how likely its answers are in the original's eyes."""

import math
from collections.abc import Mapping, Sequence

from expunge.core import Fact
from expunge.engine import Encoded, encode, encode_prompt, pad_id, rows_logp
from expunge.verify.battery import Arm
from expunge.verify.metrics.fluency import ngram_entropy
from expunge.verify.metrics.repetition import repeated_share
from expunge.verify.probes import Probes
from expunge.verify.side_effects.effect import Effect, effect
from expunge.verify.side_effects.seen import Seen

_ENTROPY = "bits: entropy of word pairs and triples of an answer; lower, it repeats itself or says little"
_REPEATED = "share of an answer's word triples that it has said before; higher, it loops"
_SURPRISE = (
    "nats per token: what the original thinks of the answers, mean over answers; exp of it is their perplexity. Higher than "
    "the control's, the answers are no language that the original speaks; an empty answer costs its end of text"
)


def fluency(seen: Mapping[str, Seen], probes: Probes, original: Arm) -> list[Effect]:
    units = [f.subject or f.id for f in probes.retain]
    entropy = {arm: [ngram_entropy(text) for text in s.replies] for arm, s in seen.items()}
    repeated = {arm: [repeated_share(text) for text in s.replies] for arm, s in seen.items()}
    surprise = {arm: surprises(original, probes.retain, s.replies) for arm, s in seen.items()}
    return [
        effect("n-gram entropy", _ENTROPY, entropy, units, share=False),
        effect("repeated triples", _REPEATED, repeated, units),
        effect("surprise to the original", _SURPRISE, surprise, units, share=False),
    ]


def surprises(original: Arm, facts: Sequence[Fact], replies: Sequence[str]) -> list[float]:
    """Mean negative log-likelihood per token of each answer with its end, under the original, after its question."""
    answers = [Fact(f.id, f.subject, f.question, text or " ") for f, text in zip(facts, replies, strict=True)]
    spoken = [f for f in answers if f.answer.strip()]
    rows = iter(rows_logp(original.model, encode(original.tokenizer, spoken), pad_id(original.tokenizer)))
    ends = iter(_ends(original, [f for f in answers if not f.answer.strip()]))
    return [-math.fsum(row := next(rows if f.answer.strip() else ends)) / len(row) for f in answers]


def _ends(original: Arm, unanswered: Sequence[Fact]) -> list[list[float]]:
    """Log-probability of ending at once, for questions that got no answer."""
    end = original.tokenizer.eos_token_id
    prompts = [encode_prompt(original.tokenizer, f.question) for f in unanswered]
    rows = [Encoded(f.id, (*p, end), len(p)) for f, p in zip(unanswered, prompts, strict=True)]
    return rows_logp(original.model, rows, pad_id(original.tokenizer)) if rows else []
