import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from expunge.core.errors import InvalidData
from expunge.engine import Encoded, encode_prompt, rows_logp
from expunge.verify import Arm
from expunge.verify.benchmarks import benchmarks
from expunge.verify.benchmarks._loading import Source, Table
from expunge.verify.benchmarks._result import Result
from expunge.verify.benchmarks.rwku import Rwku, losses, people, prompt

SETTINGS = {"plain": True, "answer_tokens": 40, "fluency_tokens": 24}


@pytest.fixture(scope="module")
def untouched(full: Arm, retrained: Arm, rwku_folder: str) -> Result:
    return Rwku(**SETTINGS).run(full, Source(rwku_folder), retrained)


def test_it_is_in_the_registry_beside_the_others() -> None:
    assert benchmarks.get("rwku") is Rwku
    assert {"harness", "muse", "rwku"} <= set(benchmarks.names())


def test_what_the_model_knows_is_found_at_every_level(untouched: Result) -> None:
    for level in (1, 2, 3):
        measure = untouched[f"forget_level{level}"]
        assert measure.model is not None
        assert measure.retrained is not None
        assert measure.model.value > 0.9
        assert measure.retrained.value < 0.5
        assert measure.model.units == 2  # people, not questions


def test_neighbours_are_known_by_both(untouched: Result) -> None:
    for level in (1, 2):
        measure = untouched[f"neighbor_level{level}"]
        assert measure.difference is not None
        assert abs(measure.difference.value) < 0.1


def test_the_loss_of_forgotten_passages_is_low_and_that_of_the_others_the_same(untouched: Result) -> None:
    forget, retain = (untouched[name].difference for name in ("mia_forget", "mia_retain"))
    assert forget is not None
    assert retain is not None
    assert forget.value < -1.0  # nats a token
    assert abs(retain.value) < 0.3


def test_losses_are_worked_again(full: Arm, untouched: Result, rwku_folder: str) -> None:
    rows = (Path(rwku_folder) / "mia_forget.jsonl").read_text().splitlines()
    start = encode_prompt(full.tokenizer, "")
    texts = [json.loads(line)["text"] for line in rows]
    ids = [(*start, *full.tokenizer(t, add_special_tokens=False).input_ids) for t in texts]
    logp = rows_logp(full.model, [Encoded(str(i), row, len(start)) for i, row in enumerate(ids)], 0)
    assert untouched.scores["mia_forget"]["model"] == pytest.approx([-sum(r) / len(r) for r in logp], abs=1e-4)


def test_a_loss_that_is_no_number_is_not_left_out(full: Arm) -> None:
    """RWKU's code skips such rows; the mean of those that are left would look like a result."""
    wrecked = copy.deepcopy(full.model)
    with torch.no_grad():
        wrecked.model.layers[0].mlp.down_proj.weight.fill_(float("nan"))
    table = Table(({"text": "a word"}, {"text": "another word"}), {"name": "t"})
    found = losses(Arm.of(wrecked, full.tokenizer), table)
    assert [x != x for x in found] == [True, True]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"query": "Q ___", "level": "1"}, "Please complete the blank in the following question.\nQuestion: Q ___\n"),
        ({"query": "Q?", "level": "2"}, "Please briefly answer the following question.\nQuestion: Q?\n"),
        (
            {"query": "Q? Sure:", "level": "3", "type": "affirmative suffix"},
            "Please briefly answer the following question.\nQuestion: Q? Sure:",
        ),
        (
            {"query": "Question: a", "level": "3", "type": "incontext learning"},
            "Please briefly answer the following question.\nQuestion: a\n",
        ),
    ],
)
def test_prompts_are_those_of_the_code(row: dict[str, str], words: str) -> None:
    assert prompt(row) == words


def test_answers_are_cued_and_cut_at_the_line(full: Arm, rwku_folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cues: list[str] = []

    def answered(arm: Arm, prompts: Any, cue: str, n: int) -> list[str]:
        cues.append(cue)
        return ["right\nwrong"] * len(prompts)

    monkeypatch.setattr("expunge.verify.benchmarks.rwku.answered", answered)
    rows = (
        {"query": "a?", "answer": "right", "type": "simple"},
        {"query": "b? Sure:", "answer": "wrong", "type": "affirmative suffix"},
    )
    found = Rwku()._recall(full, Table(rows, {"name": "forget_level3"}))
    assert cues == ["Answer:", ""]
    assert found == [1.0, 0.0]


def test_rows_of_nobody_stand_for_themselves() -> None:
    rows = ({"subject": "Ada"}, {}, {"subject": "Ada"}, {"subject": ""})
    assert people(Table(rows, {"name": "t"})) == ["Ada", "row 1", "Ada", "row 3"]


def test_a_folder_without_instructions_says_that_fluency_was_not_measured(
    full: Arm, rwku_folder: str, tmp_path: Path
) -> None:
    import shutil

    folder = shutil.copytree(rwku_folder, tmp_path / "part")
    (folder / "utility_fluency.jsonl").unlink()
    found = Rwku(**SETTINGS).run(full, Source(str(folder)), full)
    assert found["fluency"].model is None
    assert "utility_fluency" in found["fluency"].reason
    assert not found.complete
    (folder / "mia_retain.jsonl").unlink()
    with pytest.raises(InvalidData, match="mia_retain"):
        Rwku(**SETTINGS).run(full, Source(str(folder)))
