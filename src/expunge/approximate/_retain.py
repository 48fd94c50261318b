"""What holds the rest of a model in place while a forget term pulls: three retain terms, for any objective to choose from.

"nll": the retained answers stay likely. "kl": what the original model would say is still said, word by word. "hidden":
the states after the last block stay where they were.
"""

from collections.abc import Iterator
from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from expunge.approximate._method import Objective
from expunge.core.errors import InvalidParameter
from expunge.engine import Reference, Step

Retain = Literal["nll", "kl", "hidden"]
_NEEDS = {"nll": (), "kl": (Reference.RETAIN_LOGITS,), "hidden": (Reference.RETAIN_HIDDEN,)}


def retain_needs(kind: Retain, weight: float = 1.0) -> tuple[Reference, ...]:
    """What the engine must keep of the original model for this term; nothing for one that counts nothing."""
    return _NEEDS[kind] if weight else ()


def retain_loss(step: Step, kind: Retain) -> Tensor:
    """The retain term of a step, without its weight: nats an answer token for "nll" and "kl", a ratio for "hidden".

    Only answer tokens count: no prompt and no padding (open-unlearning's KL averages over both). A classifier has no
    "hidden".
    """
    match kind:
        case "nll":
            nll: Tensor = step.retain.nll
            return nll
        case "kl":
            return kl_loss(step.retain.logits_NV, step.retain.reference_logits_NV)
        case "hidden":
            block = step.depth - 1
            return hidden_loss(step.retain.hidden_ND(block), step.retain.reference_hidden_ND(block))


def kl_loss(logits_NV: Tensor, reference_logits_NV: Tensor) -> Tensor:
    """KL(p_reference || p), averaged over tokens, in nats.

    >>> import torch
    >>> kl_loss(torch.zeros(1, 2), torch.tensor([[0.0, 100.0]]))  # sure before, undecided now: ln 2
    tensor(0.6931)
    """
    logp_NV, reference_NV = logits_NV.log_softmax(-1), reference_logits_NV.log_softmax(-1)
    return F.kl_div(logp_NV, reference_NV, reduction="batchmean", log_target=True)


def hidden_loss(hidden_ND: Tensor, reference_ND: Tensor) -> Tensor:
    """Mean squared distance, in units of the original states' mean square: one weight then suits models of any scale.

    >>> import torch
    >>> hidden_loss(torch.tensor([[3.0, 3.0]]), torch.tensor([[2.0, 2.0]]))
    tensor(0.2500)
    """
    return F.mse_loss(hidden_ND, reference_ND) / reference_ND.square().mean()


def check_retain(kind: str, weight: float) -> None:
    """Raises: InvalidParameter, for a term that is not known or a weight below 0."""
    if kind not in _NEEDS:
        raise InvalidParameter(f"retain must be one of {', '.join(_NEEDS)}, got '{kind}'")
    check_weight(weight)


def check_weight(weight: float) -> None:
    """Raises: InvalidParameter, for a weight of the retained rows below 0."""
    if weight < 0:
        raise InvalidParameter(
            f"retain_weight must be >= 0, got {weight}; below 0 the model would unlearn what it keeps"
        )


class TwoSided(Objective):
    """An objective with a term for either side; that of the retained rows is `retain_weight` times the one `retain` names.

    A method makes a parameter of either, with its own default, by declaring it as a field. At a weight of 0 nothing of the
    retain side is computed.
    """

    retain: Retain = "nll"
    retain_weight: float = 1.0

    def __post_init__(self) -> None:
        check_retain(self.retain, self.retain_weight)

    @property
    def needs(self) -> tuple[Reference, ...]:
        return retain_needs(self.retain, self.retain_weight)

    def retain_term(self, step: Step) -> Iterator[Tensor]:
        """The last term of the loss, if it counts anything."""
        if self.retain_weight:
            yield self.retain_weight * retain_loss(step, self.retain)
