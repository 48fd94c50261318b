from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.utils import parameters_to_vector

from expunge.approximate import Edit, run_edit
from expunge.approximate._ties import ties
from expunge.approximate.npo import NPO
from expunge.approximate.spunge import Spunge, groups
from expunge.approximate.task_vector import TaskVector
from expunge.core.errors import InvalidData, InvalidParameter
from expunge.engine import digest_model, examples

SETTINGS = Edit(steps=6, warmup=1, forget_batch=8, retain_batch=8, guard=0.1)


def edited(given: Any, method: Any, forget: Any = None, settings: Edit = SETTINGS, **rest: Any) -> Any:
    forget = given.forget if forget is None else forget
    return run_edit(given.model, given.tokenizer, forget, given.retain, method, settings, **rest).model


def vector(model: Any) -> torch.Tensor:
    return parameters_to_vector(model.parameters()).detach()


@pytest.mark.parametrize("inner", [NPO(), TaskVector(lambda_=1.0)])
def test_one_group_untrimmed_is_the_inner_method(trained: Any, inner: Any) -> None:
    found_P = vector(edited(trained, Spunge(inner=inner, group=lambda _: "all", trim=1.0)))
    expected_P, start_P = vector(edited(trained, inner)), vector(trained.model)
    assert (expected_P - start_P).abs().max() > 1e-3
    torch.testing.assert_close(found_P, expected_P, rtol=0, atol=1e-7)  # start + (new - start) rounds


def test_every_group_starts_from_the_same_weights(trained: Any) -> None:
    """Three people unlearned by hand, one at a time, from the original; their differences merged."""
    start_P, people = vector(trained.model), list(dict.fromkeys(r.subject for r in trained.forget))
    parts = [[r for r in trained.forget if r.subject == who] for who in people]
    changes = [vector(edited(trained, NPO(), part)) - start_P for part in parts]
    found_P = vector(edited(trained, Spunge(trim=0.3, scale=0.5)))
    assert len(parts) == 3
    torch.testing.assert_close(found_P, start_P + 0.5 * ties(torch.stack(changes), 0.3), rtol=0, atol=1e-7)


def test_stopped_in_its_second_group_it_ends_in_the_same_bits(trained: Any, tmp_path: Path) -> None:
    settings, calls = replace(SETTINGS, every=2), list[int]()

    def stop(done: int, _total: int) -> None:
        calls.append(done)
        if len(calls) == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        edited(trained, Spunge(), settings=settings, folder=tmp_path / "e", progress=stop)
    calls.clear()
    again = edited(
        trained, Spunge(), settings=settings, folder=tmp_path / "e", progress=lambda done, _: calls.append(done)
    )
    assert digest_model(again) == digest_model(edited(trained, Spunge(), settings=settings))
    assert calls == [3, 4, 5, 6, 1, 2, 3, 4, 5, 6]  # the first group is not run again


def test_groups_by_subject_by_mapping_by_function_and_by_class(trained: Any) -> None:
    rows = trained.forget
    assert [len(part) for part in groups(rows, None)] == [20, 20, 20]
    half = {r.id: i % 2 for i, r in enumerate(rows)}
    assert groups(rows, half) == [list(rows[::2]), list(rows[1::2])]
    assert groups(rows, lambda r: r.id) == [[r] for r in rows]
    by_class = groups(examples(torch.zeros(4, 2), [1, 0, 1, 1]), None)
    assert [[e.y for e in part] for part in by_class] == [[1, 1, 1], [0]]
    with pytest.raises(InvalidData, match="1 of 60 forget rows are in no group"):
        groups(rows, {r.id: 0 for r in rows[1:]})


def test_adapters_are_refused(trained: Any) -> None:
    with pytest.raises(InvalidParameter, match="spunge works on the model's own weights"):
        edited(trained, Spunge(), settings=replace(SETTINGS, lora=2))


@pytest.mark.parametrize("wrong", [{"trim": 0.0}, {"trim": 1.1}, {"scale": 0.0}])
def test_refuses_parameters_out_of_range(wrong: Any) -> None:
    with pytest.raises(InvalidParameter):
        Spunge(**wrong)
