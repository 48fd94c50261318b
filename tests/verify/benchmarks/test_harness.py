"""The shape of the call to lm-evaluation-harness and of what it gives back, by a stand-in for the package."""

import json
import random
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from expunge.core.errors import InvalidData, InvalidParameter, MissingExtra
from expunge.verify import Arm
from expunge.verify.benchmarks import benchmarks
from expunge.verify.benchmarks._loading import Source
from expunge.verify.benchmarks.harness import MCQ_ONLY, Harness


def found(acc: float, kind: str = "multiple_choice") -> dict[str, Any]:
    """The keys of version 0.4.13 that are read here."""
    return {
        "results": {
            "wmdp": {"alias": "wmdp", "acc,none": acc, "acc_stderr,none": 0.01, "sample_len": 300},
            "wmdp_bio": {"alias": "bio", "acc,none": acc, "acc_stderr,none": "N/A", "sample_len": 100},
        },
        "group_subtasks": {"wmdp": ["wmdp_bio", "wmdp_cyber"], "wmdp_bio": []},
        "configs": {
            "wmdp_bio": {"dataset_path": "cais/wmdp", "dataset_name": "wmdp-bio", "output_type": kind},
            "wmdp_cyber": {"dataset_path": "cais/wmdp", "dataset_name": "wmdp-cyber", "output_type": "multiple_choice"},
        },
        "versions": {"wmdp_bio": 1, "wmdp_cyber": 1},
        "n-samples": {
            "wmdp_bio": {"original": 1273, "effective": 100},
            "wmdp_cyber": {"original": 1987, "effective": 200},
        },
        "higher_is_better": {"wmdp": {"acc": True}, "wmdp_bio": {"acc": True}},
    }


READ: list[tuple[str, str, str | None]] = []


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """A package that says what it was asked, and seeds everybody's randomness as the real one does."""
    asked: list[dict[str, Any]] = []

    def load_dataset(path: str, name: str, revision: str | None = None) -> None:
        READ.append((path, name, revision))

    READ.clear()

    def simple_evaluate(**arguments: Any) -> dict[str, Any]:
        asked.append(arguments)
        sys.modules["datasets"].load_dataset("cais/wmdp", name="wmdp-bio")  # as the package's tasks do
        random.seed(0)
        np.random.seed(0)
        torch.manual_seed(0)
        return found(0.6 if len(asked) == 1 else 0.5)

    names = ("lm_eval", "lm_eval.models", "lm_eval.models.huggingface", "datasets")
    package, models, huggingface, datasets = (ModuleType(n) for n in names)
    datasets.load_dataset = load_dataset  # type: ignore[attr-defined]
    package.simple_evaluate = simple_evaluate  # type: ignore[attr-defined]
    huggingface.HFLM = SimpleNamespace  # type: ignore[attr-defined]
    for module in (package, models, huggingface, datasets):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", lambda self, name: SimpleNamespace(sha="c0ffee"))
    return asked


@pytest.fixture
def arm(llama: Any, tokenizer: Any) -> Arm:
    return Arm(llama, tokenizer, "sha256:aa")


def test_it_is_in_the_registry() -> None:
    assert benchmarks.get("harness") is Harness


def test_the_call_has_the_shape_that_the_package_documents(calls: list[dict[str, Any]], arm: Arm) -> None:
    Harness(tasks=("wmdp", "mmlu"), batch_size=4).run(arm)
    (asked,) = calls
    assert asked["tasks"] == ["wmdp", "mmlu"]
    assert vars(asked["model"]) == {"pretrained": arm.model, "tokenizer": arm.tokenizer, "batch_size": 4}
    assert asked["limit"] is None
    assert asked["log_samples"] is False  # the texts of WMDP go nowhere


