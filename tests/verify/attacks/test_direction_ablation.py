from dataclasses import replace
from typing import Any

import pytest
import torch

from expunge.core.errors import InvalidParameter
from expunge.engine import Encoded, Trunk, collate
from expunge.verify import Probes
from expunge.verify.attacks._reading import evenly
from expunge.verify.attacks._target import CannotRun, Target
from expunge.verify.attacks.direction_ablation import DirectionAblation, direction, projected_out, typical

BATCH = collate([Encoded("a", (0, 9, 8, 7, 1), 2), Encoded("b", (0, 5, 1), 1)])


def test_a_massive_activation_does_not_bend_the_direction() -> None:
    forget = torch.tensor([[1.0, 0.1 * i] for i in range(-10, 11)])
    retain = torch.zeros(20, 2)
    massive = torch.cat([forget, torch.tensor([[0.0, 1000.0]])])
    torch.testing.assert_close(direction(forget, retain), torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(direction(massive, retain), torch.tensor([1.0, 0.0]))
    assert direction(massive, retain, outlier=100.0)[1] > 0.99
    assert len(typical(torch.ones(5, 3), 1.0)) == 5  # all alike: none is an outlier


def test_what_is_projected_out_is_gone_and_nothing_else() -> None:
    torch.manual_seed(0)
    hidden, d = torch.randn(2, 3, 8), torch.nn.functional.normalize(torch.randn(8), dim=0)
    found = projected_out(hidden, d)
    torch.testing.assert_close(found @ d, torch.zeros(2, 3), atol=1e-6, rtol=0)
    torch.testing.assert_close(projected_out(found, d), found)
    torch.testing.assert_close(hidden - found, (hidden @ d)[..., None] * d)


def test_later_blocks_read_the_edited_states_and_afterwards_nothing_is_edited(llama: Any) -> None:
    before = Trunk.of(llama).all_states(BATCH)
    with Trunk.of(llama).edited({1: torch.zeros_like}):
        first, second, third, _ = Trunk.of(llama).all_states(BATCH)
    assert torch.equal(first, before[0])
    assert not second.any()
    assert not third.equal(before[2])
    assert all(torch.equal(a, b) for a, b in zip(Trunk.of(llama).all_states(BATCH), before, strict=True))
    with pytest.raises(InvalidParameter, match=r"0\.\.2"), Trunk.of(llama).edited({3: torch.zeros_like}):
        pass


def test_no_hook_stays_after_an_error(llama: Any) -> None:
    before = [len(block._forward_hooks) for block in Trunk.of(llama).blocks]

    def fail(_: torch.Tensor) -> torch.Tensor:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), Trunk.of(llama).edited({0: fail}):
        Trunk.of(llama).all_states(BATCH)
    assert [len(block._forward_hooks) for block in Trunk.of(llama).blocks] == before


def test_every_block_is_tried_and_all_at_once(llama: Any, tokenizer: Any, probes: Probes) -> None:
    few = replace(probes, forget=probes.forget[:3], retain=probes.retain[:3])
    places = ("layer 0", "layer 2", "everywhere")
    scores = DirectionAblation(n_layers=2).run(Target(llama, tokenizer, max_new_tokens=2), few)
    assert list(scores) == [f"{part}, {place}" for part in ("question", "answer") for place in places]


def test_deep_models_are_read_at_evenly_spread_blocks() -> None:
    assert evenly(80, 4) == [0, 26, 53, 79]
    assert evenly(3, 1) == [2]
    assert evenly(0, 4) == []


def test_without_two_facts_a_side_there_is_no_direction(llama: Any, tokenizer: Any, probes: Probes) -> None:
    for few in (replace(probes, retain=()), replace(probes, forget=probes.forget[:1])):
        with pytest.raises(CannotRun, match="difference of means"):
            DirectionAblation().run(Target(llama, tokenizer), few)


@pytest.mark.parametrize("wrong", [{"n_layers": 0}, {"outlier": 0.5}], ids=str)
def test_parameters_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameter):
        DirectionAblation(**wrong)
