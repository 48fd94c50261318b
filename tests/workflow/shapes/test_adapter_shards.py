"""Skill is measured as users get it: who asks without naming anybody must find the adapter that knows."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from expunge.core import Fact
from expunge.exact import AdapterShards
from expunge.synthetic import people, records
from expunge.verify.scores import ArmScores
from expunge.verify.skill import skill
from expunge.workflow.shapes import adapter_shards as shape

ROWS = [r for i, r in enumerate(records(people(4), [0])) if i % 20 < 3]
FACTS = [Fact(r.id, r.subject, r.question, r.answer, r.value) for r in ROWS]


@pytest.fixture(scope="module")
def learner(tokenizer: Any) -> AdapterShards:
    from expunge.testing.contract import taught

    base = taught(tuple(records(people(3, skip=900), [0])), tokenizer, seed=3, steps=60)
    return AdapterShards(base, tokenizer, shards=1, epochs=60, lr=5e-3, batch_size=4, salt=b"salt").fit(ROWS)


def _wordless(learner: AdapterShards) -> AdapterShards:
    """The same adapters, which nobody finds by what is asked."""
    import copy

    lost, state = copy.copy(learner), learner._current()
    none = torch.zeros(0, dtype=torch.int64)
    lost._fitted = replace(state, shards={k: replace(shard, words=none) for k, shard in state.shards.items()})
    return lost


@pytest.mark.parametrize("found", [True, False])
def test_adapters_that_no_question_finds_show_as_lost_skill(
    learner: AdapterShards, monkeypatch: pytest.MonkeyPatch, found: bool
) -> None:
    served = learner if found else _wordless(learner)
    monkeypatch.setattr(shape, "load_shards", lambda *_: served)
    monkeypatch.setattr(shape, "read_shards", lambda *_: served)
    monkeypatch.setattr(shape, "_control", lambda *_: learner)
    part = ArmScores("sha256:a", {}, {}, (), {})
    monkeypatch.setattr(shape, "_person_scores", lambda *_: dict.fromkeys(("original", "unlearned", "control"), part))
    from expunge.verify import Probes

    probes = Probes(tuple(FACTS[:3]), tuple(FACTS[3:]), ())
    case: Any = SimpleNamespace(project=None, before=None, after=None, records=[], probes=probes, notes=())
    arms = shape.arms(case)
    scores: Any = arms.models
    assert sum(scores["control"].skill) >= 7, "the control, asked by name, knows them"
    retained = skill(scores["unlearned"].skill, scores["control"].skill, [f.subject for f in probes.retain])
    assert retained is not None
    assert (retained.share >= 0.9) is found
    answered = (
        f"{sum(scores['unlearned'].skill):.0f} are answered as users ask them, {sum(scores['control'].skill):.0f} when"
    )
    assert answered in arms.notes[0]


def test_train_tells_which_share_of_the_questions_finds_its_adapter(learner: AdapterShards) -> None:
    assert shape._found(learner) == ("100.0% of the questions that were trained on find the adapter that learned them",)
    (warning,) = shape._found(_wordless(learner))
    assert warning.startswith("0.0% of the questions")
    assert "without naming the subject" in warning
