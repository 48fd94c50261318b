"""Learn a few vectors to put before every question, on half of the forgotten facts, and ask for the other half with them.

One prompt for all questions: a prompt of its own for each question can be taught to elicit any string, known or not
(arXiv:2502.15836), so what it elicits shows nothing.
Source: Schwinn et al. (2024), arXiv:2402.09063 (soft prompt threats); Lester et al. (2021), arXiv:2104.08691.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from expunge.core import Fact
from expunge.core.errors import InvalidParameter
from expunge.engine import (
    IGNORE,
    Batch,
    Schedule,
    collate,
    derived_seed,
    encode,
    encode_prompt,
    end_ids,
    epoch_batches,
    pad_id,
    pad_left,
    train,
)
from expunge.verify.attacks._registry import attacks
from expunge.verify.attacks._target import CannotRun, Scores, Target, halves
from expunge.verify.metrics.recall import recall
from expunge.verify.probes import Probes


@attacks.add
@dataclass(frozen=True, kw_only=True)
class SoftPrompt:
    """Adam on the answers' likelihood, both ways round; a setting is a number of vectors after a number of steps."""

    vectors: tuple[int, ...] = (8,)
    moments: tuple[int, ...] = (30, 90)
    lr: float = 1e-2
    batch_size: int = 32
    family: ClassVar[str] = "soft prompt"

    def run(self, target: Target, probes: Probes) -> Scores:
        victim = target.copy()  # frozen, while the arm's parameters keep their flags
        victim.model.requires_grad_(False).eval()
        scores: Scores = {}
        first, second = halves(probes)
        for n in self.vectors:
            for trained, tested in ((first, second), (second, first)):
                for steps, prompt_ND in self._learn(victim, [probes.forget[i] for i in trained], n):
                    row = scores.setdefault(f"{n} vectors @ {steps}", [0.0] * len(probes.forget))
                    found = recalls_behind(victim, prompt_ND, [probes.forget[i] for i in tested])
                    for i, value in zip(tested, found, strict=True):
                        row[i] = value
        return scores

    def _learn(self, victim: Target, facts: Sequence[Fact], n: int) -> list[tuple[int, Tensor]]:
        """The prompt as it was after each of the moments."""
        rows, pad = encode(victim.tokenizer, facts), pad_id(victim.tokenizer)
        batches: list[Batch] = []
        while len(batches) < max(self.moments):
            epoch = epoch_batches(rows, self.batch_size, b"expunge/soft_prompt/v1", len(batches))
            batches += [collate(batch, pad) for batch in epoch]
        prompt_ND = nn.Parameter(_start(victim.model, n))
        reached: list[tuple[int, Tensor]] = []

        def after(done: int, _total: int) -> None:
            if done in self.moments:
                reached.append((done, prompt_ND.detach().clone()))

        def loss(k: int) -> Tensor:
            return nll_behind(victim.model, prompt_ND, batches[k].to(prompt_ND.device))

        try:
            schedule = Schedule(lr=self.lr, warmup=2)
            train([prompt_ND], loss, max(self.moments), schedule, weight_decay=0.0, progress=after)
        except InvalidParameter as e:
            raise CannotRun(f"the soft prompt diverged: {e}") from e
        return reached


def _start(model: Any, n: int) -> Tensor:
    """Seeded noise of the embeddings' own spread."""
    table_VD = model.get_input_embeddings().weight
    generator = torch.Generator().manual_seed(derived_seed(b"expunge/soft_prompt/v1", n))
    return torch.as_tensor(torch.randn(n, table_VD.shape[1], generator=generator).to(table_VD) * table_VD.std())


def nll_behind(model: Any, prompt_ND: Tensor, batch: Batch) -> Tensor:
    """Mean negative log-likelihood per labelled token, with the prompt's vectors before every row."""
    logits_BTV = model(**_behind(model, prompt_ND, batch.ids_BT, batch.mask_BT), use_cache=False).logits
    logits_BTV = logits_BTV[:, len(prompt_ND) :][:, :-1]
    next_N = batch.labels_BT[:, 1:].flatten()
    return torch.as_tensor(F.cross_entropy(logits_BTV.flatten(0, 1).float(), next_N, ignore_index=IGNORE))


@torch.no_grad()
def recalls_behind(victim: Target, prompt_ND: Tensor, facts: Sequence[Fact], batch_size: int = 128) -> list[float]:
    """Greedy answers to the plain questions behind the prompt, each scored 0 to 1."""
    prompts = [encode_prompt(victim.tokenizer, f.question) for f in facts]
    order = sorted(range(len(facts)), key=lambda i: len(prompts[i]))
    scores = [0.0] * len(facts)
    for k in range(0, len(order), batch_size):
        part = order[k : k + batch_size]
        ids_BT, mask_BT = (
            t.to(prompt_ND.device) for t in pad_left([prompts[i] for i in part], pad_id(victim.tokenizer))
        )
        spoken = victim.model.generate(
            **_behind(victim.model, prompt_ND, ids_BT, mask_BT),
            max_new_tokens=victim.max_new_tokens,
            do_sample=False,
            num_beams=1,
            eos_token_id=end_ids(victim.model, victim.tokenizer) or None,
            pad_token_id=pad_id(victim.tokenizer),
        )
        for i, text in zip(part, victim.tokenizer.batch_decode(spoken, skip_special_tokens=True), strict=True):
            scores[i] = recall(text, facts[i])
    return scores


def _behind(model: Any, prompt_ND: Tensor, ids_BT: Tensor, mask_BT: Tensor) -> dict[str, Tensor]:
    """Embeddings and mask of rows with the prompt before them; padding on the left comes before the prompt."""
    embedded_BTD = model.get_input_embeddings()(ids_BT)
    prompt_BND = prompt_ND[None].expand(len(ids_BT), -1, -1)
    return {
        "inputs_embeds": torch.cat([prompt_BND, embedded_BTD], dim=1),
        "attention_mask": torch.cat([mask_BT.new_ones(prompt_BND.shape[:2]), mask_BT], dim=1),
    }
