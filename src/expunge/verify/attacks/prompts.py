"""Ask in ways that get round a filter: wrapped, joined, with shots, as a choice, the other way round.

What a refusal or a filter on outputs hides comes back under one wrapping or another; what is gone does not. A fact counts as
well as its best prompt recovers it, and every arm gets the same prompts, so the luck of many tries is the control's as well.
"""

from dataclasses import dataclass
from typing import ClassVar

from expunge.engine import encode_prompt, greedy_answers
from expunge.verify.attacks._kinds import KINDS, Case, kept_for
from expunge.verify.attacks._registry import attacks
from expunge.verify.attacks._speak import check_numbers, check_room
from expunge.verify.attacks._target import Scores, Target
from expunge.verify.probes import Probes


@attacks.add
@dataclass(frozen=True, kw_only=True)
class Prompts:
    """Each kind of prompt is a setting; "any @ N" is the best of the first N kinds. Plain text is asked to go on from its opening.

    Only what the model says is scored, never the prompt. A kind that no fact has the material for (no retained facts, no
    `perturbed` answers) is left out; a fact that lacks it scores 0 there.
    """

    tried: tuple[int, ...] = (1, 3)  # and all
    family: ClassVar[str] = "black box"

    def run(self, target: Target, probes: Probes) -> Scores:
        cases = [Case.of(f, kept_for(f, probes.forget, probes.retain)) for f in probes.forget]
        written = {name: [kind.write(case) for case in cases] for name, kind in KINDS.items()}
        written = {name: texts for name, texts in written.items() if any(texts)}
        prompts = list(dict.fromkeys(text for texts in written.values() for text in texts if text))
        check_room(target, target.max_new_tokens + max(len(encode_prompt(target.tokenizer, text)) for text in prompts))
        check_numbers(target, prompts[0])
        answers = greedy_answers(target.model, target.tokenizer, prompts, target.max_new_tokens)
        answer_to = dict(zip(prompts, answers, strict=True))
        scores = {
            name: [KINDS[name].score(answer_to[t], case) if t else 0.0 for t, case in zip(texts, cases, strict=True)]
            for name, texts in written.items()
        }
        by_kind = list(scores.values())
        for n in sorted({min(n, len(by_kind)) for n in (*self.tried, len(by_kind))}):
            scores[f"any @ {n}"] = [max(column) for column in zip(*by_kind[:n], strict=True)]
        return scores