def test_numbers_come_with_their_errors_versions_and_commits(calls: list[dict[str, Any]], arm: Arm) -> None:
    result = Harness(tasks=("wmdp",)).run(arm, None, Arm(arm.model, arm.tokenizer, "sha256:bb"))
    group, bio = result["wmdp acc"], result["wmdp_bio acc"]
    assert group.model is not None
    assert group.model.low == pytest.approx(0.6 - 1.6449 * 0.01)
    assert group.model.n == 300
    assert group.difference is not None
    assert group.difference.value == pytest.approx(0.1)
    assert group.difference.low is None
    assert bio.model is not None
    assert (bio.model.low, bio.model.n) == (None, 100)
    assert result.data[0] == {
        "name": "wmdp_bio",
        "dataset": "cais/wmdp/wmdp-bio",
        "revision": "c0ffee",
        "version": 1,
        "rows": 100,
    }
    json.dumps(result.to_json(), allow_nan=False)


def test_the_commit_that_is_recorded_is_the_one_that_was_read(calls: list[dict[str, Any]], arm: Arm) -> None:
    before = sys.modules["datasets"].load_dataset
    today = Harness(tasks=("wmdp",)).run(arm)
    pinned = Harness(tasks=("wmdp",), revisions={"cais/wmdp": "abc"}).run(arm)
    assert READ == [("cais/wmdp", "wmdp-bio", "c0ffee"), ("cais/wmdp", "wmdp-bio", "abc")]
    assert {row["revision"] for row in today.data} == {"c0ffee"}
    assert {row["revision"] for row in pinned.data} == {"abc"}
    assert sys.modules["datasets"].load_dataset is before


def test_a_pin_that_nothing_reads_is_refused(calls: list[dict[str, Any]], arm: Arm) -> None:
    with pytest.raises(InvalidParameter, match="revisions pin cais/wdmp, which no task read; they read cais/wmdp"):
        Harness(tasks=("wmdp",), revisions={"cais/wdmp": "abc"}).run(arm)


def test_multiple_choice_alone_is_called_that(
    calls: list[dict[str, Any]], arm: Arm, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MCQ_ONLY in Harness(tasks=("wmdp",)).run(arm).cautions
    monkeypatch.setattr("lm_eval.simple_evaluate", lambda **_: found(0.5, "generate_until"))
    assert MCQ_ONLY not in Harness(tasks=("wmdp",)).run(arm).cautions


def test_an_unknown_commit_and_a_limit_are_said(
    calls: list[dict[str, Any]], arm: Arm, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(self: Any, name: str) -> Any:
        raise ConnectionError("no network")

    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", gone)
    result = Harness(tasks=("wmdp",), limit=10).run(arm)
    assert READ == [("cais/wmdp", "wmdp-bio", None)]
    assert [row["revision"] for row in result.data] == [None, None]
    assert any("wmdp_bio, wmdp_cyber" in c for c in result.cautions)
    assert any("only 10 items" in c for c in result.cautions)


def test_the_randomness_of_others_is_left_as_it_was(calls: list[dict[str, Any]], arm: Arm) -> None:
    random.seed(7)
    np.random.seed(7)
    torch.manual_seed(7)
    expected = random.random(), np.random.random(), torch.rand(1)
    random.seed(7)
    np.random.seed(7)
    torch.manual_seed(7)
    Harness(tasks=("wmdp",)).run(arm)
    assert (random.random(), np.random.random(), torch.rand(1)) == expected


def test_without_the_package_the_extra_is_named(arm: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(MissingExtra, match=r"pip install 'expunge\[harness\]'"):
        Harness().run(arm)


def test_no_results_are_no_result(calls: list[dict[str, Any]], arm: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lm_eval.simple_evaluate", lambda **_: None)
    with pytest.raises(InvalidData, match="gave no results for wmdp, mmlu"):
        Harness().run(arm)


def test_data_of_ones_own_is_refused(arm: Arm) -> None:
    with pytest.raises(InvalidParameter, match="bring their own data"):
        Harness().run(arm, Source("."))
