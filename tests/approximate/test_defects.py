"""Eleven defects found in a widely used unlearning framework, and the tests that show each of them absent here.

| | defect | shown absent by |
|---|---|---|
| 1 | RMU divides every sequence by every length (a broadcast) | approximate/test_rmu.py::test_the_crosswise_broadcast_is_absent approximate/test_rmu.py::test_each_sequence_is_divided_by_its_own_length |
| 2 | where padding and end of text are one token, the mask hides both | engine/test_batches.py::test_the_mask_hides_padding_and_no_end_of_text_where_both_are_one_token engine/test_generation.py::test_the_end_of_text_may_be_what_rows_are_filled_up_with |
| 3 | all ranks draw the same retained rows | engine/test_distributed.py::test_two_ranks_read_other_rows_and_end_with_the_same_model_as_one |
| 4 | the norm of untrained weights' gradients scales the step down | approximate/test_defects.py::test_what_is_not_trained_does_not_shorten_the_step |
| 5 | UNDIAL takes the label -100 for a word, and averages over padding | approximate/test_undial.py::test_labels_of_prompts_and_padding_do_not_reach_the_vocabulary |
| 6 | the KL of retained rows runs another model, and counts prompts and padding | approximate/test_retain.py::test_kl_counts_answer_tokens_alone approximate/test_retain.py::test_kl_runs_the_model_once_and_no_second_one |
| 7 | a mask of labels is laid on logits without the shift by one | approximate/test_defects.py::test_every_answer_token_meets_the_logits_before_it |
| 8 | tokens merge across the border of question and answer | engine/test_text.py::test_question_and_answer_are_joined_as_ids_and_closed engine/test_text.py::test_no_space_of_its_own_stands_between_question_and_answer |
| 9 | gradient norms under dropout, and of one row a batch only | verify/metrics/test_gradient_norm.py::test_dropout_would_change_it_from_pass_to_pass verify/metrics/test_gradient_norm.py::test_other_rows_do_not_matter_as_each_has_its_own_pass |
| 10 | metrics share an object, and leave something in it for each other | approximate/test_defects.py::test_methods_and_attacks_keep_nothing contract/test_attacks.py::test_every_attack_keeps |
| 11 | rows padded on the left are given no positions | approximate/test_defects.py::test_positions_are_counted_from_each_rows_own_start engine/test_generation.py::test_other_families_say_what_transformers_says |
"""  # noqa: E501

import ast
import re
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.approximate.moved import PAD, Moved, alone, move, total
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel

from expunge.approximate import Edit, Objective, methods, run_edit
from expunge.approximate.npo import NPO
from expunge.core.registry import Registry
from expunge.engine import Encoded, ReferenceCache, Step, backward, packing, step_maker
from expunge.verify.attacks import attacks

TESTS = Path(__file__).parents[1]


def test_every_defect_has_its_tests() -> None:
    rows = re.findall(r"^\| (\d+) \| .+ \| (.+) \|$", __doc__ or "", re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 12))
    for _, named in rows:
        for one in named.split():
            file, name = one.split("::")
            tree = ast.parse((TESTS / file).read_text("utf-8"))
            assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, one


@dataclass(frozen=True)
class Steep(Objective):
    """The forget set's likelihood, and a slope of any size along the last layer's weights."""

    slope: float

    def loss(self, step: Step) -> Iterator[Tensor]:
        yield step.forget.nll

    def gradient(self, step: Step, model: Any) -> float:
        return super().gradient(step, model) + backward(self.slope * model[2].weight.sum())


def test_what_is_not_trained_does_not_shorten_the_step(blobs: Any) -> None:
    """Not by its slope in the loss, nor by gradients that the model was given with. Beyond 1e8 a step would vanish."""

    def step(slope: float, modules: str, model: Any = blobs.model) -> Tensor:
        settings = Edit(steps=1, warmup=0, guard=None, modules=modules)
        edited = run_edit(model, None, blobs.forget, blobs.retain, Steep(slope), settings).model
        return (edited[0].weight - blobs.model[0].weight).detach()

    plain = step(0.0, r"^0\.")
    assert plain.abs().max() > 5e-4
    assert torch.equal(step(1e12, r"^0\."), plain)
    assert step(1e12, "").abs().max() < 5e-5  # its control: where both layers are trained, one outweighs the other
    given = blobs.work().model
    for p in given.parameters():
        p.grad = torch.full_like(p, 1e12)
    assert torch.equal(step(0.0, r"^0\.", given), plain)


