"""One model and somebody's own data: what is in it is found, what is not is not, and neither is ever a pass."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from expunge.core import Assurance, Fact, Flag, Record
from expunge.core.errors import InvalidData
from expunge.synthetic import facts, people, records
from expunge.testing import contract
from expunge.verify import Arm, Probes
from expunge.verify.exposure import FACTS, TWINS, Exposure, _compared, exposure, plain_texts, without_template


@pytest.fixture(scope="module")
def known(trained: Any) -> Exposure:
    return exposure(Arm.of(trained.model, trained.tokenizer), Probes(tuple(facts(people(3))), ()))


def test_what_the_model_was_trained_on_is_found(known: Exposure) -> None:
    assert known.found
    assert known.worst is not None
    assert (known.worst.low or 0) > 0.5
    assert f"at least {known.worst.low:.0%} of these facts" in known.sentence
    assert {s.attack for s in known.seen if (s.low or 0) > 0.1} >= {"direct", "probability", "quantise"}


def bare(known: list[Fact]) -> tuple[Fact, ...]:
    """A user's question and answer, and nothing else known of them."""
    return tuple(replace(f, value="", subject="", paraphrases=(), perturbed=()) for f in known)


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("bared", [False, True])
def test_what_it_never_saw_is_not(trained: Any, n: int, bared: bool) -> None:
    """A model that knows how such questions are answered says most words of an answer; that is not the fact."""
    strangers = facts(people(n, seed=111, skip=77))
    probes = Probes(bare(strangers) if bared else tuple(strangers), ())
    found = exposure(Arm.of(trained.model, trained.tokenizer), probes)
    assert not found.found
    assert "may have been missed" in found.sentence
    assert found.to_json()["at_least"] is None


def test_pairs_without_values_or_names_are_found_as_well(trained: Any) -> None:
    found = exposure(Arm.of(trained.model, trained.tokenizer), Probes(bare(facts(people(3))), ()))
    assert found.found
    assert any("name no value" in note for note in found.notes)
    likely = next(s for s in found.seen if s.attack == "probability")
    assert "do not fit these questions" in likely.reason  # nothing says which questions ask the same


def documents(start: int) -> list[str]:
    rows = [records([p], [0]) for p in people(3, skip=start)]
    return [" ".join(r.answer for r in row[k : k + 5]) for row in rows for k in range(0, 20, 5)]


def test_documents_are_found_where_they_were_learnt_by_heart(trained: Any) -> None:
    texts = documents(0)
    model = contract.taught(tuple(Record(str(i), "", "", t) for i, t in enumerate(texts)), trained.tokenizer, steps=100)
    arm = Arm.of(model, trained.tokenizer)
    learnt = exposure(arm, Probes(tuple(Fact(str(i), "", "", t) for i, t in enumerate(texts)), ()))
    assert learnt.found
    assert (next(s for s in learnt.seen if s.attack == "direct").facts or 0) > 0.5  # it says them, word for word
    other = exposure(arm, Probes(tuple(Fact(str(i), "", "", t) for i, t in enumerate(documents(40))), ()))
    assert not other.found


def test_it_never_carries_a_level_nor_a_pass(known: Exposure) -> None:
    silent = replace(known, seen=())
    for found in (known, silent):
        assert (found.assurance, found.flags) == (Assurance.CLAIMED, (Flag.INCONCLUSIVE,))
        assert not [level for level in Assurance if level.sentence in found.sentence]
    assert not silent.found
    assert "Nothing could be measured" in silent.sentence


def test_attacks_that_could_not_run_are_named(known: Exposure) -> None:
    probe = next(s for s in known.seen if s.attack == "linear_probe")
    assert probe.low is None
    assert "retained facts" in probe.reason
    assert "membership" not in {s.attack for s in known.seen}


def test_the_document_holds_raw_scores_and_no_words(known: Exposure) -> None:
    document = known.to_json(b"salt")
    assert set(document["arms"]) == {FACTS, TWINS}
    assert document["arms"][TWINS]["kind"] == "placebo"
    text = str(document)
    for fact in known.probes.forget[:5]:
        assert fact.subject not in text
        assert fact.question not in text
    assert document["facts"] != known.to_json(b"other")["facts"]


@pytest.mark.parametrize(
    ("facts_scores", "twin_scores", "reason"),
    [
        ({"a": [1.0, float("nan")]}, {"a": [0.0, 0.0]}, "not a number"),
        ({"a": [1.0]}, {"a": [0.0]}, "another number of facts"),
        ({"a": [1.0, 1.0]}, {"b": [0.0, 0.0]}, "other settings"),
        ({}, {"a": [0.0, 0.0]}, "no scores"),
        ({"a": [1.0, 1.0]}, {"a": [0.0, 0.0]}, "too few"),
    ],
)
def test_scores_that_mean_nothing_bring_nothing_out(
    facts_scores: Any, twin_scores: Any, reason: str, known: Exposure
) -> None:
    arms = {
        name: replace(known.arms[name], scores={"direct": s})
        for name, s in ((FACTS, facts_scores), (TWINS, twin_scores))
    }
    (seen,) = _compared(arms, ["direct"], ["", ""], True)
    assert seen.low is None
    assert reason in seen.reason


def test_likelihoods_count_only_where_twins_suit_their_questions(known: Exposure) -> None:
    soft = {FACTS: {"a": [0.9, 0.8] * 20}, TWINS: {"a": [0.1, 0.2] * 20}}
    arms = {name: replace(known.arms[name], scores={"probability": scores}) for name, scores in soft.items()}
    ((fair,), (unfair,)) = (_compared(arms, ["probability"], [""] * 40, fair) for fair in (True, False))
    assert fair.low is not None
    assert unfair.low is None


def test_a_model_whose_weights_are_no_numbers_gives_nothing(trained: Any, tmp_path: Path) -> None:
    import copy

    broken = copy.deepcopy(trained.model)
    with torch.no_grad():
        next(broken.parameters()).fill_(float("nan"))
    found = exposure(Arm.of(broken, trained.tokenizer), Probes(tuple(facts(people(2))), ()))
    assert not found.found


def test_it_is_the_same_every_time_and_from_its_cache(trained: Any, tmp_path: Path) -> None:
    probes = Probes(tuple(facts(people(1)) + facts(people(1, skip=50))), ())
    arm = Arm.of(trained.model, trained.tokenizer)
    first, again, kept = (exposure(arm, probes, cache=where) for where in (None, tmp_path, tmp_path))
    assert first.seen == again.seen == kept.seen


def test_two_kinds_at_once_are_refused() -> None:
    both = [Fact("1", "", "Where?", "Here."), Fact("2", "", "", "a text of some words")]
    with pytest.raises(InvalidData, match="one kind at a time"):
        plain_texts(both)


def test_a_chat_template_is_left_out_for_documents_only(trained: Any) -> None:
    import copy

    tokenizer = copy.deepcopy(trained.tokenizer)
    tokenizer.chat_template = "{{ messages[0]['content'] }}"
    arm = Arm.of(trained.model, tokenizer)
    assert without_template(arm).tokenizer.chat_template is None
    assert tokenizer.chat_template is not None
    plain = Arm.of(trained.model, trained.tokenizer)
    assert without_template(plain) is plain
