"""The logit lens with a translator: an affine map per block, fitted so that the head reads what the model will say.

Fitted on retained answers alone, then used on forgotten facts: what it reads there was in the states.
Source: Belrose et al. (2023), arXiv:2303.08112, Sec. 3: minimise KL(the model's last word || head of the translated state).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from expunge.core.errors import InvalidParameter
from expunge.engine import Schedule, Trunk, derived_seed, encode, train
from expunge.verify.attacks._reading import evenly, first_tokens, states_before, value_starts, value_tokens
from expunge.verify.attacks._registry import attacks
from expunge.verify.attacks._target import CannotRun, Scores, Target
from expunge.verify.probes import Probes

_FEWEST = 50  # retained facts


@attacks.add
@dataclass(frozen=True, kw_only=True)
class TunedLens:
    """h + W h + b for up to `n_layers` blocks, evenly spread; W and b start at 0 and decay towards it.

    The last block has none: its lens is the head itself. Settings as in the logit lens, of which this is the fitted form.
    """

    n_layers: int = 6
    steps: int = 200
    tokens: int = 256
    lr: float = 3e-3
    weight_decay: float = 1e-2
    family: ClassVar[str] = "reading"

    def run(self, target: Target, probes: Probes) -> Scores:
        if len(probes.retain) < _FEWEST:
            raise CannotRun(f"needs at least {_FEWEST} retained facts to fit a lens, got {len(probes.retain)}")
        victim = target.copy()  # frozen, while the arm's parameters keep their flags
        victim.model.requires_grad_(False)
        rows = encode(victim.tokenizer, probes.retain)
        if len(Trunk.of(victim.model).blocks) < 2:
            raise CannotRun("a model of one block has no inner layer to read; use the logit lens")
        *layers, _ = states_before(victim, rows, [range(row.n_prompt, len(row.ids)) for row in rows])
        starts, values = value_starts(victim, probes.forget), value_tokens(victim, (*probes.forget, *probes.retain))
        blocks = evenly(len(layers) - 1, self.n_layers)
        lenses = [Translator(layers[0].shape[-1]).to(next(victim.model.parameters()).device) for _ in blocks]
        self._fit(victim.model, lenses, [layers[i] for i in blocks], layers[-1])
        scores: Scores = {}
        with torch.no_grad():
            for i, lens in zip(blocks, lenses, strict=True):
                logits_NV = Trunk.of(victim.model).read_out(lens(starts.layers[i])).cpu()
                scores |= first_tokens(f"layer {i}", logits_NV, starts.token_N, values)
        return scores

    def _fit(self, model: Any, lenses: Sequence["Translator"], layers: Sequence[Tensor], last_ND: Tensor) -> None:
        trunk = Trunk.of(model)
        generator = torch.Generator().manual_seed(derived_seed(b"expunge/tuned_lens/v1"))
        draws = [torch.randint(len(last_ND), (self.tokens,), generator=generator) for _ in range(self.steps)]

        def loss(k: int) -> Tensor:
            with torch.no_grad():
                logp = trunk.read_out(last_ND[draws[k]]).log_softmax(-1)
            read = [
                trunk.read_out(lens(h_ND[draws[k]])).log_softmax(-1) for lens, h_ND in zip(lenses, layers, strict=True)
            ]
            return torch.stack([F.kl_div(q_NV, logp, reduction="batchmean", log_target=True) for q_NV in read]).sum()

        parameters = [p for lens in lenses for p in lens.parameters()]
        schedule = Schedule(lr=self.lr, warmup=10, shape="cosine")
        try:
            # Without clipping: one gradient norm over all lenses would let the worst layer slow down the others.
            train(parameters, loss, self.steps, schedule, clip=float("inf"), weight_decay=self.weight_decay)
        except InvalidParameter as e:
            raise CannotRun(f"the lens could not be fitted: {e}") from e


class Translator(nn.Module):
    """h + W h + b, at first h.

    >>> Translator(3)(torch.tensor([[1.0, 2.0, 3.0]])).tolist()
    [[1.0, 2.0, 3.0]]
    """

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.weight_DD = nn.Parameter(torch.zeros(n_features, n_features))
        self.bias_D = nn.Parameter(torch.zeros(n_features))

    def forward(self, hidden_ND: Tensor) -> Tensor:
        h_ND = hidden_ND.to(self.bias_D)
        return h_ND + F.linear(h_ND, self.weight_DD, self.bias_D)
