from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from torch import Tensor

from expunge.approximate import Edit, Method, Objective, Sam, methods, run_edit
from expunge.approximate.npo import NPO
from expunge.approximate.salun import SalUn
from expunge.core import Guarantee
from expunge.core.errors import InvalidParameter
from expunge.engine import Step

SHORT = Edit(steps=4, guard=None)


@dataclass(frozen=True)
class Ascent(Objective):
    """Only a loss; everything else is the default."""

    def loss(self, step: Step) -> Tensor:
        return -step.forget.nll


def test_a_loss_is_all_that_a_method_must_say(blobs: Any) -> None:
    edited = run_edit(blobs.model, None, blobs.forget, blobs.retain, Ascent(), SHORT)
    assert edited.guarantee is Guarantee.EMPIRICAL
    assert len(edited.losses) == 4
    assert edited.losses[-1] < edited.losses[0]


def test_a_loss_that_is_one_tensor_can_be_wrapped(blobs: Any) -> None:
    alone, wrapped = (
        run_edit(blobs.model, None, blobs.forget, blobs.retain, method, SHORT).losses
        for method in (Ascent(), Sam(Ascent(), rho=1e-9))
    )
    assert wrapped == pytest.approx(alone, rel=1e-4)


@pytest.mark.parametrize("wrong", [NPO, "npo", object()], ids=["a class", "a name", "something else"])
def test_what_is_no_method_is_refused(blobs: Any, wrong: Any) -> None:
    with pytest.raises(InvalidParameter, match=r"is no method; give an instance of a class that inherits"):
        run_edit(blobs.model, None, blobs.forget, blobs.retain, wrong, SHORT)


def test_a_method_without_its_one_part_cannot_be_made() -> None:
    class NoLoss(Objective):
        pass

    class NoEdit(Method):
        pass

    for cls in (NoLoss, NoEdit):
        with pytest.raises(TypeError, match="abstract"):
            cls()


@pytest.mark.parametrize("name", methods.names())
def test_every_method_of_the_registry_inherits_the_protocol(name: str) -> None:
    assert issubclass(methods.get(name), Method)


def test_a_mask_goes_around_any_objective_and_nothing_else() -> None:
    assert SalUn(inner=Ascent()).inner == Ascent()

    class Whole(Method):
        def edit(self, work: Any) -> list[float]:
            return []

    with pytest.raises(InvalidParameter, match="Whole has none"):
        SalUn(inner=Whole())  # type: ignore[arg-type]


def test_terms_are_asked_for_one_after_the_other(blobs: Any) -> None:
    """The second is not computed before the first has been carried backward."""
    order: list[str] = []

    class Two(Objective):
        def loss(self, step: Step) -> Iterator[Tensor]:
            first = step.forget.nll
            first.register_hook(lambda grad: order.append("first back") or grad)  # type: ignore[func-returns-value]
            yield first
            order.append("second asked for")
            yield step.retain.nll

    run_edit(blobs.model, None, blobs.forget, blobs.retain, Two(), Edit(steps=1, guard=None))
    assert order == ["first back", "second asked for"]
