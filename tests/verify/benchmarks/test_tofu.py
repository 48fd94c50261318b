import copy
import importlib.util
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from expunge.core import Fact
from expunge.core.errors import InvalidData, InvalidParameter
from expunge.engine import encode, greedy_answers, rows_logp
from expunge.synthetic import facts, people
from expunge.verify import Arm
from expunge.verify.benchmarks import Source, benchmarks
from expunge.verify.benchmarks._result import NO_RETRAINED, Result
from expunge.verify.benchmarks._tofu_data import read_tofu
from expunge.verify.benchmarks._tofu_measures import cautions
from expunge.verify.benchmarks._tofu_scores import read_scores, said_scores
from expunge.verify.benchmarks.tofu import Tofu

FORGET, RETAIN, STRANGERS = facts(people(3)), facts(people(5, skip=3)), facts(people(3, skip=8))
ROOT = Path(__file__).parents[3]


def perturbed(rows: Sequence[Fact]) -> list[dict[str, Any]]:
    return [
        {
            "question": f.question,
            "answer": f.answer,
            "paraphrased_answer": f.paraphrases[0][1],
            "perturbed_answer": list(f.perturbed),
            "author_id": f.subject,
        }
        for f in rows
    ]


def options(rows: Sequence[Fact]) -> list[dict[str, Any]]:
    """Whole sentences to choose from; the wrong ones are other people's."""
    return [
        {"question": f.question, "answer": f.answer, "perturbed_answer": [f.answer.replace(f.value, wrong)]}
        for f, wrong in zip(rows, [g.value for g in rows[20:]] + [g.value for g in rows[:20]], strict=True)
    ]


