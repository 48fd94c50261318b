import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.utils import parameters_to_vector

from expunge.approximate._draws import passes
from expunge.approximate._edit import _copied, run_edit
from expunge.approximate._fresh import fresh
from expunge.approximate._settings import Edit
from expunge.approximate.gradient_ascent import GradientAscent
from expunge.approximate.npo import NPO
from expunge.approximate.rmu import RMU
from expunge.approximate.undo import Undo
from expunge.core.errors import EmptyForgetSet, InvalidData, InvalidParameter
from expunge.engine import Encoded, collate, digest_model, encode, mean_nll
from expunge.testing.toys import toy_llama

SETTINGS = Edit(steps=6, warmup=1, forget_batch=4, retain_batch=4, every=2, guard=0.1)


def edit(given: Any, settings: Edit = SETTINGS, **rest: Any) -> str:
    edited = run_edit(given.model, given.tokenizer, given.forget, given.retain, NPO(), settings, **rest)
    return digest_model(edited.model)


@pytest.fixture
def interrupted(trained: Any, tmp_path: Path) -> Path:
    """The checkpoint of an edit that was stopped at its fourth step."""
    folder = tmp_path / "edit"

    def stop(done: int, _total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        edit(trained, folder=folder, progress=stop)
    assert list(folder.glob("*.part"))
    return folder


def test_a_stopped_edit_goes_on_to_the_same_bits(trained: Any, interrupted: Path) -> None:
    steps: list[int] = []
    expected = edit(trained)
    assert edit(trained, folder=interrupted, progress=lambda done, _: steps.append(done)) == expected
    assert steps == [5, 6]


def test_the_checkpoint_of_another_edit_is_not_continued(trained: Any, interrupted: Path) -> None:
    other = replace(SETTINGS, seed=1)
    assert edit(trained, other, folder=interrupted) == edit(trained, other)


def test_another_seed_draws_other_rows(trained: Any) -> None:
    assert edit(trained) != edit(trained, replace(SETTINGS, seed=1))


def test_sets_that_cannot_be_told_apart_are_refused(trained: Any) -> None:
    forget, retain = list(trained.forget[:3]), list(trained.retain[:3])
    twin = replace(retain[1], id=retain[0].id)
    cases: list[tuple[Any, Any, type[Exception]]] = [
        ([], retain, EmptyForgetSet),
        (forget, [], InvalidData),
        (forget, [*retain, replace(forget[0], id="new")], InvalidData),
        ([*forget, forget[0]], retain, InvalidData),
        (forget, [retain[0], twin], InvalidData),
    ]
    for f, r, error in cases:
        with pytest.raises(error):
            run_edit(trained.model, trained.tokenizer, f, r, NPO(), SETTINGS)


@pytest.mark.parametrize("wrong", ["steps", "forget_batch", "retain_batch", "threads"])
def test_settings_out_of_range_are_refused(wrong: str) -> None:
    with pytest.raises(InvalidParameter):
        Edit(**{wrong: 0})


def changed(before: Any, after: Any) -> set[str]:
    old, new = before.state_dict(), after.state_dict()
    return {name for name in old if not torch.equal(old[name], new[name])}


def run(given: Any, method: Any, **settings: Any) -> Any:
    asked = {"steps": 6, "warmup": 1, "forget_batch": 8, "retain_batch": 8, **settings}
    return run_edit(given.model, given.tokenizer, given.forget, given.retain, method, Edit(**asked))


def test_checkpointed_activations_train_every_weight_as_kept_ones_do(trained: Any) -> None:
    kept, checkpointed = (run(trained, NPO(), checkpointing=c).model for c in (False, True))
    assert changed(trained.model, checkpointed) == changed(trained.model, kept) == set(kept.state_dict())
    for one, other in zip(kept.parameters(), checkpointed.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("lora", [0, 4])
def test_checkpointing_keeps_less_for_the_way_back(trained: Any, lora: int) -> None:
    """Of what a pass saves, in bytes; the control is the same pass without checkpointing."""

    def saved(checkpointing: bool) -> int:
        model, kept = _copied(trained.model, Edit(checkpointing=checkpointing, lora=lora)), [0]

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            kept[0] += tensor.numel() * tensor.element_size()
            return tensor

        rows = encode(trained.tokenizer, trained.forget)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
            mean_nll(model, collate(rows[:8]))
        assert not any(isinstance(m, torch.nn.Dropout) and m.training for m in model.modules())
        return kept[0]

    assert saved(True) < 0.6 * saved(False)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_adapters_are_trained_and_merged(trained: Any, checkpointing: bool) -> None:
    edited = run(trained, NPO(), lora=4, lr=5e-3, checkpointing=checkpointing)
    assert type(edited.model) is type(trained.model)
    touched = changed(trained.model, edited.model)
    blocks = {name for name in trained.model.state_dict() if "_proj" in name}
    assert touched == blocks  # every linear map of the blocks; neither embeddings nor norms
    assert edited.losses[-1] < edited.losses[0]


def test_only_the_modules_that_are_named_are_trained(trained: Any) -> None:
    edited = run(trained, NPO(), modules=r"layers\.1\.mlp").model
    assert changed(trained.model, edited) == {n for n in trained.model.state_dict() if "layers.1.mlp" in n}
    with pytest.raises(InvalidParameter, match="no trainable"):
        run(trained, NPO(), modules="nothing is called so")


def test_half_precision_is_trained_in_half_precision(trained: Any) -> None:
    half = replace(trained, model=copy.deepcopy(trained.model).to(torch.bfloat16))
    edited = run(half, NPO(), lr=1e-2, guard=0)
    assert {p.dtype for p in edited.model.parameters()} == {torch.bfloat16}
    assert changed(half.model, edited.model)


def test_small_steps_are_not_rounded_away_in_half_precision(trained: Any) -> None:
    """At a rate as for large models most single steps are smaller than half precision can tell."""
    half = replace(trained, model=copy.deepcopy(trained.model).to(torch.bfloat16))
    whole = replace(trained, model=copy.deepcopy(half.model).float())
    ends = [run(given, NPO(), lr=3e-5, steps=40, guard=0).model.float() for given in (half, whole)]
    start, low, full = (parameters_to_vector(m.parameters()) for m in (whole.model, *ends))
    way, far = low - start, full - start
    assert torch.dot(way, far) / (way.norm() * far.norm()) > 0.9
    assert 0.9 < way.norm() / far.norm() < 1.1


@pytest.mark.parametrize("other", ["method", "inner", "model", "rows", "rate"])
def test_what_another_edit_left_in_the_folder_is_not_used(trained: Any, tmp_path: Path, other: str) -> None:
    """Neither its steps, nor the state its guard kept, nor its finished stages."""

    def stop(done: int, _total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    before = {
        "method": (GradientAscent(), trained, SETTINGS),
        "inner": (Undo(inner=GradientAscent()), trained, SETTINGS),
        "model": (NPO(), replace(trained, model=toy_llama(len(trained.tokenizer), 64, 2)), SETTINGS),
        "rows": (NPO(), replace(trained, forget=trained.forget[:20]), SETTINGS),
        "rate": (NPO(), trained, replace(SETTINGS, lr=5e-4)),
    }
    method, given, settings = before[other]
    settings = replace(settings, guard=0.0001, guard_every=2)
    with pytest.raises(KeyboardInterrupt):
        run_edit(
            given.model, given.tokenizer, given.forget, given.retain, method, settings, folder=tmp_path, progress=stop
        )
    ours = Undo() if other == "inner" else NPO()
    again, clean = (
        run_edit(trained.model, trained.tokenizer, trained.forget, trained.retain, ours, SETTINGS, folder=folder)
        for folder in (tmp_path, None)
    )
    assert digest_model(again.model) == digest_model(clean.model)
    assert again.losses == clean.losses  # every step was run


def test_notes_and_rows_of_a_resumed_edit_are_those_of_a_whole_one(trained: Any, interrupted: Path) -> None:
    given = trained
    again, whole = (
        run_edit(given.model, given.tokenizer, given.forget, given.retain, NPO(), SETTINGS, folder=folder)
        for folder in (interrupted, None)
    )
    assert (again.rows_trained, again.notes) == (whole.rows_trained, whole.notes)


def test_a_classifier_that_keeps_a_mean_of_its_data_is_not_made_anew() -> None:
    """The control: one that keeps nothing, or running means that are made anew, is."""

    class Keeps(torch.nn.Module):
        def __init__(self, means: torch.Tensor | None) -> None:
            super().__init__()
            self.line, self.norm = torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2)
            self.norm.running_mean.fill_(7.0)
            if means is not None:
                self.register_buffer("means", means)

    with pytest.raises(InvalidParameter, match="means"):
        fresh(Keeps(torch.ones(2)), text=False, seed=0)
    assert fresh(Keeps(None), text=False, seed=0).norm.running_mean.tolist() == [0.0, 0.0]


def test_it_ends_once_enough_is_forgotten(trained: Any) -> None:
    edited = run(trained, GradientAscent(), steps=40, until=0.5, guard_every=2, guard=0)
    assert len(edited.losses) < 40
    assert any("of what the forget rows tell is still right" in note for note in edited.notes)


def test_a_frozen_prefix_that_is_not_run_changes_nothing(trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    method = RMU(layer=1.0)
    monkeypatch.setattr(RMU, "trained_blocks", lambda self, depth: range(1, 2))
    skipped = run(trained, method)
    monkeypatch.setattr("expunge.approximate._training.first_trained", lambda model: 0)
    whole = run(trained, method)
    assert changed(trained.model, skipped.model) == changed(trained.model, whole.model) != set()
    start, one, other = (parameters_to_vector(m.parameters()) for m in (trained.model, skipped.model, whole.model))
    assert (one - other).norm() <= 1e-3 * (one - start).norm() != 0


def test_batches_of_like_lengths_hold_every_row_once_and_less_padding() -> None:
    rows = [Encoded(str(i), tuple(range(4 + (i * 37) % 60)), 2) for i in range(128)]

    def batches(bucket: bool) -> list[list[Any]]:
        return [kept for kept, _ in passes(rows, 8, 16, b"secret", "forget", bucket)]

    def padded(found: list[list[Any]]) -> int:
        return sum(max(len(r.ids) for r in batch) * len(batch) for batch in found)

    for bucket in (False, True):
        assert sorted(r.id for batch in batches(bucket) for r in batch) == sorted(r.id for r in rows)
    assert padded(batches(True)) < 0.75 * padded(batches(False))
    lengths = [max(len(r.ids) for r in batch) for batch in batches(True)]
    assert lengths != sorted(lengths)  # short and long batches take turns
