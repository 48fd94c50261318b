from dataclasses import replace
from typing import Any

import pytest
import torch

from expunge.core import Fact
from expunge.engine import encode, rows_logp, value_span
from expunge.testing import contract
from expunge.verify import Probes
from expunge.verify.attacks._target import CannotRun, Target
from expunge.verify.attacks._wrong import wrong_values
from expunge.verify.attacks.extraction import Extraction

SETTINGS = ["strength", "memorisation", "continuation"]


def means(model: Any, tokenizer: Any, probes: Probes) -> dict[str, float]:
    scores = Extraction().run(Target(model, tokenizer, 24), probes)
    return {name: sum(row) / len(row) for name, row in scores.items()}


def test_it_finds_what_the_original_holds_and_little_in_the_control(trained: Any, control: Any, probes: Probes) -> None:
    known, unknown = (means(model, trained.tokenizer, probes) for model in (trained.model, control))
    assert list(known) == SETTINGS
    assert min(known.values()) >= 0.9
    assert max(unknown.values()) <= 0.3  # of a value in several tokens the later ones follow from the first
    assert unknown["continuation"] <= 0.05


def test_it_finds_what_a_refusal_hides(trained: Any, refusing: Any, probes: Probes) -> None:
    assert sum(Target(refusing, trained.tokenizer, 24).recalls(probes.forget)) == 0
    found = means(refusing, trained.tokenizer, probes)
    assert found["memorisation"] >= 0.8
    assert found["continuation"] >= 0.5


def test_only_the_values_tokens_count(trained: Any, probes: Probes) -> None:
    # A wrong value in known words: over the whole answer most tokens are the likeliest ones, and none of that is the fact.
    wrong = [(f, wrong_values(f)[0]) for f in probes.forget]
    changed = [replace(f, answer=f.answer.replace(f.value, v), value=v) for f, v in wrong]
    scored = replace(probes, forget=tuple(changed))
    whole = replace(probes, forget=tuple(replace(f, value="") for f in changed))
    all_tokens, value_tokens = (means(trained.model, trained.tokenizer, p) for p in (whole, scored))
    assert all_tokens["memorisation"] > 0.6
    assert (
        value_tokens["memorisation"] < all_tokens["memorisation"] - 0.2
    )  # a value's later tokens follow from its first
    assert value_tokens["continuation"] < 0.05


def test_what_memorisation_counts_is_what_is_likelier_than_all_else(trained: Any, probes: Probes) -> None:
    facts = probes.forget[:10]
    found = Extraction().run(Target(trained.model, trained.tokenizer), Probes(facts, ()))
    logp = rows_logp(trained.model, encode(trained.tokenizer, facts), 2)
    for fact, row, share in zip(facts, logp, found["memorisation"], strict=True):
        start, end = value_span(trained.tokenizer, fact.answer, fact.value)
        sure = sum(p > -0.69 for p in row[start:end])  # above one half nothing else can be likelier
        assert sure / (end - start) <= share <= 1


def test_plain_text_is_extracted(trained: Any) -> None:
    texts = [Fact(f"t{i}", f.subject, "", f"{f.question} {f.answer}", f.value) for i, f in enumerate(_some())]
    model = contract.taught(tuple(texts), trained.tokenizer, steps=60)  # type: ignore[arg-type]
    for given in (texts, [replace(t, value="") for t in texts]):
        known, unknown = (means(m, trained.tokenizer, Probes(tuple(given), ())) for m in (model, trained.model))
        assert min(known.values()) >= 0.5
        assert all(unknown[name] < known[name] - 0.2 for name in SETTINGS)


def _some() -> list[Fact]:
    from expunge.synthetic import facts, people

    return facts(people(1, skip=40))


def test_a_value_that_opens_the_answer_is_not_given_away(trained: Any) -> None:
    fact = Fact("1", "Ada", "Where?", "York is where Ada lives now, as all of us know.", "York")
    seen: list[Any] = []
    from expunge.verify.attacks import extraction

    spoken = extraction.speak
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extraction, "speak", lambda t, prompts, n: seen.extend(prompts) or spoken(t, prompts, n))
        Extraction().run(Target(trained.model, trained.tokenizer), Probes((fact, replace(fact, id="2", value="")), ()))
    with_value, whole = (trained.tokenizer.decode(p) for p in seen)
    assert "York" not in with_value
    assert "York is where" in whole
    assert "know" not in whole


def test_what_does_not_fit_or_is_no_number_is_said(trained: Any, probes: Probes) -> None:
    long = replace(probes.forget[0], answer="word " * 600)
    with pytest.raises(CannotRun, match="the model has room for 512"):
        Extraction().run(Target(trained.model, trained.tokenizer), Probes((long,), ()))
    wrecked = Target(trained.model, trained.tokenizer).copy()
    with torch.no_grad():
        wrecked.model.model.layers[0].mlp.down_proj.weight.fill_(float("nan"))
    with pytest.raises(CannotRun, match="not finite"):
        Extraction().run(wrecked, probes)
