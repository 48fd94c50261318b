import contextlib
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from expunge.approximate import Edit, run_edit
from expunge.approximate._guard import Guard
from expunge.approximate._skill import Skill
from expunge.approximate.gradient_ascent import GradientAscent
from expunge.core.digested import find_digested
from expunge.core.errors import InvalidParameter, UnreadableModel
from expunge.engine import digest_model

STEPS = 20


class Falling:
    """A model whose retained accuracy falls by a tenth of what it was at every step, from the third on."""

    def __init__(self) -> None:
        self.model, self.step = nn.Linear(1, 1, bias=False), 0

    def skill(self) -> Skill:
        return skill(1.0 if self.step < 3 else 1.0 - 0.1 * self.step)

    def advance(self) -> None:
        self.step += 1
        with torch.no_grad():
            self.model.weight.fill_(float(self.step))


def skill(tokens: float, chance: float = 0.0, answers: float | None = None) -> Skill:
    return Skill(tokens=tokens, n_tokens=40, chance=chance, answers=answers, n_answers=8)


def guarded(
    falling: Falling, least: float, every: int = 1, folder: Path | None = None, start: float = 1.0, steps: int = STEPS
) -> Guard:
    return Guard(falling.model, steps, falling.skill, lambda: 1.0, skill(start), least, None, every, folder)


def run(falling: Falling, guard: Guard, steps: int = STEPS) -> int:
    for done in range(1, steps + 1):
        falling.advance()
        if guard(done):
            return done
    return 0


def test_it_goes_back_to_the_last_good_state_and_says_so() -> None:
    falling = Falling()
    guard = guarded(falling, least=0.65)
    assert run(falling, guard) == 6
    assert falling.model.weight.item() == 3.0
    assert guard.notes == ["retained tokens right fell from 100% to 40% at step 6; gone back to step 3 and ended there"]


def test_a_low_point_that_the_retained_rows_come_back_from_ends_nothing() -> None:
    class Dipping(Falling):
        def skill(self) -> Skill:
            return skill([1.0, 1.0, 0.6, 0.3, 0.7, 0.9][self.step])

    dipping = Dipping()
    guard = guarded(dipping, least=0.8, steps=5)
    assert run(dipping, guard, steps=5) == 0
    assert dipping.model.weight.item() == 5.0
    assert guard.notes == []


def test_the_end_of_a_run_is_judged_whether_it_is_rising_or_not() -> None:
    class Rising(Falling):
        def skill(self) -> Skill:
            return skill([1.0, 1.0, 0.4, 0.5, 0.7][self.step])

    rising = Rising()
    assert run(rising, guarded(rising, least=0.8, steps=4), steps=4) == 4
    assert rising.model.weight.item() == 1.0


def test_a_model_wrecked_before_anything_was_kept_is_refused() -> None:
    falling = Falling()
    with pytest.raises(InvalidParameter, match="lower the learning rate"):
        run(falling, guarded(falling, least=0.65, every=5))


def test_the_last_step_is_looked_at_whatever_the_interval() -> None:
    falling = Falling()
    assert run(falling, guarded(falling, 0.65, every=3, steps=4), steps=4) == 4
    assert falling.model.weight.item() == 3.0


def test_what_another_process_kept_is_gone_back_to(tmp_path: Path) -> None:
    falling = Falling()
    before = guarded(falling, least=0.65, folder=tmp_path)
    assert run(falling, before, steps=3) == 0
    before.write()
    assert (
        run(falling, guarded(falling, 0.65, folder=tmp_path, start=2.0), steps=4) == 3
    )  # a new process, at once too low
    assert falling.model.weight.item() == 3.0


def test_nothing_is_written_but_beside_a_checkpoint(tmp_path: Path) -> None:
    falling = Falling()
    guard = guarded(falling, least=0.65, folder=tmp_path)
    run(falling, guard, steps=3)
    assert not list(tmp_path.iterdir())
    guard.write()
    assert list(tmp_path.iterdir()) == [find_digested(tmp_path / "good.safetensors")]


@pytest.mark.parametrize("name", ["good.safetensors", "low.json"])
def test_of_a_state_that_was_damaged_nothing_goes_on(tmp_path: Path, name: str) -> None:
    """Without it the run would go on, and end elsewhere."""
    falling = Falling()
    before = guarded(falling, least=0.65, folder=tmp_path)
    run(falling, before, steps=4)
    before.write()
    found = find_digested(tmp_path / name)
    assert found is not None
    data = found.read_bytes()
    found.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(UnreadableModel, match=f"{name} in .* is damaged"):
        run(falling, guarded(falling, least=0.65, folder=tmp_path, start=2.0), steps=4)


def test_gradient_ascent_is_stopped_before_the_collapse_and_only_by_the_guard(trained: Any) -> None:
    def right(guard: float) -> tuple[float, tuple[str, ...]]:
        settings = Edit(lr=1e-3, steps=40, warmup=0, forget_batch=16, retain_batch=16, guard=guard, guard_every=2)
        method, given = GradientAscent(), trained
        edited = run_edit(given.model, given.tokenizer, given.forget, given.retain, method, settings)
        from expunge.approximate._work import Work

        work = Work(edited.model, given.tokenizer, given.forget, given.retain, settings)
        return work.accuracy(work.retain), edited.notes

    kept, notes = right(0.8)
    wrecked, silent = right(0.0)
    assert kept > 0.75
    assert any("gone back" in note for note in notes)
    assert wrecked < 0.4
    assert silent == ()


@pytest.mark.parametrize("stop_at", [7, 13])
def test_stopped_in_a_low_and_started_again_it_ends_in_the_same_bits(
    stop_at: int, trained: Any, tmp_path: Path
) -> None:
    """Of a run that sinks for good and goes back: what it may go back to, and how low it was, are there again."""
    settings = Edit(lr=1e-3, steps=40, warmup=0, forget_batch=16, retain_batch=16, guard=0.9, guard_every=2, every=3)
    given = (trained.model, trained.tokenizer, trained.forget, trained.retain, GradientAscent(), settings)

    def stop(done: int, _total: int) -> None:
        if done == stop_at:
            raise KeyboardInterrupt

    whole = run_edit(*given)
    assert any("gone back" in note for note in whole.notes)
    with contextlib.suppress(KeyboardInterrupt):
        run_edit(*given, folder=tmp_path / "e", progress=stop)
    again = run_edit(*given, folder=tmp_path / "e")
    assert again.notes == whole.notes
    assert digest_model(again.model) == digest_model(whole.model)
