from dataclasses import replace
from typing import Any

import pytest

from expunge.verify import Probes
from expunge.verify.attacks._target import Target
from expunge.verify.attacks.unrelated_finetune import UnrelatedFinetune


def test_it_shows_nobody_whom_the_probes_ask_about(
    trained: Any, probes: Probes, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Any] = []

    def watch(target: Target, text: Any, *_: Any) -> None:
        shown.extend(text)

    monkeypatch.setattr("expunge.verify.attacks._finetune.finetune", watch)
    UnrelatedFinetune(sweep=((1e-4, (5,)),)).run(Target(trained.model, trained.tokenizer), probes)
    asked = (*probes.forget, *probes.retain, *probes.unseen)
    assert len(shown) == 200
    assert not {f.subject for f in shown} & {f.subject for f in asked}
    assert not {f.question for f in shown} & {f.question for f in asked}


def test_it_needs_no_retained_facts_but_then_says_nothing_about_skill(trained: Any, probes: Probes) -> None:
    few = replace(probes, forget=probes.forget[:3], retain=())
    ran = UnrelatedFinetune(sweep=((1e-4, (2,)),)).run(Target(trained.model, trained.tokenizer), few)
    assert ran.retained == {}
    assert ran.scores == {"lr 0.0001 @ 2": [1.0, 1.0, 1.0]}
