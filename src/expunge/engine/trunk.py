"""The trunk of a language model: its blocks, one after the other, and the head that reads what the last puts out.

States are read, changed on the way, put in at a block, or put before the head. Every pass is the model's own: positions,
masks, norms, caps and scales of logits are whatever it makes of them. Short cuts are tried on the model itself, once, and
not told from a list of names; where one does not give what the whole pass gives, the whole pass runs.

Shapes: B rows, T positions, D features, N positions of all rows, V words.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from expunge.core.errors import InvalidParameter
from expunge.engine.batches import Batch
from expunge.engine.last_mlp import last_mlp_at
from expunge.engine.patching import Edit, patched_forwards, patched_inputs, patched_outputs, unhooked
from expunge.engine.rounding import same
from expunge.engine.text import text_config

T = TypeVar("T")
REFUSALS = (TypeError, ValueError, AttributeError, NotImplementedError, LookupError, RuntimeError)
"""What models raise where they do not take inputs of some form."""

_MEMOS: WeakKeyDictionary[Any, dict[Hashable, Any]] = WeakKeyDictionary()  # model -> what was found or tried once


class _End(Exception):
    """All that a pass is run for is there."""


@dataclass(frozen=True)
class Trunk:
    """A model with its L blocks. Places where states stand: 0..L-1 after each block, L in front of the head."""

    model: Any
    _memo: dict[Hashable, Any]

    @classmethod
    def of(cls, model: Any) -> "Trunk":
        """The trunk of a model, adapted or not; of one that reads more than text, the part that reads text."""
        return cls(model, _MEMOS.setdefault(model, {}))

    # What there is.

    @property
    def blocks(self) -> nn.ModuleList:
        """The transformer blocks.

        Raises: InvalidParameter, where no list as long as the configuration says is found.
        """
        blocks: nn.ModuleList = self.model.get_submodule(self._once("blocks", self._path))
        return blocks

    @property
    def head(self) -> Any:
        """The vocabulary head; None, where the model has none of its own."""
        return getattr(self.model, "get_output_embeddings", lambda: None)()

    @property
    def vocabulary(self) -> int:
        return int(text_config(self.model).vocab_size)

    @property
    def device(self) -> torch.device:
        return torch.device(next(self.model.parameters()).device)

    @property
    def sees_padding(self) -> bool:
        """Whether a row reads otherwise beside padding that no mask names: encoders, and whatever looks ahead or around.

        Tried once, on a short row alone and beside a longer one. A decoder looks at what stands before, and padding stands
        behind: its passes need no mask, which is faster.
        """
        return self._once("sees padding", self._sees_padding)

    def inputs(self, batch: Batch) -> dict[str, Any]:
        """What the model is given of a batch: with its mask, if it would see the padding."""
        if batch.lengths or not self.sees_padding:
            return batch.inputs
        return batch.inputs | {"attention_mask": batch.mask_BT}

    # What is read.

    def states(self, batch: Batch, block: int, masked: bool = True) -> Tensor:
        """Output of a block (from 0), [B, T, D]; gradients flow, later blocks and the head do not run.

        Not `masked` is faster, where the model does not see padding; its states are noise.
        """
        self._check([block])
        mask = {"attention_mask": batch.mask_BT} if masked and not batch.lengths else None
        return self._read(batch.inputs | mask if mask else self.inputs(batch), [block])[0]

    @torch.no_grad()
    def all_states(self, batch: Batch) -> list[Tensor]:
        """Output of every block, each [B, T, D], and last what the vocabulary head reads, from one pass."""
        inputs = {"input_ids": batch.ids_BT, "attention_mask": batch.mask_BT, "use_cache": False}
        return self._read(inputs, range(len(self.blocks) + 1))

    def head_states(self, row_N: Tensor, at_N: Tensor, **inputs: Any) -> Tensor:
        """What the vocabulary head reads at N positions (row, column), [N, D]."""
        with self._last_mlp_at(row_N, at_N):
            return self._read(inputs, [len(self.blocks)])[0][row_N, at_N]

    def logits_at(self, row_N: Tensor, at_N: Tensor, **inputs: Any) -> Tensor:
        """Logits at N positions (row, column) alone, [N, V], in the model's own precision.

        The head is given these positions and never sees the others; whatever the model does to its logits afterwards
        still happens. A model without a head of its own gives all logits, and the positions are taken from them.
        """
        if self.head is None:
            return torch.as_tensor(self.model(**inputs).logits)[row_N, at_N]
        with patched_inputs({self.head: lambda x_BTD: x_BTD[row_N, at_N][None]}), self._last_mlp_at(row_N, at_N):
            return torch.as_tensor(self.model(**inputs).logits)[0]

    # What is put in.

    def edited(self, edits: Mapping[int, Edit]) -> AbstractContextManager[None]:
        """Meanwhile the output of block i, [B, T, D], is replaced by `edits[i]` of it, in every pass of the model."""
        self._check(list(edits))
        return patched_outputs({self.blocks[i]: edit for i, edit in edits.items()})

    @contextmanager
    def from_block(self, first: int, states_BTD: Tensor) -> Iterator[None]:
        """Meanwhile a pass begins at block `first` (from 1), which reads these states; the blocks below do not run.

        From L on it begins behind the last block. Embeddings and positions are still computed.
        """
        with self._without_blocks_below(first), self._states_into(first, states_BTD):
            yield

    def read_out(self, states_ND: Tensor) -> Tensor:
        """Float32 logits, [N, V], where the last block puts out these states; gradients flow into them.

        What follows the blocks (final norm, head, caps, scales) treats every position alike and need not be known.
        """
        like = next(self.model.parameters())
        with self.from_block(len(self.blocks), states_ND.to(like)[None]):
            logits = self.model(**self._token()).logits
        return torch.as_tensor(logits.reshape(len(states_ND), -1).float())

    def head_logits(self, states_ND: Tensor, head: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """Float32 logits, [N, V], where the vocabulary head, or `head` in its place, reads these states.

        What the model does to its logits afterwards (caps, scales) still happens; gradients flow into the states.
        """
        own = self.head
        instead = patched_forwards({own: head}) if head else nullcontext()
        given = patched_inputs({own: lambda _: states_ND.to(own.weight.dtype)[None]})
        with self._without_blocks_below(len(self.blocks)), given, instead:
            logits = self.model(**self._token()).logits
        return torch.as_tensor(logits[0].float())

    def frozen_head(self) -> Callable[[Tensor], Tensor]:
        """The vocabulary head as it is now, whatever is trained afterwards: what it reads, [N, D], to logits [N, V]."""
        weight, bias = self.head.weight.detach().clone(), getattr(self.head, "bias", None)
        frozen = bias.detach().clone() if bias is not None else None
        return lambda states_ND: self.head_logits(states_ND, lambda x: F.linear(x, weight, frozen))

    # How.

    @torch.no_grad()
    def _sees_padding(self) -> bool:
        ids_BT = torch.tensor([[1, 0, 0, 0, 0, 0], [1, 0, 1, 0, 1, 0]], device=self.device)
        try:
            with unhooked(self.blocks):
                alone, beside = (self.model(input_ids=ids, use_cache=False).logits for ids in (ids_BT[:1, :2], ids_BT))
        except REFUSALS:
            return True
        return not same(beside[:1, :2], alone)

    def _path(self) -> str:
        """The blocks' name in the model: of the first list in its decoder that is as long as the configuration says."""
        depth = getattr(text_config(self.model), "num_hidden_layers", None)
        inside = set(getattr(self.model, "get_decoder", lambda: self.model)().modules())
        for name, module in self.model.named_modules():
            if isinstance(module, nn.ModuleList) and len(module) == depth and module in inside:
                return str(name)
        raise InvalidParameter(f"cannot find the {depth} transformer blocks of {type(self.model).__name__}")

    def _once(self, what: Hashable, find: Callable[[], T]) -> T:
        if what not in self._memo:
            self._memo[what] = find()
        found: T = self._memo[what]
        return found

    def _check(self, blocks: Sequence[int]) -> None:
        if wrong := [i for i in blocks if not 0 <= i < len(self.blocks)]:
            raise InvalidParameter(f"layer must be in 0..{len(self.blocks) - 1}, got {', '.join(map(str, wrong))}")

    def _read(self, inputs: Mapping[str, Any], places: Sequence[int]) -> list[Tensor]:
        """The states at some places, in their order, from one pass that ends at the last."""
        found: list[Tensor] = []

        def keep(states: Tensor) -> Tensor:
            if states.dim() != 3:
                raise InvalidParameter(
                    f"{type(self.model).__name__} keeps states of shape {tuple(states.shape)}, not one a position; "
                    "choose methods and attacks that look at outputs"
                )
            found.append(states)
            if len(found) == len(places):
                raise _End
            return states

        depth = len(self.blocks)
        after = patched_outputs({self.blocks[i]: keep for i in places if i < depth})
        before_head = patched_inputs({self.head: keep} if depth in places else {})
        with suppress(_End), after, before_head:
            self.model(**inputs)
        return found

    def _last_mlp_at(self, row_N: Tensor, at_N: Tensor) -> AbstractContextManager[None]:
        try:
            block = self.blocks[-1]
        except InvalidParameter:
            return nullcontext()
        again = block.training and any(getattr(m, "gradient_checkpointing", False) for m in self.model.modules())
        return last_mlp_at(block, row_N, at_N, again, self._once)

    def _token(self) -> dict[str, Any]:
        """A pass over a single token."""
        id_11 = torch.zeros(1, 1, dtype=torch.long, device=self.device)
        return {"input_ids": id_11, "attention_mask": torch.ones_like(id_11), "use_cache": False}

    def _states_into(self, first: int, states_BTD: Tensor) -> AbstractContextManager[None]:
        """Meanwhile block `first` reads these states; from L on, they are what the last one puts out."""
        self._check([first - 1])
        if first == len(self.blocks):
            return patched_outputs({self.blocks[-1]: lambda _: states_BTD})
        return patched_inputs({self.blocks[first]: lambda _: states_BTD})

    def _without_blocks_below(self, first: int) -> AbstractContextManager[None]:
        """Meanwhile the blocks below `first` do not run, unless the rest needs more of them than their states."""
        passers = self._once(("passers", first, self.model.training), lambda: self._passers(first))
        return patched_forwards(dict(zip(self.blocks, passers, strict=False)))

    @torch.no_grad()
    def _passers(self, first: int) -> list[Callable[..., Any]]:
        """For each block below `first` a forward that hands on what it reads; none, where a token's logits differ then.

        Blocks answer in different forms, states or a tuple, and some read more of earlier ones than their states. Nobody
        who looks at the blocks sees this trial.
        """
        below, outputs, inputs = self.blocks[:first], list[Any](), self._token()
        with suppress(*REFUSALS), unhooked(self.blocks):
            with ExitStack() as hooks, _same_draws(self.device):
                for block in below:
                    hooks.enter_context(block.register_forward_hook(lambda _m, _a, out: outputs.append(out)))
                whole = self.model(**inputs).logits
            passers = {block: _passer(output) for block, output in zip(below, outputs, strict=True)}
            states_BTD = outputs[-1][0] if isinstance(outputs[-1], tuple) else outputs[-1]
            with patched_forwards(passers), self._states_into(first, states_BTD), _same_draws(self.device):
                if torch.equal(self.model(**inputs).logits, whole):
                    return list(passers.values())
        return []


def _passer(out: Any) -> Callable[..., Any]:
    """A block's forward that does nothing and answers in the form of `out`."""
    if not isinstance(out, tuple):
        return lambda hidden_states, *_args, **_kwargs: hidden_states
    empty = [None] * (len(out) - 1)
    return lambda hidden_states, *_args, **_kwargs: (hidden_states, *empty)


def _same_draws(device: torch.device) -> AbstractContextManager[None]:
    """Meanwhile random numbers are drawn that change no later draw."""
    return torch.random.fork_rng([device] if device.type == "cuda" else [])
