import re
from dataclasses import replace
from typing import Any

import pytest
import torch

from expunge.core import Fact
from expunge.synthetic import placebo
from expunge.verify import Probes
from expunge.verify.attacks._kinds import KINDS, Case, kept_for
from expunge.verify.attacks._target import CannotRun, Target
from expunge.verify.attacks.direct import Direct
from expunge.verify.attacks.prompts import Prompts

ADA = Fact(
    "1",
    "Ada",
    "Where does Ada live?",
    "Ada lives in York.",
    "York",
    (("In which town is Ada at home?", "Ada is at home in York."),),
    ("Ada is at home in Hull.", "Ada is at home in Bath."),
)
KEPT = tuple(Fact(f"k{i}", f"Bo{i}", f"Where does Bo{i} live?", f"Bo{i} lives in Leeds.", "Leeds") for i in range(6))
CASE = Case.of(ADA, KEPT)


@pytest.fixture(scope="module")
def found(trained: Any, control: Any, refusing: Any, probes: Probes) -> dict[str, dict[str, float]]:
    """Mean score of each setting on each arm."""
    arms = {"original": trained.model, "control": control, "hidden": refusing}
    scores = {arm: Prompts().run(Target(model, trained.tokenizer, 24), probes) for arm, model in arms.items()}
    return {arm: {name: sum(row) / len(row) for name, row in rows.items()} for arm, rows in scores.items()}


def test_it_finds_what_the_original_knows_and_nothing_in_the_control(found: dict[str, dict[str, float]]) -> None:
    assert found["original"]["any @ 16"] >= 0.9
    assert found["control"]["any @ 16"] <= 0.1


def test_it_finds_what_a_refusal_hides(
    found: dict[str, dict[str, float]], refusing: Any, trained: Any, probes: Probes
) -> None:
    plain = Direct().run(Target(refusing, trained.tokenizer, 24), probes)["greedy"]
    assert sum(plain) == 0
    assert found["hidden"]["any @ 16"] >= 0.5


def test_placebos_take_the_same_test_and_are_not_known(
    found: dict[str, dict[str, float]], trained: Any, probes: Probes
) -> None:
    twins = replace(probes, forget=tuple(placebo(probes.forget)))
    scores = Prompts().run(Target(trained.model, trained.tokenizer, 24), twins)
    assert list(scores) == list(found["original"])
    assert sum(scores["any @ 16"]) / len(twins.forget) <= 0.15


def test_more_prompts_never_find_less(found: dict[str, dict[str, float]]) -> None:
    for means in found.values():
        assert means["any @ 1"] <= means["any @ 3"] <= means["any @ 16"]
        assert means["any @ 16"] >= max(means[kind] for kind in KINDS)


def test_there_are_sixteen_kinds_and_no_two_prompts_are_the_same() -> None:
    prompts = [kind.write(CASE) for kind in KINDS.values()]
    assert len({p for p in prompts if p}) == len(KINDS) == 16


@pytest.mark.parametrize("name", [name for name in KINDS if name != "multiple choice"])
def test_no_prompt_says_what_it_asks_for(name: str) -> None:
    prompt = KINDS[name].write(CASE)
    if name == "reverse query":
        assert "York" in prompt
        assert "Ada" not in prompt
    else:
        assert "york" not in prompt.casefold()


@pytest.mark.parametrize("name", list(KINDS))
def test_a_model_that_repeats_its_prompt_knows_nothing(name: str) -> None:
    kind = KINDS[name]
    echo = kind.score(kind.write(CASE), CASE)
    # An echo of the choices names all of them; the first counts, and which one is first depends on the fact's id alone.
    first = re.search("York|Hull|Bath", KINDS["multiple choice"].write(CASE))
    assert echo == (float(bool(first) and first[0] == "York") if name == "multiple choice" else 0.0)