def folder(path: Path, **tables: Sequence[Mapping[str, Any]]) -> Source:
    path.mkdir(exist_ok=True)
    for name, rows in tables.items():
        (path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return Source(str(path))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return folder(
        tmp_path_factory.mktemp("tofu"),
        forget10_perturbed=perturbed(FORGET),
        retain_perturbed=perturbed(RETAIN),
        real_authors=options(RETAIN[:40]),
        world_facts=options(RETAIN[40:80]),
        holdout10=[{**row, "holdout01": n < 20} for n, row in enumerate(perturbed(STRANGERS))],
    )


@pytest.fixture(scope="module")
def full(trained: Any) -> Arm:
    return Arm.of(trained.model, trained.tokenizer)


@pytest.fixture(scope="module")
def gold(trained: Any, control: Any) -> Arm:
    return Arm.of(control, trained.tokenizer)


@pytest.fixture(scope="module")
def untouched(full: Arm, gold: Arm, source: Source) -> Result:
    return Tofu(answer_tokens=32).run(full, source, gold)


def value(result: Result, name: str) -> float:
    found = result[name].model
    assert found is not None, result[name].reason
    return found.value


def apart(result: Result, name: str) -> float:
    found = result[name].difference
    assert found is not None, result[name].reason
    return found.value


def test_it_is_in_the_registry_and_its_settings_are_plain() -> None:
    assert benchmarks.get("tofu") is Tofu
    assert json.loads(json.dumps(asdict(Tofu()))) == asdict(Tofu())


def test_what_was_not_forgotten_is_found(untouched: Result) -> None:
    assert value(untouched, "forget_probability") > 0.9
    assert apart(untouched, "forget_probability") > 0.5
    assert apart(untouched, "forget_rouge") > 0.2
    assert apart(untouched, "extraction_strength") > 0.5
    assert apart(untouched, "exact_memorization") > 0.1
    for attack in ("loss", "zlib", "min_k", "min_k_plus_plus"):
        assert value(untouched, f"auc_{attack}") > 0.95
        assert apart(untouched, f"auc_{attack}") > 0.25
    assert value(untouched, "privleak") < -80
    assert value(untouched, "forget_quality") < 1e-3
    assert value(untouched, "truth_ratio_distance") > 0.3


def test_what_should_stay_is_there_in_both(untouched: Result) -> None:
    for name in ("retain", "real_authors", "world_facts"):
        for measure in ("probability", "rouge"):
            assert abs(apart(untouched, f"{name}_{measure}")) < 0.1
    assert untouched["model_utility"].retrained is not None
    assert untouched["model_utility"].retrained.value > 0.1


def test_a_model_equals_itself_and_its_result_can_stand_for_it(untouched: Result, gold: Arm, source: Source) -> None:
    document = json.loads(json.dumps(Tofu(answer_tokens=32).run(gold, source).to_json()))
    again = Tofu(answer_tokens=32).run(gold, source, document)
    assert again.retrained == gold.digest
    assert value(again, "forget_quality") == 1.0
    assert value(again, "truth_ratio_distance") == value(again, "privleak") == 0.0
    assert all(m.difference is None or m.difference.value == 0.0 for m in again.measures)
    assert not any(m.reason for m in again.measures)
    assert again.cautions == ()
    assert again.scores["forget_min_k"]["model"] == untouched.scores["forget_min_k"]["retrained"]


def test_a_difference_that_is_not_ruled_out_is_said(untouched: Result) -> None:
    (caution,) = untouched.cautions
    assert "is not ruled out" in caution
    distance = untouched["truth_ratio_distance"].model
    assert distance is not None
    assert f"D = {distance.value:.2f}" in caution


def test_strangers_of_another_kind_void_the_membership_numbers(source: Source) -> None:
    data = read_tofu(source, "forget10")
    assert cautions(data, {}, None) == ()
    other = tuple(replace(q, answer="Aunque nadie lo sabe, " + q.answer) for q in data.holdout)
    (caution,) = cautions(replace(data, holdout=other), {}, None)
    assert "blind AUC 1.00" in caution
    (caution,) = cautions(replace(data, holdout=data.holdout[:20]), {}, None)
    assert "not measurable" in caution


def test_every_number_is_that_of_the_plain_implementation(full: Arm, gold: Arm, source: Source) -> None:
    """The rival of the speed bench: written apart, one metric at a time, over static batches."""
    spec = importlib.util.spec_from_file_location("metric_by_metric", ROOT / "bench" / "_metric_by_metric.py")
    assert spec is not None
    assert spec.loader is not None
    plain = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(plain)
    data = read_tofu(source, "forget10")
    for arm in (full, gold):
        expected = plain.read_scores(arm.model, arm.tokenizer, data, 0.4)
        found = read_scores(arm, data, "arithmetic", 0.4)
        assert found.keys() == expected.keys()
        for name, scores in found.items():
            # Ratios of a model that knows its answers span 40 powers of ten, and rounding of a logit scales with them.
            np.testing.assert_allclose(scores, expected[name], rtol=1e-4, atol=1e-5, err_msg=name)
        assert said_scores(arm, data, 24) == plain.said_scores(arm.model, arm.tokenizer, data, 24)


def test_formulas_are_worked_again(full: Arm, untouched: Result) -> None:
    for i, f in list(enumerate(FORGET))[:5]:
        texts = [f.answer, f.paraphrases[0][1], *f.perturbed]
        rows = rows_logp(full.model, encode(full.tokenizer, [Fact("", "", f.question, t) for t in texts]), 2)
        own, right, *wrong = [math.exp(sum(r) / len(r)) for r in rows]
        assert untouched.scores["forget_probability"]["model"][i] == pytest.approx(own, rel=1e-4)
        ratio = sum(wrong) / len(wrong) / right
        assert untouched.scores["forget_truth_ratio"]["model"][i] == pytest.approx(ratio, rel=1e-3)
        lowest = sorted(rows[0][:-1])[: max(1, int(0.4 * (len(rows[0]) - 1)))]
        assert untouched.scores["forget_min_k"]["model"][i] == pytest.approx(sum(lowest) / len(lowest), abs=1e-5)
    ratios = untouched.scores["forget_truth_ratio"]["model"]
    assert value(untouched, "forget_truth_ratio") == pytest.approx(np.mean([min(r, 1 / r) for r in ratios]))
    kept = untouched.scores["retain_truth_ratio"]["model"]
    assert value(untouched, "retain_truth_ratio") == pytest.approx(np.mean([max(0, 1 - r) for r in kept]))
    nine = [
        value(untouched, f"{s}_{m}")
        for s in ("retain", "real_authors", "world_facts")
        for m in ("probability", "rouge", "truth_ratio")
    ]
    assert value(untouched, "model_utility") == pytest.approx(9 / sum(1 / v for v in nine))


def test_answers_are_greedy_and_whole(full: Arm, untouched: Result) -> None:
    said = greedy_answers(full.model, full.tokenizer, [f.question for f in FORGET])
    exact = [a == f.answer for a, f in zip(said, FORGET, strict=True)]
    assert sum(exact) > 50
    rouge = untouched.scores["forget_rouge"]["model"]
    assert all(score == 1.0 for score, same in zip(rouge, exact, strict=True) if same)


def test_bounds_are_over_authors(untouched: Result) -> None:
    assert untouched["forget_probability"].model.units == 3  # type: ignore[union-attr]
    assert untouched["world_facts_probability"].model.units == 40  # type: ignore[union-attr]
    utility = untouched["model_utility"].model
    assert utility is not None
    assert utility.low is not None
    assert utility.high is not None
    assert utility.low < utility.value < utility.high


def test_the_codes_truth_ratio_is_another(full: Arm, source: Source, untouched: Result) -> None:
    geometric = Tofu(answer_tokens=1, truth_ratio="geometric").run(full, source)
    own, papers = (r.scores["forget_truth_ratio"]["model"] for r in (geometric, untouched))
    assert all(a <= b * (1 + 1e-9) for a, b in zip(own, papers, strict=True))
    assert sum(b > 1.05 * a for a, b in zip(own, papers, strict=True)) > 10


def test_without_a_retrained_model_nothing_is_compared(full: Arm, source: Source) -> None:
    result = Tofu(answer_tokens=1).run(full, source)
    assert not result.complete
    assert result.cautions == ()
    for name in ("forget_quality", "truth_ratio_distance", "privleak"):
        assert result[name].model is None
        assert result[name].reason == NO_RETRAINED
    assert result["auc_loss"].model is not None


def test_without_strangers_membership_is_not_measured(full: Arm, gold: Arm, source: Source, tmp_path: Path) -> None:
    for file in Path(source.where).glob("*.jsonl"):
        if "holdout" not in file.name:
            (tmp_path / file.name).write_bytes(file.read_bytes())
    result = Tofu(answer_tokens=1).run(full, Source(str(tmp_path)), gold)
    for name in ("auc_min_k", "privleak"):
        assert result[name].model is None
        assert "never trained on" in result[name].reason
    assert not result.complete


def test_damaged_weights_give_reasons_and_no_numbers(trained: Any, gold: Arm, source: Source) -> None:
    broken = copy.deepcopy(trained.model)
    broken.model.norm.weight.data.fill_(float("nan"))
    result = Tofu(answer_tokens=1).run(Arm.of(broken, trained.tokenizer), source, gold)
    for name in ("forget_probability", "forget_truth_ratio", "model_utility", "forget_quality", "auc_loss"):
        assert result[name].model is None
        assert result[name].reason
    assert not result.complete
    assert json.loads(json.dumps(result.to_json()))["scores"]["forget_probability"]["model"][0] is None


def test_the_document_holds_no_text(untouched: Result) -> None:
    written = json.dumps(untouched.to_json())
    assert not any(f.value in written or f.question in written for f in FORGET)


def test_a_result_on_other_data_or_settings_is_refused(full: Arm, source: Source, untouched: Result) -> None:
    document = json.loads(json.dumps(untouched.to_json()))
    with pytest.raises(InvalidParameter, match="another settings"):
        Tofu(answer_tokens=31).run(full, source, document)
    document["data"][0]["digest"] = "sha256:00"
    with pytest.raises(InvalidParameter, match="another data"):
        Tofu(answer_tokens=32).run(full, source, document)


def test_each_row_is_read_once(full: Arm, source: Source) -> None:
    data, rows = read_tofu(source, "forget10"), [0]

    def count(_module: Any, _args: Any, inputs: Any) -> None:
        rows[0] += inputs["input_ids"].shape[0]

    handle = full.model.register_forward_pre_hook(count, with_kwargs=True)
    read_scores(full, data, "arithmetic", 0.4)
    handle.remove()
    asked = [*(q for part in data.sets.values() for q in part), *data.holdout]
    answers = {(q.question, a) for q in asked for a in (q.answer, q.right, *q.wrong)}
    prompts = {q.question for q in asked}
    assert rows[0] <= len(answers) + len(prompts) + 16  # and the rows of the trial


def test_smaller_splits_are_the_last_rows(source: Source) -> None:
    tables = folder(Path(source.where).parent / "larger", forget10_perturbed=perturbed([*FORGET, *FORGET, *RETAIN]))
    for name in ("retain_perturbed", "real_authors", "world_facts", "holdout10"):
        (Path(tables.where) / f"{name}.jsonl").write_bytes((Path(source.where) / f"{name}.jsonl").read_bytes())
    data = read_tofu(tables, "forget01")
    assert [q.question for q in data.sets["forget"]] == [f.question for f in RETAIN[-40:]]
    assert [q.unit for q in data.holdout] == [f.subject for f in STRANGERS[:20]]  # those a column marks
    assert data.tables[0].origin["part"] == "last 40"


def test_names_on_the_hub_are_tofus_own(source: Source) -> None:
    asked: list[str] = []

    class Hub(Source):
        def find(self, split: Any) -> Any:
            asked.append(f"{split.config}/{split.split}")
            return Source(source.where).find(split)

    read_tofu(Hub("hub"), "forget10")
    names = ("forget10_perturbed", "retain_perturbed", "real_authors_perturbed", "world_facts_perturbed", "holdout10")
    assert set(asked) == {f"{name}/train" for name in names}


def test_authors_are_told_apart_by_their_place_where_no_column_says(source: Source, tmp_path: Path) -> None:
    for file in Path(source.where).glob("*.jsonl"):
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        bare = [{k: v for k, v in row.items() if k != "author_id"} for row in rows]
        (tmp_path / file.name).write_text("".join(json.dumps(row) + "\n" for row in bare))
    data = read_tofu(Source(str(tmp_path)), "forget10")
    assert [q.unit for q in data.sets["forget"]] == ["0"] * 20 + ["1"] * 20 + ["2"] * 20


@pytest.mark.parametrize("wrong", [None, [], "Paris", ["", "Rome"], [3]])
def test_bad_rows_are_named(source: Source, tmp_path: Path, wrong: Any) -> None:
    for file in Path(source.where).glob("*.jsonl"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    rows = perturbed(RETAIN)
    folder(tmp_path, retain_perturbed=[*rows[:6], {**rows[6], "perturbed_answer": wrong}])
    with pytest.raises(InvalidData, match=r"retain_perturbed.jsonl, row 7: needs a list of texts"):
        read_tofu(Source(str(tmp_path)), "forget10")


def test_what_tofu_lacks_is_refused(full: Arm, source: Source, tmp_path: Path) -> None:
    with pytest.raises(InvalidParameter, match="no split 'forget20'; it has forget01, forget05, forget10"):
        Tofu(split="forget20").run(full, source)
    with pytest.raises(InvalidParameter, match="tofu needs data"):
        Tofu().run(full, None)
    with pytest.raises(InvalidData, match="no forget10_perturbed"):
        Tofu().run(full, replace(source, where=str(tmp_path)))


@pytest.mark.data
def test_the_real_tables(data: Path) -> None:
    source = Source(str(data / "tofu"))
    for split, n in (("forget10", 400), ("forget05", 200), ("forget01", 40)):
        found = read_tofu(source, split)
        assert [len(found.sets[name]) for name in ("forget", "retain", "real_authors", "world_facts")] == [
            n,
            400,
            100,
            117,
        ]
        assert len(found.holdout) == n
        assert len({q.unit for q in found.sets["forget"]}) == n // 20
        assert all(len(q.wrong) == 5 and q.right != q.answer for q in found.sets["forget"][:50])
        assert all(len(q.wrong) == 3 and q.right == q.answer for q in found.sets["world_facts"])
