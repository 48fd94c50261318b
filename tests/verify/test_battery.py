import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from expunge.core.errors import UnknownMethod
from expunge.verify import Arm, Probes, attack_arm
from expunge.verify.attacks.direct import Direct

BATTERY = "quick"


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often the plain question was really asked."""
    asked: list[int] = []
    run = Direct.run
    monkeypatch.setattr(Direct, "run", lambda self, *args: asked.append(1) or run(self, *args))
    return asked


def test_an_arm_is_attacked_once(trained: Any, probes: Probes, tmp_path: Path, counted: list[int]) -> None:
    arm = Arm.of(trained.model, trained.tokenizer)
    first = attack_arm(arm, probes, BATTERY, tmp_path)
    again = attack_arm(arm, probes, BATTERY, tmp_path)
    assert len(counted) == 1
    assert (again.scores, again.skill, again.failed) == (first.scores, first.skill, first.failed)
    assert first.failed == {}
    assert set(first.scores) == {"direct", "probability", "paraphrase", "quantise", "linear_probe", "membership"}


@pytest.mark.parametrize("change", ["one bit", "precision", "tokenizer", "probes"])
def test_a_changed_model_is_never_judged_by_old_scores(
    trained: Any, probes: Probes, tmp_path: Path, counted: list[int], change: str
) -> None:
    model, tokenizer = copy.deepcopy(trained.model), copy.deepcopy(trained.tokenizer)
    attack_arm(Arm.of(model, tokenizer), probes, BATTERY, tmp_path)
    match change:
        case "one bit":
            with torch.no_grad():
                model.model.norm.weight.view(torch.int32)[0] ^= 1
        case "precision":
            model.bfloat16()
        case "tokenizer":
            tokenizer.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %} Answer:"
        case "probes":
            probes = Probes(probes.forget[1:], probes.retain, probes.unseen)
    attack_arm(Arm.of(model, tokenizer), probes, BATTERY, tmp_path)
    assert len(counted) == 2


def test_scores_cut_short_by_a_crash_are_computed_again(
    trained: Any, probes: Probes, tmp_path: Path, counted: list[int]
) -> None:
    arm = Arm.of(trained.model, trained.tokenizer)
    first = attack_arm(arm, probes, BATTERY, tmp_path)
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:20])
    assert attack_arm(arm, probes, BATTERY, tmp_path).scores == first.scores
    assert len(counted) == 2


def test_what_cannot_run_is_listed_with_its_reason(trained: Any, probes: Probes) -> None:
    bare = Probes(probes.forget[:1], ())
    scores = attack_arm(Arm.of(trained.model, trained.tokenizer), bare, "standard")
    assert {"linear_probe", "logit_lens", "retain_finetune", "relearn", "relearn_lora", "adjacent"} < set(scores.failed)
    assert {"membership", "membership_reference", "direction_ablation"} < set(scores.failed)
    assert all(scores.failed.values())
    assert not set(scores.failed) & set(scores.scores)
    assert scores.skill == ()


def test_an_unknown_battery_is_refused(trained: Any, probes: Probes) -> None:
    with pytest.raises(UnknownMethod, match="available: quick, short, standard, deep"):
        attack_arm(Arm.of(trained.model, trained.tokenizer), probes, "everything")
