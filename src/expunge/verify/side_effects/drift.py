"""Where the model moved, block by block: weights, hidden states on retained rows, and its predictions there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from expunge.core import Fact
from expunge.engine import Trunk, answer_logits, collate, encode, keyed_order, pad_id, value_span
from expunge.verify.battery import Arm
from expunge.verify.metrics.drift import kl_divergence, linear_cka, relative_l2
from expunge.verify.probes import Probes
from expunge.verify.side_effects.effect import Effect, effect, not_measured

ROWS = 256  # retained facts that are read, chosen by a hash of their ids
_KL = (
    "nats per token of retained answers: KL(arm ‖ original), mean over facts. The control's is what two trainings differ by; "
    "far above it, predictions on retained facts have moved"
)


@dataclass(frozen=True, kw_only=True)
class Drift:
    """Per place, first to last, of each arm against the original. What cannot be compared is None; `reasons` say why.

    `weights`: relative L2 distance of a block's parameters. `states`: linear CKA of what the block puts out where the
    value begins. A control of another seed has other weights altogether; it shows the scale, not a target.
    """

    places: tuple[str, ...]
    weights: Mapping[str, tuple[float, ...] | None]
    states: Mapping[str, tuple[float, ...] | None]
    reasons: tuple[str, ...] = ()


def drift(original: Arm, others: Mapping[str, Arm], probes: Probes) -> tuple[Drift, Effect]:
    """Drift of each arm from the original, and the divergence of its predictions on retained facts."""
    order = keyed_order([f.id for f in probes.retain], b"expunge/drift/v1")
    facts = [probes.retain[i] for i in sorted(order[:ROWS])]
    reasons: list[str] = []
    weights = {
        name: _or_reason(name, reasons, lambda a=arm: weight_drift(a.model, original.model))
        for name, arm in others.items()
    }
    states: dict[str, tuple[float, ...] | None] = {}
    divergence: dict[str, list[float]] = {}
    for name, arm in others.items():
        read = _or_reason(name, reasons, lambda a=arm: _read(a, original, facts))
        states[name] = read[0] if read else None
        if read:
            divergence[name] = read[1]
    n_blocks = len(Trunk.of(original.model).blocks)
    places = (*(f"block {i}" for i in range(n_blocks)), "outside the blocks")
    found = Drift(places=places, weights=weights, states=states, reasons=tuple(reasons))
    if "unlearned" not in divergence:
        return found, not_measured("divergence from the original", _KL, "; ".join(reasons))
    return found, effect(
        "divergence from the original", _KL, divergence, [f.subject or f.id for f in facts], share=False
    )


def weight_drift(model: Any, original: Any) -> tuple[float, ...]:
    """Relative L2 of each block's parameters, and last of all others together.

    Raises: ValueError, where the tensors of the two models do not match.
    """
    new, old = _by_place(model), _by_place(original)
    if [[(n, t.shape) for n, t in place] for place in new] != [[(n, t.shape) for n, t in place] for place in old]:
        raise ValueError("its tensors are not those of the original (another architecture, or adapters not merged)")
    return tuple(relative_l2(_flat(a), _flat(b)) for a, b in zip(new, old, strict=True))


def _by_place(model: Any) -> list[list[tuple[str, Tensor]]]:
    blocks = Trunk.of(model).blocks
    within = {id(p) for block in blocks for p in block.parameters()}
    rest = [(name, p.detach()) for name, p in model.named_parameters() if id(p) not in within]
    return [*([(name, p.detach()) for name, p in block.named_parameters()] for block in blocks), rest]


def _flat(named: Sequence[tuple[str, Tensor]]) -> Tensor:
    return torch.cat([t.reshape(-1).double().cpu() for _, t in named])


@torch.no_grad()
def _read(
    arm: Arm, original: Arm, facts: Sequence[Fact], batch_size: int = 16
) -> tuple[tuple[float, ...], list[float]]:
    """CKA of every place, and each fact's divergence, from one pass of both models over the same rows."""
    rows = encode(arm.tokenizer, facts)
    if [e.ids for e in rows] != [e.ids for e in encode(original.tokenizer, facts)]:
        raise ValueError("its tokenizer reads the facts differently from the original's")
    first = [
        e.n_prompt - 1 + value_span(arm.tokenizer, f.answer, f.value, bool(f.question))[0]
        for e, f in zip(rows, facts, strict=True)
    ]
    states: tuple[list[list[Tensor]], list[list[Tensor]]] = ([], [])
    divergence: list[float] = []
    for k in range(0, len(rows), batch_size):
        batch = collate(rows[k : k + batch_size], pad_id(arm.tokenizer))
        at, each = torch.tensor(first[k : k + batch_size]), torch.arange(len(batch))
        logits = []
        for side, model in zip(states, (arm.model, original.model), strict=True):
            placed = batch.to(next(model.parameters()).device)
            side.append([h_BTD[each, at].double().cpu() for h_BTD in Trunk.of(model).all_states(placed)])
            logits.append(answer_logits(model, placed))
        kl_N, row_N = kl_divergence(logits[0][0].cpu(), logits[1][0].cpu()), logits[0][2].cpu()
        divergence += [float(kl_N[row_N == j].mean()) for j in range(len(batch))]
    if len(states[0][0]) != len(states[1][0]):
        raise ValueError("it has another number of blocks than the original")
    pairs = zip(*(map(torch.cat, zip(*side, strict=True)) for side in states), strict=True)
    return tuple(linear_cka(a, b) for a, b in pairs), divergence


def _or_reason(name: str, reasons: list[str], compute: Any) -> Any:
    try:
        return compute()
    except ValueError as e:
        reasons.append(f"{name}: {e}")
        return None
