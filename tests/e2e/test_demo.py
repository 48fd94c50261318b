"""The demo at a small size makes the claims of the full one, which `bench/demo.py` measures."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import HANGING

COLUMNS = {"method", "guarantee", "cost", "recall", "recovered", "attack", "retained", "flags", "assurance"}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("demo") / "run"
    command = [sys.executable, "-m", "expunge", "demo", str(folder), "--quick", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANGING, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_it_ends_with_one_json_object_of_the_promised_form(demo: dict[str, Any]) -> None:
    assert {"rows", "certificate", "report", "seconds", "peak_mb"} <= demo.keys()
    assert all(row.keys() >= COLUMNS for row in demo["rows"])
    methods = {row["method"] for row in demo["rows"]}
    assert methods >= {"untouched", "gradient_ascent", "grad_diff", "npo", "refusal", "rmu", "retrain, same budget"}
    assert Path(demo["certificate"]).exists()
    assert Path(demo["report"]).exists()


def test_what_was_hidden_is_called_hidden(demo: dict[str, Any]) -> None:
    for method in ("refusal", "rmu"):
        row = _row(demo, method)
        assert "HIDDEN" in row["flags"]
        assert row["recovered"] >= 0.3
        assert row["retained"] >= 0.9
        assert row["recall"] <= 0.1


def test_the_untouched_is_retained_and_the_wrecked_is_damaged(demo: dict[str, Any]) -> None:
    assert _row(demo, "untouched")["flags"] == ["RETAINED"]
    assert "DAMAGED" in _row(demo, "gradient_ascent")["flags"]


def test_the_exact_route_is_exact_and_nothing_was_found(demo: dict[str, Any]) -> None:
    row = _row(demo, "adapter shards, one person")
    assert (row["assurance"], row["flags"]) == ("EXACT", [])
    assert demo["check"]["exit_code"] == 0
    assert demo["traces"] == []


def test_one_person_has_too_few_facts_for_a_level(demo: dict[str, Any]) -> None:
    assert "INCONCLUSIVE" in demo["person"]["flags"]
    assert demo["person"]["facts_needed"] > 20


def test_a_model_retrained_with_another_seed_gives_no_alarm(demo: dict[str, Any]) -> None:
    assert not {"HIDDEN", "RETAINED", "PARTIAL", "DAMAGED"} & set(_row(demo, "retrain, second seed")["flags"])


def _row(demo: dict[str, Any], method: str) -> dict[str, Any]:
    return next(row for row in demo["rows"] if row["method"] == method)
