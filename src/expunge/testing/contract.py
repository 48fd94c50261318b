"""What every approximate method keeps, as functions that raise AssertionError. Run them on a method of your own:

for claim in contract.CLAIMS:
    claim(MyMethod())
"""

import contextlib
import copy
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from expunge.approximate._edit import Edited, run_edit
from expunge.approximate._method import Method, Objective
from expunge.approximate._settings import Edit
from expunge.approximate._work import Work
from expunge.core import Guarantee, Record
from expunge.core.errors import EmptyForgetSet, InvalidData, InvalidParameter
from expunge.engine import (
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

Claim = Callable[[Method], None]
SETTINGS = Edit(
    steps=24, warmup=2, forget_batch=16, retain_batch=16, guard=None
)  # one claim asks what is kept, with a guard
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


def makes_the_forget_set_less_likely(method: Method) -> None:
    before, after = _forget_logp(trained().model), _forget_logp(_edited(method).model)
    assert after < before - LESS_LIKELY, (
        f"the forget set is as likely as before: {before:.2f} nats an answer before, {after:.2f} after"
    )


def does_not_change_the_model_given(method: Method) -> None:
    given = trained()
    before = digest_model(given.model)
    _edit(method)
    assert digest_model(given.model) == before, "the model given was changed; edit a copy"


def is_deterministic(method: Method) -> None:
    first, second = (digest_model(edited.model) for edited in (_edited(method), _edit(method)))
    assert first == second, "two edits with the same seed gave different bits"


def names_its_guarantee(method: Method) -> None:
    assert method.guarantee in (Guarantee.EMPIRICAL, Guarantee.SUPPRESSED), (
        f"an approximate method is EMPIRICAL or SUPPRESSED, this one says {method.guarantee}"
    )
    assert _edited(method).guarantee is method.guarantee, "the result carries another guarantee than its method"


def refuses_what_cannot_be_unlearned(method: Method) -> None:
    """An empty set, a text on both sides, a model with values that are not numbers, a model without weights."""
    given = trained()
    broken = copy.deepcopy(given.model)
    with torch.no_grad():
        next(broken.parameters()).view(-1)[0] = float("nan")
    both = (*given.retain, replace(given.forget[0], id="another id"))
    cases: dict[str, tuple[Any, Any, Any]] = {
        "an empty forget set": (given.model, [], given.retain),
        "an empty retain set": (given.model, given.forget, []),
        "a text in both sets": (given.model, given.forget, both),
        "a model with NaN": (broken, given.forget, given.retain),
        "a model without weights": (nn.Identity(), given.forget, given.retain),
    }
    for what, (model, forget, retain) in cases.items():
        try:
            run_edit(model, given.tokenizer, forget, retain, method, SETTINGS)
        except (EmptyForgetSet, InvalidData, InvalidParameter):
            continue
        raise AssertionError(f"{what} was accepted")


def loss_is_finite(method: Method) -> None:
    losses = _edited(method).losses
    assert losses, "no loss of any step was returned"
    assert all(map(isfinite, losses)), f"a loss is not a number: {losses}"


def keeps_the_retained_or_says_why_not(method: Method) -> None:
    """At a learning rate that wrecks a model the guard goes back in time, or refuses and says so."""
    given, settings = trained(), replace(SETTINGS, lr=0.05, guard=0.8, guard_every=2)
    try:
        edited = run_edit(given.model, given.tokenizer, given.forget, given.retain, method, settings)
    except InvalidParameter as e:
        if "learning rate" not in str(e) and "retained" not in str(e):
            raise AssertionError(f"refused without the reason: {e}") from e
        return
    if isinstance(method, Objective):
        before, after = (_retained_right(model) for model in (given.model, edited.model))
        assert after >= 0.8 * before - 0.02, f"retained tokens right: {before:.0%} before, {after:.0%} after, unsaid"


def a_stopped_edit_ends_in_the_same_bits(method: Method) -> None:
    """Stopped at a third of its steps and started again in the same folder."""
    given, settings, calls = trained(), replace(SETTINGS, every=3), 0

    def stop(_done: int, total: int) -> None:
        nonlocal calls
        calls += 1
        if calls == max(1, total // 3):
            raise KeyboardInterrupt

    with tempfile.TemporaryDirectory() as name:
        given_to_run = (given.model, given.tokenizer, given.forget, given.retain, method, settings)
        with contextlib.suppress(KeyboardInterrupt):
            run_edit(*given_to_run, folder=Path(name) / "e", progress=stop)
        again = digest_model(run_edit(*given_to_run, folder=Path(name) / "e").model)
        assert not (Path(name) / "e").exists(), "state was left behind"
    assert again == digest_model(_edited(method).model), "stopped and resumed, it ended in other bits"


CLAIMS: tuple[Claim, ...] = (
    makes_the_forget_set_less_likely,
    does_not_change_the_model_given,
    is_deterministic,
    names_its_guarantee,
    refuses_what_cannot_be_unlearned,
    loss_is_finite,
    keeps_the_retained_or_says_why_not,
    a_stopped_edit_ends_in_the_same_bits,
)


@dataclass(frozen=True, kw_only=True)
class DoesNothing(Objective):
    """The control of the contract itself: a method that keeps every form and forgets nothing."""

    def loss(self, step: Step) -> Iterator[Tensor]:
        yield 0.0 * step.retain.nll


@lru_cache(maxsize=8)
def _edited(method: Method) -> Edited:  # frozen dataclasses: equal methods share one edit
    return _edit(method)


def _edit(method: Method) -> Edited:
    given = trained()
    return run_edit(given.model, given.tokenizer, given.forget, given.retain, method, SETTINGS)


def _retained_right(model: Any) -> float:
    """Share of the retained answers' tokens that the model finds likeliest."""
    given = trained()
    return Work(model, given.tokenizer, given.forget, given.retain, SETTINGS).accuracy(
        encode(given.tokenizer, given.retain)[:64]
    )


def _forget_logp(model: Any) -> float:
    """Mean over forget rows of the log-probability of the true answer, nats."""
    given = trained()
    rows = rows_logp(model, encode(given.tokenizer, given.forget), pad_id(given.tokenizer))
    return sum(map(sum, rows)) / len(rows)
