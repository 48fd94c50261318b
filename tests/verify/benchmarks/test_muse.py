"""The numbers find what a model knows of the forgotten, beside one that never did, and say when they cannot."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rouge_score import rouge_scorer
from sklearn.metrics import roc_auc_score

from expunge.core.errors import InvalidData, InvalidParameter, TooFewSamples
from expunge.engine import Encoded, encode_prompt, rows_logp
from expunge.verify import Arm
from expunge.verify.benchmarks import benchmarks
from expunge.verify.benchmarks._loading import Source
from expunge.verify.benchmarks._result import Result
from expunge.verify.benchmarks.muse import Muse, leakage, scalability, shifted, sustainability


@pytest.fixture(scope="module")
def untouched(full: Arm, retrained: Arm, muse_folder: str) -> Result:
    return Muse(plain=True, verbatim_tokens=24).run(full, Source(muse_folder), retrained)


def test_it_is_in_the_registry() -> None:
    assert benchmarks.get("muse") is Muse


def test_a_model_that_was_not_unlearned_is_far_from_the_retrained_one(untouched: Result) -> None:
    for name in ("verbmem", "knowmem_forget"):
        apart = untouched[name].difference
        assert apart is not None
        assert apart.low is not None
        assert apart.low > 0.1
    assert untouched["privleak"].model is not None
    assert untouched["privleak"].model.value < -50  # members are plain to see
    auc = untouched["auc"].difference
    assert auc is not None
    assert auc.low is not None
    assert auc.low > 0.2
    assert untouched.complete


def test_the_retrained_model_is_its_own_target(retrained: Arm, muse_folder: str, untouched: Result) -> None:
    found = Muse(plain=True, verbatim_tokens=24).run(retrained, Source(muse_folder), retrained)
    for measure in found.measures:
        if measure.name != "privleak":
            assert measure.difference is not None
            assert measure.difference.value == 0.0
    assert found["privleak"].model is not None
    assert found["privleak"].model.value == 0.0
    target = untouched["verbmem"].retrained
    assert target is not None
    assert target == found["verbmem"].model
    assert target.low is not None
    assert target.low > 0  # the words of a language are guessed by any model of it


def test_utility_is_what_is_known_of_the_retained(untouched: Result, full: Arm, muse_folder: str) -> None:
    kept = untouched["knowmem_retain"]
    assert kept.model is not None
    assert kept.model.value > 0.9
    assert Muse(plain=True).utility(full, Source(muse_folder)) == pytest.approx(kept.model.value)


def test_without_a_retrained_model_no_target_is_invented(full: Arm, muse_folder: str) -> None:
    found = Muse(plain=True, verbatim_tokens=24).run(full, Source(muse_folder))
    assert not found.complete
    assert found["privleak"].model is None
    for measure in found.measures:
        assert measure.difference is None
        assert measure.retrained is None
        assert "no retrained model" in measure.reason


def test_scores_are_those_of_the_published_package(untouched: Result, full: Arm, muse_folder: str) -> None:
    """VerbMem again, by hand: transformers' own generation, and rouge-score."""
    scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False)
    rows = [json.loads(line) for line in (Path(muse_folder) / "verbmem/forget.jsonl").read_text().splitlines()]
    for row, score in list(zip(rows, untouched.scores["verbmem"]["model"], strict=True))[::7]:
        ids = torch.tensor([full.tokenizer(row["prompt"]).input_ids])
        out = full.model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=24, do_sample=False)
        said = full.tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)
        true = full.tokenizer.decode(full.tokenizer(row["gt"], add_special_tokens=False).input_ids[:24])
        assert score == pytest.approx(scorer.score(true, said)["rougeL"].fmeasure)


def test_min_k_and_its_auc_are_worked_again(untouched: Result, full: Arm, muse_folder: str) -> None:
    sides = {}
    for side in ("forget", "holdout"):
        rows = (Path(muse_folder) / f"privleak/{side}.jsonl").read_text().splitlines()
        texts = [json.loads(line)["text"] for line in rows]
        start = encode_prompt(full.tokenizer, "")
        ids = [(*start, *full.tokenizer(t, add_special_tokens=False).input_ids) for t in texts]
        logp = rows_logp(full.model, [Encoded(str(i), row, len(start)) for i, row in enumerate(ids)], 0)
        lowest = [sorted(row)[: max(1, int(0.4 * len(row)))] for row in logp]
        sides[side] = [sum(row) / len(row) for row in lowest]
        assert untouched.scores[f"min_k_{side}"]["model"] == pytest.approx(sides[side], abs=1e-4)
    labels = [1] * len(sides["forget"]) + [0] * len(sides["holdout"])
    assert untouched["auc"].model is not None
    assert untouched["auc"].model.value == pytest.approx(roc_auc_score(labels, sides["forget"] + sides["holdout"]))


