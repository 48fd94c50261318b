from dataclasses import replace
from typing import Any

import pytest

from expunge.verify import Probes
from expunge.verify.attacks._finetune import held_back
from expunge.verify.attacks._target import CannotRun, Target
from expunge.verify.attacks.retain_finetune import RetainFinetune


def test_nothing_that_is_asked_is_shown(trained: Any, probes: Probes, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    def watch(target: Target, text: Any, *_: Any) -> None:
        shown.extend(f.id for f in text)

    monkeypatch.setattr("expunge.verify.attacks._finetune.finetune", watch)
    RetainFinetune().run(Target(trained.model, trained.tokenizer), probes)
    assert set(shown) <= {f.id for f in probes.retain}
    assert not set(shown) & {f.id for f in (*probes.forget, *held_back(probes)[0])}
    assert len(shown) == 50


def test_without_retained_facts_it_cannot_run(trained: Any, probes: Probes) -> None:
    with pytest.raises(CannotRun, match="no retained facts"):
        RetainFinetune().run(Target(trained.model, trained.tokenizer), replace(probes, retain=()))