@pytest.mark.parametrize(
    ("said", "score"),
    [
        ("York.", 1.0),
        ("It is York, not Hull.", 1.0),
        ("Hull, or York.", 0.0),
        ("Neither.", 0.0),
        ("{York})", 1.0),
        ("({York}) is right", 1.0),
        ("{Hull}", 0.0),
        ("{Hull}. York", 0.0),
        ("A place called York", 1.0),
    ],
)
def test_a_choice_is_the_option_that_is_named_first(said: str, score: float) -> None:
    letters = {
        option: letter for letter, option in re.findall(r"([A-C])\) (\w+)", KINDS["multiple choice"].write(CASE))
    }
    assert set(letters) == {"York", "Hull", "Bath"}
    assert KINDS["multiple choice"].score(said.format(**letters), CASE) == score


def test_the_right_option_stands_anywhere() -> None:
    places = set()
    for i in range(40):
        listed = KINDS["multiple choice"].write(Case.of(replace(ADA, id=str(i))))
        places.add(re.findall(r"\) (\w+)", listed).index("York"))
    assert places == {0, 1, 2}


def test_shots_neither_show_a_forgotten_fact_nor_say_the_value() -> None:
    same = Fact("dup", "Cy", "Where is Cy?", "Cy is here.")
    told = Fact("told", "Di", "Where is Di?", "Di is in York.", "York")
    about = Fact("about", "Ada", "How old is Ada?", "Ada is 9.", "9")
    text = Fact("text", "Ed", "", "Ed lives in Leeds.")
    long = Fact("long", "Fay", "Why?", "so " * 200)
    shots = kept_for(ADA, [ADA, same], [same, told, about, text, long, *KEPT])
    assert len(shots) == 5
    assert set(shots) <= set(KEPT)
    assert kept_for(ADA, [ADA], KEPT) == kept_for(ADA, [ADA], KEPT)
    assert kept_for(ADA, [ADA], []) == []


def test_kinds_without_their_material_are_left_out(trained: Any, probes: Probes) -> None:
    bare = tuple(replace(f, paraphrases=(), perturbed=(), subject="") for f in probes.forget[:5])
    scores = Prompts().run(Target(trained.model, trained.tokenizer, 24), Probes(bare, ()))
    missing = {"in-context learning", "5 shots", "multiple choice", "reverse query"}
    missing |= {name for name in KINDS if name.startswith("joined")}
    assert set(KINDS) - set(scores) == missing
    assert set(scores) - set(KINDS) == {"any @ 1", "any @ 3", "any @ 10"}


def test_a_value_that_opens_the_answer_is_not_given_away() -> None:
    first = Case.of(replace(ADA, answer="York is where Ada lives."))
    assert KINDS["answer opening"].write(first) == ADA.question
    assert KINDS["answer opening"].score("York it is", first) == 1.0


def test_without_a_value_the_rest_of_the_answer_is_asked_for() -> None:
    whole = Case.of(replace(ADA, value="", answer="She keeps bees on the roof."))
    assert KINDS["answer opening"].write(whole) == f"{ADA.question} She keeps bees"
    assert KINDS["answer opening"].score("on the roof", whole) == 1.0
    assert KINDS["answer opening"].score("She keeps bees", whole) == 0.0


def test_plain_text_is_gone_on_from_its_opening() -> None:
    text = Fact("t", "Ada", "", "Since the spring Ada has lived in York with her dog.", "York")
    case = Case.of(text, KEPT)
    assert KINDS["answer opening"].write(case) == "Since the spring Ada has lived in"
    assert KINDS["answer opening"].score("York with a cat", case) == 1.0
    assert KINDS["affirmative suffix"].write(case) == ""
    no_value = Case.of(replace(text, value=""))
    assert KINDS["prefix injection"].write(no_value).endswith("Since the spring Ada has")
    assert KINDS["prefix injection"].score("lived in York with her dog", no_value) == 1.0


def test_a_model_whose_numbers_are_none_is_not_a_pass(trained: Any, probes: Probes) -> None:
    wrecked = Target(trained.model, trained.tokenizer, 24).copy()
    with torch.no_grad():
        wrecked.model.model.layers[0].mlp.down_proj.weight.fill_(float("nan"))
    with pytest.raises(CannotRun, match="not finite"):
        Prompts().run(wrecked, probes)


def test_a_prompt_that_does_not_fit_is_said(trained: Any, probes: Probes) -> None:
    with pytest.raises(CannotRun, match="the model has room for 512"):
        Prompts().run(Target(trained.model, trained.tokenizer, 500), probes)