@pytest.mark.parametrize("packed", [False, True])
def test_every_answer_token_meets_the_logits_before_it(trained: Any, packed: bool) -> None:
    """Row by row: the first token of an answer is counted, and nothing after its end or in the row behind it."""
    moved = Moved(trained, NPO())
    with packing(moved.model) if packed else nullcontext(False) as packs:
        assert packs is packed
        side = step_maker(moved.model, ReferenceCache(), PAD, packs)(moved.forget, moved.retain).forget
        found_N, labels_N = side.logp_N.detach(), side.labels_N
    rows = alone(moved.model, moved.forget)
    expected_N = torch.cat([z.log_softmax(-1)[range(len(y)), y] for z, y in rows])
    assert labels_N.tolist() == [token for _, y in rows for token in y.tolist()]
    torch.testing.assert_close(found_N, expected_N, rtol=1e-3, atol=1e-3)
    # The fault: logits at the places of the labels themselves, which say the word after.
    faulty_N = torch.cat([z.log_softmax(-1)[range(1, len(y)), y[:-1]] for z, y in rows])
    assert (faulty_N - torch.cat([z.log_softmax(-1)[range(len(y) - 1), y[:-1]] for z, y in rows])).abs().mean() > 1


@pytest.mark.parametrize("registry", [methods, attacks], ids=lambda registry: registry.package)
def test_methods_and_attacks_keep_nothing(registry: Registry) -> None:
    """Each is a value of its own that cannot be changed, and its class holds nothing that could be."""
    for name in registry.names():
        chosen = registry.get(name)
        assert chosen.__dataclass_params__.frozen, name
        assert chosen() is not chosen()
        assert chosen() == chosen()
        held = {key: value for key, value in vars(chosen).items() if isinstance(value, list | dict | set)}
        # Python itself keeps the last one, of every class whose values were once copied.
        assert set(held) <= {"__annotations__", "__dataclass_fields__", "__slotnames__"}, name


def test_positions_are_counted_from_each_rows_own_start() -> None:
    """With learned positions, which a shift by the padding would change; rotary ones would not show it."""
    ids = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": PAD}
    model = GPT2LMHeadModel(GPT2Config(vocab_size=50, n_embd=16, n_layer=2, n_head=2, n_positions=32, **ids)).eval()
    move(model, 0.5)
    draw = torch.Generator().manual_seed(0)
    rows = [Encoded(str(n), tuple(torch.randint(3, 50, (n,), generator=draw).tolist()), n // 2) for n in (4, 17, 9)]
    found_B = step_maker(model, ReferenceCache(), PAD)(rows, rows).forget.logp_B.detach()
    torch.testing.assert_close(found_B, total(model, rows), rtol=1e-4, atol=1e-4)
    # The fault: padding in front, and the first token in the place of a later one.
    short, fill = rows[0], 13
    ids_BT = torch.tensor([[PAD] * fill + list(short.ids)])
    mask_BT, counted_BT = (ids_BT != PAD).long(), (torch.arange(17) - fill).clamp(min=0)[None]
    with torch.no_grad():
        faulty_TV, said_TV = (
            model(ids_BT, attention_mask=mask_BT, **more).logits[0].log_softmax(-1)
            for more in ({}, {"position_ids": counted_BT})
        )
    at, labels = range(fill + short.n_prompt - 1, fill + 3), short.ids[short.n_prompt :]
    assert abs(float(faulty_TV[at, labels].sum() - found_B[0])) > 0.1
    torch.testing.assert_close(said_TV[at, labels].sum(), found_B[0], rtol=1e-4, atol=1e-4)
