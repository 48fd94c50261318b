"""Does it still answer what it may answer? Refusals by their words, and one answer given to everything."""

from collections.abc import Mapping, Sequence

from expunge.verify.metrics.refusals import PHRASES, is_refusal, most_repeated, plain_words
from expunge.verify.probes import Probes
from expunge.verify.side_effects.effect import Effect, effect
from expunge.verify.side_effects.seen import Seen

_REFUSED = "share of retained questions that are declined, by a list of phrases, or not answered at all"
_REPEATED = (
    "share of retained questions that get the model's own most repeated wrong answer: a refusal in words that no list "
    "knows; some of it is ordinary guessing, which the control does too"
)


def over_refusal(seen: Mapping[str, Seen], probes: Probes, phrases: Sequence[str] = PHRASES) -> list[Effect]:
    units = [f.subject or f.id for f in probes.retain]
    declined = {arm: [float(is_refusal(text, phrases)) for text in s.replies] for arm, s in seen.items()}
    repeated = {arm: _says_the_same(s) for arm, s in seen.items()}
    return [
        effect("refusals by phrase", _REFUSED, declined, units),
        effect("most repeated answer", _REPEATED, repeated, units),
    ]


def _says_the_same(seen: Seen) -> list[float]:
    wrong = [score < 1 for score in seen.recalled]
    answer = most_repeated(seen.replies, wrong)
    return [float(w and plain_words(text) == answer) for text, w in zip(seen.replies, wrong, strict=True)]
