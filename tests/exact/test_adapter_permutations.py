"""Permuted slices on groups of layers: stages that saw the data are dropped, the longest order that is left answers."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from expunge.core import Record, Route
from expunge.core.capability import CAPABILITY
from expunge.core.errors import InvalidParameter
from expunge.exact import AdapterShards
from expunge.exact._adapter.unit import Adapter
from expunge.synthetic import people, records

ROWS = [r for i, r in enumerate(records(people(12), [0])) if i % 20 < 2]
NAMES = list(dict.fromkeys(r.subject for r in ROWS))
SETTINGS: dict[str, Any] = {"shards": 1, "slices": 3, "permutations": 3, "rank": 2, "epochs": 3, "batch_size": 4}

IN_A_NEW_PROCESS = """
import json, sys
from expunge.core.capability import pin_capability
pin_capability()
from expunge.core import Record
from expunge.exact import AdapterShards
asked = json.load(sys.stdin)
rows = [Record(*r) for r in asked["rows"]]
print(json.dumps([AdapterShards(asked["base"], salt=b"salt", **p).fit(rows).digest() for p in asked["parameters"]]))
"""


@pytest.fixture(scope="module")
def make(llama: Any, tokenizer: Any) -> Any:
    return lambda **settings: AdapterShards(llama, tokenizer, salt=b"salt", **{**SETTINGS, **settings})


def slice_of(learner: AdapterShards) -> dict[str, int]:
    return {r.subject: k for k, part in enumerate(learner.records("shard-000")) for r in part}


def without(*subjects: str) -> list[Record]:
    return [r for r in ROWS if r.subject not in subjects]


def asked_again(learner: AdapterShards) -> dict[str, Any]:
    return {k: v for k, v in learner.parameters().items() if k not in ("kind", "base")}


def trained_layers(before: Adapter | None, after: Adapter) -> set[int]:
    """Layers whose adapter adds something in `after` that it did not add in `before`."""
    changed = set()
    for name, tensor in after.items():
        same = torch.equal(tensor, before[name]) if before else not ("lora_B" in name and tensor.any())
        if not same:
            changed.add(int(name.split(".layers.")[1].split(".")[0]))
    return changed


def test_each_stage_trains_one_group_of_layers_from_the_top(make: Any) -> None:
    learner = make().fit(ROWS)
    for line in learner._held[0].lines:
        assert [trained_layers(line[r - 1] if r else None, line[r]) for r in range(3)] == [{2}, {1}, {0}]


def test_every_order_begins_with_another_slice_and_a_stage_sees_no_later_one(make: Any) -> None:
    learner = make()
    learner._prepare()
    assert learner._recipe.orders() == [[0, 1, 2], [1, 2, 0], [2, 0, 1]]
    whole = learner.fit(ROWS)
    place = slice_of(whole)
    for b, order in enumerate(learner._recipe.orders()):
        fewer = make().fit(without(*(n for n in NAMES if place[n] == order[-1])))
        pairs = list(zip(whole._held[0].lines[b], fewer._held[0].lines[b], strict=True))
        for r, (x, y) in enumerate(pairs):
            assert all(torch.equal(x[k], y[k]) for k in x) == (r < 2)  # the last stage is the control


def test_a_deletion_drops_stages_without_training_and_equals_a_fit_of_the_truncated_recipe_in_a_new_process(
    make: Any, llama: Any, tokenizer: Any, tmp_path: Path
) -> None:
    from expunge.engine import save_model

    save_model(llama, tokenizer, tmp_path / "base")
    learner = make().fit(ROWS)
    place, before = slice_of(learner), [list(line) for line in learner._held[0].lines]
    who = next(n for n in NAMES if place[n] == 1)
    plan = learner.plan([who])
    assert (plan.route, plan.cost) == (Route.DROP, 0.0)
    assert plan.notes == ("shard-000 will know 2 of 3 slices until it is retrained",)
    steps: list[int] = []
    deletion = learner.forget([who], progress=lambda *_: steps.append(1))
    assert steps == []
    kept = [1, 0, 2]  # slice 1 is second, first and third in the three orders
    assert asked_again(learner)["truncated"] == {"shard-000": kept}
    assert set(deletion.destroyed) == {
        *(f"shard-000/order-{b + 1}/slice-{r}" for b, n in enumerate(kept) for r in range(n + 1, 4)),
        "shard-000/words",
    }
    for line, was, n in zip(learner._held[0].lines, before, kept, strict=True):
        assert len(line) == n
        assert all(x is y for x, y in zip(line, was, strict=False))
    assert learner._held[0].serving is before[2][1]
    digest = learner.digest()
    parameters = [asked_again(learner), SETTINGS]
    digests = [digest, make().fit(without(who)).digest()]
    rows = [[r.id, r.subject, r.question, r.answer, r.value] for r in without(who)]
    given = json.dumps({"base": str(tmp_path / "base"), "rows": rows[::-1], "parameters": parameters})
    command, env = [sys.executable, "-c", IN_A_NEW_PROCESS], {**os.environ, **CAPABILITY}
    done = subprocess.run(command, input=given, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == digests
    assert learner.retrain().digest() == digests[1]
    assert "truncated" not in learner.parameters()


def test_when_every_order_has_lost_its_first_stage_the_shard_is_trained_again(make: Any) -> None:
    learner = make().fit(ROWS)
    place = slice_of(learner)
    who = [next(n for n in NAMES if place[n] == k) for k in range(3)]
    costs = [learner.forget([name]).cost for name in who]
    assert costs == [0.0, 0.0, 1.0]
    assert learner.digest() == make().fit(without(*who)).digest()


def test_two_requests_equal_one_in_either_order(make: Any) -> None:
    place = slice_of(make().fit(ROWS))
    who = [next(n for n in NAMES if place[n] == k) for k in (0, 2)]
    ends = set()
    for requests in ([who[:1], who[1:]], [who[1:], who[:1]], [who]):
        learner = make().fit(ROWS)
        for subjects in requests:
            learner.forget(subjects)
        ends.add(learner.digest())
    assert len(ends) == 1


def test_a_truncated_model_comes_back_and_goes_on(make: Any, llama: Any, tokenizer: Any, tmp_path: Path) -> None:
    learner = make().fit(ROWS)
    place = slice_of(learner)
    who = [next(n for n in NAMES if place[n] == k) for k in (0, 1)]
    learner.forget(who[:1])
    learner.save(tmp_path / "m")
    loaded = AdapterShards.load(tmp_path / "m", llama, tokenizer, records=without(who[0]), salt=b"salt")
    assert loaded.digest() == learner.digest()
    question = [ROWS[0].question]
    assert loaded.answer(question) == learner.answer(question)
    for model in (learner, loaded):
        model.forget(who[1:])
    assert loaded.digest() == learner.digest()
    assert len(list((tmp_path / "m").rglob("adapter_model.safetensors"))) == 3  # 0, 2 and 1 stages are left


def test_forgetting_leaves_no_file_that_was_trained_on_the_forgotten(make: Any, tmp_path: Path) -> None:
    learner = make().fit(ROWS, work=tmp_path)
    assert len(list(tmp_path.glob("*.safetensors"))) == 9
    who = next(n for n in NAMES if slice_of(learner)[n] == 0)
    learner.forget([who], work=tmp_path)
    left = {p.name for p in tmp_path.iterdir()}
    clean = tmp_path / "clean"
    clean.mkdir()
    AdapterShards(learner.base, learner.tokenizer, salt=b"salt", **asked_again(learner)).fit(without(who), work=clean)
    assert left == {p.name for p in clean.iterdir()}
    assert len(left) == 3


def test_what_is_promised_says_what_truncation_tells(make: Any) -> None:
    assert any("truncated" in a for a in make().promise().assumptions)
    assert not any("truncated" in a for a in make(permutations=0).promise().assumptions)


@pytest.mark.parametrize(
    "wrong",
    [
        {"permutations": 4},
        {"permutations": -1},
        {"slices": 4, "permutations": 1},
        {"truncated": {"shard-000": [1, 2]}},
        {"truncated": {"shard-000": [0, 0, 0]}},
        {"permutations": 0, "truncated": {"shard-000": [1]}},
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(make: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameter):
        make(**wrong).fit(ROWS)