def test_members_that_look_less_familiar_than_strangers_leak_as_well() -> None:
    members, others = [0.1 * i for i in range(30)], [0.1 * i + 1.05 for i in range(30)]
    even = [0.1 * i for i in range(30)]
    auc, leak = leakage({"model": members, "retrained": even}, {"model": others, "retrained": even})
    assert auc.difference is not None
    assert auc.difference.high is not None
    assert auc.difference.high < -0.1
    assert leak.model is not None
    assert leak.model.value > 20


def test_scores_that_are_no_numbers_give_a_reason() -> None:
    auc, leak = leakage({"model": [float("nan"), 1.0]}, {"model": [0.0, 1.0]})
    assert auc.model is None
    assert leak.model is None
    assert "not numbers" in auc.reason


def test_sides_that_their_words_tell_apart_are_called_that() -> None:
    one, other = [f"red apple {i}" for i in range(40)], [f"green pear {i}" for i in range(40)]
    (caution,) = shifted(one, other)
    assert "by their words alone" in caution
    assert shifted(one[::2], one[1::2]) == ()


def test_examples_stand_before_the_question_in_the_words_of_the_code(
    full: Arm, muse_folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def answered(arm: Arm, prompts: Any, cue: str, n: int) -> list[str]:
        asked.append((list(prompts), cue, n))
        return ["Brimford.\n\nQuestion: and then?"] * len(prompts)

    monkeypatch.setattr("expunge.verify.benchmarks.muse.answered", answered)
    shots = Path(muse_folder) / "knowmem/retain_qa_icl.jsonl"
    shots.write_text('{"question": "Who?", "answer": "She."}\n')
    try:
        Muse().utility(full, Source(muse_folder))
    finally:
        shots.unlink()
    prompts, cue, n = asked[0]
    assert prompts[0].startswith("Question: Who?\nAnswer: She.\n\nQuestion: ")
    assert (cue, n) == ("Answer:", 32)


def test_no_word_of_the_data_is_in_the_document(untouched: Result, muse_folder: str) -> None:
    document = untouched.to_json()
    text = json.dumps(document, allow_nan=False)
    for line in (Path(muse_folder) / "knowmem/forget_qa.jsonl").read_text().splitlines():
        assert json.loads(line)["question"] not in text
    assert {row["name"] for row in document["data"]} >= {"knowmem/forget_qa.jsonl", "privleak/holdout.jsonl"}
    assert document["settings"]["k"] == 0.4


def test_texts_that_do_not_fit_are_refused_and_not_cut(full: Arm, muse_folder: str, tmp_path: Path) -> None:
    import shutil

    folder = shutil.copytree(muse_folder, tmp_path / "long")
    (folder / "privleak/forget.jsonl").write_text(json.dumps({"text": "word " * 600}) + "\n")
    with pytest.raises(InvalidData, match="more than 512 tokens"):
        Muse(plain=True, verbatim_tokens=8).run(full, Source(str(folder)))
    with pytest.raises(InvalidData, match="nothing is cut silently"):
        Muse(plain=True, verbatim_tokens=500).run(full, Source(muse_folder))


def test_data_is_needed(full: Arm) -> None:
    with pytest.raises(InvalidParameter, match="muse needs data"):
        Muse().run(full, None)


def test_scalability_and_sustainability_follow_utility_over_models(full: Arm, retrained: Arm, muse_folder: str) -> None:
    muse, source = Muse(plain=True), Source(muse_folder)
    made: list[int] = []

    def unlearn(size: int) -> Arm:
        made.append(size)
        return full if size < 3 else replace(full, model=retrained.model)

    points = scalability([1, 2, 3], unlearn, lambda arm: muse.utility(arm, source))
    assert made == [1, 2, 3]
    assert [p.at for p in points] == [1, 2, 3]
    assert points[1].change == 0.0
    assert points[2].change == points[2].utility - points[0].utility
    after = sustainability(2, [full, full], utility=lambda arm: muse.utility(arm, source))
    assert [p.at for p in after] == [1, 2]
    with pytest.raises(TooFewSamples):
        scalability([], unlearn, lambda arm: 1.0)
    with pytest.raises(TooFewSamples, match="one model for each"):
        sustainability(3, [full, full], lambda arm: 1.0)
