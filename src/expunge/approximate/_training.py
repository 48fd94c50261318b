"""A stage is trained: its alternates are drawn, the original model's quantities computed, then the loop runs under a guard."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

from expunge.approximate._alternate import Alternates, alternates
from expunge.approximate._draws import Draw
from expunge.approximate._guard import guard_of
from expunge.approximate._material import Material
from expunge.approximate._stage import Stage
from expunge.approximate._statistics import batch_statistics
from expunge.approximate._store import Descent
from expunge.approximate._trainable import first_trained, trained_alone
from expunge.engine import (
    ArrayReferences,
    ReferenceCache,
    Resume,
    Step,
    Trunk,
    array_step_maker,
    digest_model,
    own,
    packing,
    pad_id,
    step_maker,
    train,
)


def train_stage(stage: Stage, material: Material, resume: Resume | None) -> Descent:
    """Change the stage's model; what it came to in this process, which reads its own part of every draw."""
    objective, model, noted = stage.objective, stage.model, len(material.notes)
    draws = [Draw(own(forget), own(retain), epoch) for forget, retain, epoch in stage.draws]
    alternate = alternates(stage, material)
    depth = len(Trunk.of(model).blocks) if material.text else 0
    with trained_alone(model, objective, depth, material.settings.modules):
        guard = guard_of(stage, material)
        with packing(model) if material.text else nullcontext(False) as packs:
            make = _step_maker(stage, draws, alternate, material, packs)

            def loss_at(k: int) -> float:
                draw = draws[k]
                step = make(draw.forget, draw.retain, alternate.of(draw), k, stage.steps, draw.epoch)
                with batch_statistics(model) if stage.anew else nullcontext():
                    return objective.gradient(step, model)

            losses = train(
                list(model.parameters()),
                loss_at,
                stage.steps,
                stage.schedule,
                resume=replace(resume, beside=guard.write) if resume and guard else resume,
                progress=material.progress,
                say=partial(material.track, stage.name) if material.track else None,
                watch=guard,
                mask=stage.mask,
            )
    run = draws[: guard.ended if guard else stage.steps]
    notes = [*material.notes[noted:], *(guard.notes if guard else [])]
    return Descent(losses, notes, sum(len(draw.forget) + len(draw.retain) for draw in run))


def _step_maker(
    stage: Stage, draws: Sequence[Draw], alternate: Alternates, material: Material, packs: bool
) -> Callable[..., Step]:
    """Makes what the objective sees of a draw, with what it needs of the model as it is now."""
    objective, model = stage.objective, stage.model
    sides = {
        "forget": _unique(row for draw in draws for row in draw.forget),
        "retain": _unique(row for draw in draws for row in draw.retain),
        "alternate": list(alternate.rows.values()),
    }
    if not material.text:
        references = ArrayReferences()
        references.fill(objective.needs, model, sides)
        return array_step_maker(model, references)
    pad, block = pad_id(material.tokenizer), objective.block(len(Trunk.of(model).blocks))
    cache = ReferenceCache(pad, material.cache, digest_model(model) if material.cache else "")
    cache.fill(objective.needs, model, sides, block, first_trained(model))
    return step_maker(model, cache, pad, packs)


def _unique(rows: Iterator[Any]) -> list[Any]:
    return list({row.id: row for row in rows}.values())
