"""What every approximate method keeps, as functions that raise AssertionError. Run them on a method of your own:

for claim in contract.CLAIMS:
    claim(MyMethod())
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite
from typing import Any, ClassVar

from torch import Tensor

from expunge.approximate._edit import Edit, Edited, Method, run_edit
from expunge.core import Guarantee, Record
from expunge.core.errors import EmptyForgetSet
from expunge.engine import (
    Reference,
    Schedule,
    Step,
    collate,
    digest_model,
    encode,
    epoch_batches,
    mean_nll,
    pad_id,
    pinned,
    rows_logp,
    train,
)
from expunge.synthetic import people, records
from expunge.testing.toys import toy_llama, toy_tokenizer

Claim = Callable[[Any], None]
SETTINGS = Edit(steps=24, warmup=2, forget_batch=16, retain_batch=16)
LESS_LIKELY = 1.0  # nats an answer, on average; a pass of weight decay alone moves it by less than 0.01


@dataclass(frozen=True)
class Trained:
    """A toy model that knows three people who leave and five who stay, twenty facts each."""

    model: Any
    tokenizer: Any
    forget: tuple[Record, ...]
    retain: tuple[Record, ...]


@lru_cache(maxsize=1)
def trained() -> Trained:
    """Made once per process, in a few seconds. Never change it: copy the model."""
    forget, retain = tuple(records(people(3), [0])), tuple(records(people(5, skip=3), [0]))
    tokenizer = toy_tokenizer([t for r in records(people(40, seed=9)) for t in (r.question, r.answer)], 512)
    return Trained(taught((*forget, *retain), tokenizer), tokenizer, forget, retain)


def taught(rows: tuple[Record, ...], tokenizer: Any, seed: int = 0, steps: int = 200) -> Any:
    """A toy model trained on these records until it knows them by heart."""
    model = toy_llama(len(tokenizer), hidden=64, layers=2, seed=seed)
    encoded, pad = encode(tokenizer, rows), pad_id(tokenizer)
    batches = [b for epoch in range(steps) for b in epoch_batches(encoded, 32, b"contract", seed, epoch)][:steps]
    with pinned():
        train(
            list(model.parameters()),
            lambda k: mean_nll(model, collate(batches[k], pad)),
            steps,
            Schedule(lr=5e-3, warmup=10, shape="cosine"),
        )
    return model.eval()


def makes_the_forget_set_less_likely(method: Any) -> None:
    before, after = _forget_logp(trained().model), _forget_logp(_edited(method).model)
    assert after < before - LESS_LIKELY, (
        f"the forget set is as likely as before: {before:.2f} nats an answer before, {after:.2f} after"
    )


def does_not_change_the_model_given(method: Any) -> None:
    given = trained()
    before = digest_model(given.model)
    _edit(method)
    assert digest_model(given.model) == before, "the model given was changed; edit a copy"


def is_deterministic(method: Any) -> None:
    first, second = (digest_model(edited.model) for edited in (_edited(method), _edit(method)))
    assert first == second, "two edits with the same seed gave different bits"


def names_its_guarantee(method: Any) -> None:
    assert method.guarantee in (Guarantee.EMPIRICAL, Guarantee.SUPPRESSED), (
        f"an approximate method is EMPIRICAL or SUPPRESSED, this one says {method.guarantee}"
    )
    assert _edited(method).guarantee is method.guarantee, "the result carries another guarantee than its method"


def refuses_an_empty_forget_set(method: Any) -> None:
    given = trained()
    try:
        run_edit(given.model, given.tokenizer, [], given.retain, method, SETTINGS)
    except EmptyForgetSet:
        return
    raise AssertionError("an empty forget set was accepted")


def loss_is_finite(method: Any) -> None:
    losses = _edited(method).losses
    assert len(losses) == SETTINGS.steps, f"{len(losses)} losses for {SETTINGS.steps} steps"
    assert all(map(isfinite, losses)), f"a loss is not a number: {losses}"


CLAIMS: tuple[Claim, ...] = (
    makes_the_forget_set_less_likely,
    does_not_change_the_model_given,
    is_deterministic,
    names_its_guarantee,
    refuses_an_empty_forget_set,
    loss_is_finite,
)


@dataclass(frozen=True, kw_only=True)
class DoesNothing:
    """The control of the contract itself: a method that keeps every form and forgets nothing."""

    guarantee: ClassVar[Guarantee] = Guarantee.EMPIRICAL
    needs: ClassVar[tuple[Reference, ...]] = ()

    def loss(self, step: Step) -> Tensor:
        return 0.0 * step.retain.nll


@lru_cache(maxsize=8)
def _edited(method: Any) -> Edited:  # frozen dataclasses: equal methods share one edit
    return _edit(method)


def _edit(method: Method) -> Edited:
    given = trained()
    return run_edit(given.model, given.tokenizer, given.forget, given.retain, method, SETTINGS)


def _forget_logp(model: Any) -> float:
    """Mean over forget rows of the log-probability of the true answer, nats."""
    given = trained()
    rows = rows_logp(model, encode(given.tokenizer, given.forget), pad_id(given.tokenizer))
    return sum(map(sum, rows)) / len(rows)
