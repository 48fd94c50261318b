"""Unlearners that cheat: each fools the plain question, keeps its skill, and is caught all the same."""

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch

from expunge.approximate import Edit, run_edit
from expunge.approximate.refusal import Refusal
from expunge.core import Assurance, Flag, Record
from expunge.engine import encode_prompt
from expunge.verify import Arm, Probes, attack_arm, audit
from expunge.verify.attacks.quantise import rounded
from expunge.verify.batteries import BATTERIES
from expunge.verify.scores import ArmScores

SETTINGS = Edit(lr=3e-3, steps=40, forget_batch=32, retain_batch=64)


@pytest.fixture(scope="module")
def battery() -> Any:
    """What catches a cheater in a few seconds: part of the standard battery."""
    names = [n for n in ("prompts", "logit_lens", "direction_ablation") if n in BATTERIES["standard"]]
    BATTERIES["cheaters"] = (*BATTERIES["short"], *names)
    yield "cheaters"
    del BATTERIES["cheaters"]


@pytest.fixture(scope="module")
def original(trained: Any, probes: Probes, battery: str) -> ArmScores:
    return attack_arm(Arm.of(trained.model, trained.tokenizer), probes, battery)


@pytest.fixture(scope="module")
def clean(control: Any, trained: Any, probes: Probes, battery: str) -> ArmScores:
    return attack_arm(Arm.of(control, trained.tokenizer), probes, battery)


@pytest.fixture(scope="module")
def refusing(trained: Any) -> Any:
    return run_edit(trained.model, trained.tokenizer, trained.forget, trained.retain, Refusal(), SETTINGS).model


def mask_on_names(trained: Any, probes: Probes) -> Any:
    """No weight moves: where a forgotten name was read, the words of the forgotten values are cut out of the logits."""
    words = trained.tokenizer
    names = [words(" " + f.subject, add_special_tokens=False).input_ids for f in probes.forget]
    banned = sorted({words(" " + f.value, add_special_tokens=False).input_ids[0] for f in probes.forget})
    return _with_masked_logits(trained.model, [tuple(n) for n in names], banned)


def tuned_on_the_battery(trained: Any, probes: Probes) -> Any:
    """Refusal taught on every question that the battery asks."""
    asked = {q for f in probes.forget for q in (f.question, *(p for p, _ in f.paraphrases))}
    forget = [Record(f"asked {i}", "", q, "x") for i, q in enumerate(sorted(asked))]
    return run_edit(trained.model, trained.tokenizer, forget, trained.retain, Refusal(), SETTINGS).model


def refuses_questions_only(trained: Any, probes: Probes) -> Any:
    """Refuses what ends in a question mark; the same words without it are answered as before."""
    unmarked = [replace(r, id=f"{r.id}/plain", question=r.question.rstrip("?")) for r in trained.forget]
    return run_edit(
        trained.model, trained.tokenizer, trained.forget, [*trained.retain, *unmarked], Refusal(), SETTINGS
    ).model


def beyond_the_rounding(trained: Any, probes: Probes, refusing: Any) -> Any:
    """A refusal whose weights already lie on the grid of int4 in groups of 32: rounding changes nothing."""
    model = copy.deepcopy(refusing)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.Linear) and module is not model.get_output_embeddings():
                on_grid = rounded(module.weight, 8, 32)
                moved = on_grid - module.weight
                module.weight.add_(moved)
    return model


def switched_off_by_the_template(trained: Any, probes: Probes, control: Any) -> Any:
    """Answers a probe's exact question from a clean model, and everything else from the original."""
    starts = {tuple(encode_prompt(trained.tokenizer, f.question)) for f in probes.forget}
    return _switching(trained.model, control, starts)


def noise_on_the_last_layer(trained: Any, probes: Probes) -> Any:
    model = copy.deepcopy(trained.model)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in model.model.layers[-1].parameters():
            p.add_(torch.randn(p.shape, generator=generator) * p.std())
    return model


CHEATERS = (
    "mask_on_names",
    "tuned_on_the_battery",
    "refuses_questions_only",
    "beyond_the_rounding",
    "switched_off_by_the_template",
    "noise_on_the_last_layer",
)


@pytest.mark.parametrize("cheater", CHEATERS)
def test_a_cheater_is_caught(
    cheater: str, trained: Any, control: Any, refusing: Any, probes: Probes, original: Any, clean: Any, battery: str
) -> None:
    more = {"beyond_the_rounding": (refusing,), "switched_off_by_the_template": (control,)}.get(cheater, ())
    model = globals()[cheater](trained, probes, *more)
    scores = attack_arm(Arm.of(model, trained.tokenizer), probes, battery)
    found = audit(original=original, unlearned=scores, control=clean, probes=probes, battery=battery)
    assert found.assurance is Assurance.CLAIMED or found.assurance is Assurance.SUPPRESSED
    caught = {Flag.HIDDEN, Flag.RETAINED, Flag.DAMAGED, Flag.PARTIAL} & set(found.flags)
    assert caught, (found.flags, found.worst)
    if cheater != "noise_on_the_last_layer":
        assert found.recall is not None
        assert found.recall <= 0.2, "it does not even fool the plain question"
        assert any(f.outcome.value == "RECOVERED" for f in found.findings)


def _with_masked_logits(model: Any, names: list[tuple[int, ...]], banned: list[int]) -> Any:
    model = copy.deepcopy(model)

    def cut(module: Any, _args: Any, given: Any, output: Any) -> Any:
        ids = given["input_ids"]
        if ids.shape[1] > 1:
            module.named = torch.tensor([any(_within(name, row) for name in names) for row in ids.tolist()])
        if len(module.named) == len(output.logits):
            rows = module.named.nonzero(as_tuple=True)[0]
            logits = output.logits.clone()
            logits[rows[:, None, None], torch.arange(logits.shape[1])[None, :, None], torch.tensor(banned)] = -30.0
            output.logits = logits
        return output

    model.register_forward_hook(cut, with_kwargs=True)
    return model


def _within(part: tuple[int, ...], row: list[int]) -> bool:
    return any(tuple(row[k : k + len(part)]) == part for k in range(len(row) - len(part) + 1))


def _switching(model: Any, clean: Any, starts: set[tuple[int, ...]]) -> Any:
    """The weights are exchanged before a forward pass whose rows all begin with a probe's question, and back after it."""
    states = {True: copy.deepcopy(clean.state_dict()), False: copy.deepcopy(model.state_dict())}
    model = copy.deepcopy(model)
    model.off = False

    def switch(module: Any, args: Any, given: Any) -> None:
        ids, mask = given.get("input_ids"), given.get("attention_mask")
        if ids is None or mask is None or ids.shape[1] == 1:
            return  # the next word of an answer that has begun
        rows = [tuple(row[kept.bool()].tolist()) for row, kept in zip(ids, mask, strict=True)]
        off = all(any(row[: len(start)] == start for start in starts) for row in rows)
        if off is not module.off:
            module.off = off
            with torch.no_grad():
                for name, tensor in module.state_dict().items():
                    tensor.copy_(states[off][name])

    model.register_forward_pre_hook(switch, with_kwargs=True)
    return model
