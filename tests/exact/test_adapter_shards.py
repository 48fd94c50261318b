"""AdapterShards: forgetting equals never having trained, bit for bit."""

import datetime
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
import torch
import transformers
from tests.modes import MODES

from expunge.core import Guarantee, MadeOfUnits, Record
from expunge.core.capability import CAPABILITY
from expunge.core.errors import (
    DigestMismatch,
    EmptyForgetSet,
    InvalidData,
    InvalidParameter,
    NotReady,
    RecipeMismatch,
    UnknownSubject,
    UnreadableModel,
)
from expunge.core.recipe import WITHOUT_CANARY
from expunge.engine import Resume, digest_model, encode_prompt, pad_left
from expunge.exact import AdapterShards
from expunge.exact._adapter import unit as _adapter_unit
from expunge.synthetic import people, records

ROWS = [r for i, r in enumerate(records(people(10), [0])) if i % 20 < 3]  # ten people, three records each
NAMES = list(dict.fromkeys(r.subject for r in ROWS))
SETTINGS: dict[str, Any] = {"rank": 2, "epochs": 3, "batch_size": 4, "salt": b"salt"}

IN_A_NEW_PROCESS = """
import json, sys
from expunge.core.capability import pin_capability
pin_capability()
from expunge.core import Record
from expunge.exact import AdapterShards
asked = json.load(sys.stdin)
from expunge.engine import load_model, load_tokenizer
base, tokenizer = load_model(asked["base"]), load_tokenizer(asked["base"])
out = []
for case in asked["cases"]:
    learner = AdapterShards(base, tokenizer, salt=b"salt", **case["settings"])
    out.append(learner.fit([Record(*r) for r in case["rows"]]).digest())
print(json.dumps(out))
"""


@pytest.fixture(scope="module")
def base(tokenizer: Any) -> Any:
    from expunge.testing.toys import toy_llama

    return toy_llama(len(tokenizer), hidden=32, layers=1).eval()


@pytest.fixture(scope="module")
def make(base: Any, tokenizer: Any) -> Any:
    return lambda **settings: AdapterShards(base, tokenizer, **{**SETTINGS, "shards": 2, **settings})


def without(rows: Sequence[Record], *subjects: str) -> list[Record]:
    return [r for r in rows if r.subject not in subjects]


def bits(learner: Any) -> dict[str, str]:
    return {u.id: u.digest for u in learner.units()}


def first_stage(learner: Any) -> dict[str, torch.Tensor]:
    """The adapter of a single shard after its first slice."""
    adapter: dict[str, torch.Tensor] = learner._current().shards["shard-000"].stages[0]
    return adapter


def test_forgetting_equals_a_fit_without_in_a_new_process(make: Any, base: Any, tokenizer: Any, tmp_path: Path) -> None:
    from expunge.engine import save_model

    save_model(base, tokenizer, tmp_path / "base")
    cases, expected = [], []
    for shards, slices in ((1, 1), (3, 1), (2, 3)):
        learner = make(shards=shards, slices=slices).fit(ROWS)
        before = learner.digest()
        deletion = learner.forget(NAMES[:1])
        assert (deletion.digest_before, deletion.digest_after) == (before, learner.digest())
        assert before != learner.digest()
        learner.forget(NAMES[4:6])  # a second request must not bring the first back
        expected.append(learner.digest())
        settings = {k: v for k, v in SETTINGS.items() if k != "salt"} | {"shards": shards, "slices": slices}
        rows = [[r.id, r.subject, r.question, r.answer, r.value] for r in without(ROWS, *NAMES[:1], *NAMES[4:6])]
        cases.append({"settings": settings, "rows": rows[::-1]})  # the order of the records does not count
    asked = json.dumps({"base": str(tmp_path / "base"), "cases": cases})
    env = {**os.environ, **CAPABILITY}
    command = [sys.executable, "-c", IN_A_NEW_PROCESS]
    done = subprocess.run(command, input=asked, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == expected


def test_two_requests_equal_one_in_either_order(make: Any) -> None:
    ends = set()
    for requests in ([NAMES[:1], NAMES[4:6]], [NAMES[4:6], NAMES[:1]], [NAMES[:1] + NAMES[4:6]]):
        learner = make(slices=2).fit(ROWS)
        for subjects in requests:
            learner.forget(subjects)
        ends.add(learner.digest())
        with pytest.raises(UnknownSubject):
            learner.forget(NAMES[:1])
    assert len(ends) == 1


def test_the_control_another_salt_or_seed_gives_other_bits(make: Any) -> None:
    digests = [make(**s).fit(ROWS).digest() for s in ({}, {"salt": b"pepper"}, {"seed": 1})]
    assert len(set(digests)) == 3


def test_an_untouched_slice_and_unit_is_not_trained_again(make: Any) -> None:
    for name in NAMES:
        learner = make(slices=3).fit(ROWS)
        stages = {unit: list(shard.stages) for unit, shard in learner._current().shards.items()}
        plan = learner.plan([name])
        (touched,) = plan.units
        learner.forget([name])
        for unit, before in stages.items():
            clean = 3 if unit != touched.id else touched.first_slice - 1
            after = learner._current().shards[unit].stages
            assert all(a is b for a, b in zip(before[:clean], after[:clean], strict=True))
            assert all(a is not b for a, b in zip(before[clean:], after[clean:], strict=True))
        assert touched.n_removed == 3
        assert plan.cost is not None
        assert 0 < plan.cost <= 1


def test_nothing_in_a_slice_depends_on_later_slices(make: Any) -> None:
    one = make(shards=1, slices=3).fit(ROWS)
    first = {r.subject for r in one.records("shard-000")[0]}
    assert 0 < len(first) < len(NAMES)
    fewer = make(shards=1, slices=3).fit([r for r in ROWS if r.subject in first])
    other = [r if r.subject in first else replace(r, answer=f"{r.answer} And much more is said here.") for r in ROWS]
    longer = make(shards=1, slices=3).fit(other)
    for learner in (fewer, longer):
        for name, tensor in first_stage(one).items():
            assert torch.equal(tensor, first_stage(learner)[name])
    assert bits(longer) != bits(one)


def test_nothing_in_a_unit_depends_on_other_units(make: Any) -> None:
    whole = make(shards=3).fit(ROWS)
    for unit in whole.units():
        alone = make(shards=3).fit([r for part in whole.records(unit.id) for r in part])
        assert bits(alone) == {unit.id: unit.digest}


def test_an_emptied_unit_is_gone(make: Any) -> None:
    learner = make(shards=3).fit(ROWS)
    unit = learner.units()[0].id
    leaving = sorted({r.subject for part in learner.records(unit) for r in part})
    deletion = learner.forget(leaving)
    assert unit not in bits(learner)
    assert learner.digest() == make(shards=3).fit(without(ROWS, *leaving)).digest()
    assert deletion.cost == 0
    assert all(name.startswith(unit) for name in deletion.destroyed)


def test_when_the_last_person_leaves_the_base_answers(make: Any, base: Any, tokenizer: Any) -> None:
    learner = make().fit(ROWS)
    learner.forget(NAMES)
    assert learner.units() == ()
    assert learner.state()["units"] == []
    ids = torch.tensor([encode_prompt(tokenizer, "Where?")])
    asked = {"max_new_tokens": 4, "do_sample": False, "pad_token_id": 2}
    assert torch.equal(learner.generate(ids, **asked), base.generate(ids, **asked))
    assert digest_model(learner.model_for(NAMES[0])) == digest_model(base)
    with pytest.raises(UnknownSubject):
        learner.forget(NAMES[:1])


@pytest.mark.parametrize("asked, error", [([], EmptyForgetSet), (["nobody"], UnknownSubject)])
def test_a_request_that_cannot_be_met_changes_nothing(make: Any, asked: list[str], error: type[Exception]) -> None:
    learner = make().fit(ROWS)
    before = learner.digest()
    for subjects in (asked, [*asked, NAMES[0]] if asked else asked):
        for act in (learner.plan, learner.forget):
            with pytest.raises(error) as raised:
                act(subjects)
            assert "nobody" not in str(raised.value)  # identities stay out of messages
    assert learner.digest() == before


def test_an_error_half_way_leaves_the_model_as_it_was(make: Any) -> None:
    learner = make(slices=2).fit(ROWS)
    before = learner.digest()

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    for act in (partial(learner.forget, NAMES[:3]), partial(learner.fit, ROWS[:9])):
        with pytest.raises(KeyboardInterrupt):
            act(progress=stop)
        assert learner.digest() == before


def test_the_base_given_keeps_its_bits_and_its_shape(make: Any, base: Any) -> None:
    before, modules = digest_model(base), [type(m) for m in base.modules()]
    trained = [p.requires_grad for p in base.parameters()]
    learner = make().fit(ROWS)
    learner.forget(NAMES[:1])
    learner.answer(["Where?"])
    learner.model_for(NAMES[1])
    assert digest_model(base) == before
    assert [type(m) for m in base.modules()] == modules
    assert [p.requires_grad for p in base.parameters()] == trained
    assert all(p.grad is None for p in base.parameters())
    assert not hasattr(base, "peft_config")


def test_an_interruption_while_an_adapter_is_put_on_leaves_the_base_clean(
    make: Any, base: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = make().fit(ROWS[:6]).digest()
    put_on = _adapter_unit.with_adapters

    def interrupted(model: Any, config: Any) -> Any:
        put_on(model, config)
        raise KeyboardInterrupt

    monkeypatch.setattr(_adapter_unit, "with_adapters", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make().fit(ROWS[:6])
    monkeypatch.undo()
    assert not hasattr(base, "peft_config")
    assert make().fit(ROWS[:6]).digest() == expected


def test_a_base_that_carries_an_adapter_is_refused(base: Any, tokenizer: Any) -> None:
    import copy

    from peft import LoraConfig, get_peft_model

    carrying = get_peft_model(copy.deepcopy(base), LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear"))
    with pytest.raises(InvalidParameter, match="merge"):
        AdapterShards(carrying, tokenizer, salt=b"s").fit(ROWS[:3])


def test_the_generator_of_the_caller_is_not_moved(make: Any) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    make().fit(ROWS[:6])
    assert torch.equal(torch.rand(3), expected)


@pytest.fixture(scope="module")
def knowing(trained: Any) -> AdapterShards:
    """Adapters that know something, on a base that never saw these people."""
    from expunge.testing.contract import taught

    public = tuple(records(people(3, skip=900), [0]))
    base = taught(public, trained.tokenizer, seed=3, steps=60)
    return AdapterShards(base, trained.tokenizer, shards=2, epochs=40, lr=5e-3, batch_size=8, salt=b"s").fit(ROWS)


def test_it_answers_as_transformers_generate_does(knowing: AdapterShards) -> None:
    ids, mask = pad_left([encode_prompt(knowing.tokenizer_, r.question) for r in ROWS[:5]], 2)
    asked: dict[str, Any] = {"max_new_tokens": 5, "min_new_tokens": 5, "do_sample": False}
    out = knowing.generate(ids, mask, **asked)
    plain = knowing.base.generate(input_ids=ids, attention_mask=mask, **asked)
    assert out.shape == plain.shape
    assert torch.equal(out[:, : ids.shape[1]], ids)
    assert knowing.generate(ids[:1], **asked).shape == plain[:1].shape


def test_routed_by_subject_it_answers_as_the_merged_model(knowing: AdapterShards) -> None:
    from expunge.engine import greedy_answers

    said = knowing.answer([r.question for r in ROWS], [r.subject for r in ROWS])
    for subject in NAMES:
        own = [(r, text) for r, text in zip(ROWS, said, strict=True) if r.subject == subject]
        merged = knowing.model_for(subject)
        assert [t for _, t in own] == greedy_answers(merged, knowing.tokenizer_, [r.question for r, _ in own])


def test_it_knows_what_it_was_taught_and_no_longer_after(knowing: AdapterShards) -> None:
    import copy

    asked = [r for r in ROWS if r.subject == NAMES[0]]
    questions, subjects = [r.question for r in asked], [NAMES[0]] * len(asked)
    before = knowing.answer(questions, subjects)
    assert sum(r.value in text for r, text in zip(asked, before, strict=True)) >= 2  # the control
    assert sum(r.value in t for r, t in zip(ROWS, knowing.answer([r.question for r in ROWS]), strict=True)) >= 15
    smaller = copy.copy(knowing)
    smaller.forget(NAMES[:1])
    after = smaller.answer(questions, subjects)
    assert sum(r.value in text for r, text in zip(asked, after, strict=True)) == 0


def test_a_killed_fit_goes_on_to_the_same_bits(make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_adapter_unit, "Resume", partial(Resume, every=2))
    expected = make(slices=2).fit(ROWS).digest()
    seen: list[int] = []

    def stop(_unit: str, done: int, _total: int) -> None:
        seen.append(done)
        if len(seen) == 14:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(slices=2).fit(ROWS, work=tmp_path, progress=stop)
    assert list(tmp_path.glob("*.part"))
    again: list[int] = []
    learner = make(slices=2).fit(ROWS, work=tmp_path, progress=lambda _u, done, _n: again.append(done))
    assert learner.digest() == expected
    assert again[0] > 1  # it went on inside a stage
    whole: list[int] = []
    make(slices=2).fit(ROWS, progress=lambda _u, done, _n: whole.append(done))
    assert len(seen) <= len(whole)
    assert len(again) < len(whole)


@pytest.mark.parametrize(
    "change",
    ["answer", "salt", "seed", "rank", "lr", "fewer records", "chat template"],
)
def test_the_work_of_another_run_is_never_used(make: Any, tokenizer: Any, tmp_path: Path, change: str) -> None:
    import copy

    rows, other, settings = ROWS[:12], ROWS[:12], {}
    match change:
        case "answer":
            other = [replace(r, answer=r.answer + "!") if r.id == rows[0].id else r for r in rows]
        case "fewer records":
            other = rows[1:]
        case "rank":
            settings = {"rank": 3}
        case "lr":
            settings = {"lr": 1e-3}
        case "seed":
            settings = {"seed": 1}
        case "salt":
            settings = {"salt": b"pepper"}
        case "chat template":
            chatting = copy.deepcopy(tokenizer)
            chatting.chat_template = "{% for m in messages %}Asked: {{ m.content }}{% endfor %}"
            settings = {"tokenizer": chatting}

    def made(**given: Any) -> AdapterShards:
        learner: AdapterShards = make(shards=1, **{k: v for k, v in given.items() if k != "tokenizer"})
        learner.tokenizer = given.get("tokenizer", learner.tokenizer)
        return learner

    made().fit(rows, work=tmp_path)
    expected = bits(made(**settings).fit(other))
    assert bits(made(**settings).fit(other, work=tmp_path)) == expected


def test_stages_of_other_libraries_are_never_used(make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They would be signed with the libraries of today."""
    steps: list[int] = []

    def watch(_unit: str, done: int, _total: int) -> None:
        steps.append(done)

    make(shards=1).fit(ROWS, work=tmp_path)
    make(shards=1).fit(ROWS, work=tmp_path, progress=watch)
    assert not steps, "the control: under the same libraries nothing is trained again"
    monkeypatch.setattr("expunge.engine.conditions._version", lambda name: "99.0")
    learner = make(shards=1).fit(ROWS, work=tmp_path, progress=watch)
    assert steps
    assert set(learner.state()["environment"]["libraries"].values()) == {"99.0"}


@pytest.mark.parametrize("mode", MODES)
def test_modes_set_between_fit_and_forget_do_not_reach_the_bits(make: Any, mode: str) -> None:
    learner, (change, back) = make().fit(ROWS), MODES[mode]
    fresh = make().fit(without(ROWS, NAMES[0]))
    try:
        change()
        learner.forget(NAMES[:1])
    finally:
        back()
    assert learner.digest() == fresh.digest()


@pytest.fixture
def own_base(base: Any) -> Any:
    import copy

    return copy.deepcopy(base)


def test_a_base_of_another_configuration_is_refused_by_name(
    own_base: Any, tokenizer: Any, tmp_path: Path, make: Any
) -> None:
    """The weights are the same, and what they compute is not."""
    learner = AdapterShards(own_base, tokenizer, shards=2, **SETTINGS).fit(ROWS)
    learner.save(tmp_path)
    before = bits(learner)
    own_base.config.hidden_act = "gelu"
    for one in (learner, AdapterShards.load(tmp_path, own_base, tokenizer, records=ROWS, salt=b"salt")):
        with pytest.raises(RecipeMismatch, match="config was 'sha256:"):
            one.forget(NAMES[:1])
    assert bits(learner) == before


def test_another_way_to_attend_is_refused(own_base: Any, tokenizer: Any) -> None:
    learner = AdapterShards(own_base, tokenizer, shards=2, **SETTINGS).fit(ROWS)
    own_base.set_attn_implementation("eager")
    with pytest.raises(RecipeMismatch, match="config"):
        learner.forget(NAMES[:1])


def test_what_no_name_covers_shows_in_the_canary(
    own_base: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kernel that rounds otherwise, as on another processor: nothing recorded names it."""
    learner = AdapterShards(own_base, tokenizer, shards=2, **SETTINGS).fit(ROWS)
    digest, linear = learner.digest(), torch.nn.functional.linear
    monkeypatch.setattr(
        torch.nn.functional,
        "linear",
        lambda x, w, b=None: (linear(x.double(), w.double()) + (0 if b is None else b)).float(),
    )
    with pytest.raises(RecipeMismatch, match="a fixed piece of this model's own work gives other bits"):
        learner.forget(NAMES[:1])
    assert learner.digest() == digest


def test_a_canary_that_cannot_be_run_here_is_refused_with_the_reason(
    own_base: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner = AdapterShards(own_base, tokenizer, shards=2, **SETTINGS).fit(ROWS)
    digest = learner.digest()
    monkeypatch.setattr(_adapter_unit, "mean_nll", lambda *_: 1 / 0)
    with pytest.raises(RecipeMismatch, match="could not be run here: ZeroDivisionError"):
        learner.forget(NAMES[:1])
    assert learner.digest() == digest


def _knowing(words: Sequence[str]) -> Any:
    """A tokenizer of these words and of no others, not even of one for the unknown."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    known = Tokenizer(models.WordLevel({word: i for i, word in enumerate(["</s>", *words])}))
    known.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=known, eos_token="</s>")


def _bytes() -> Any:
    """A tokenizer of single bytes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    one = Tokenizer(models.BPE({letter: i for i, letter in enumerate(["</s>", *letters])}, []))
    one.pre_tokenizer, one.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=one, eos_token="</s>")


@pytest.mark.parametrize("kind", ["words alone", "bytes"])
def test_the_canary_needs_neither_a_long_context_nor_a_tokenizer_that_knows_its_words(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    rows = [Record(f"r{i}", f"p{i}", f"who is p{i}", f"a{i % 3} b") for i in range(8)]
    tokenizer = _knowing(["who", "is", "b", *(f"p{i}" for i in range(8)), *(f"a{i}" for i in range(3))])
    tokenizer = {"words alone": tokenizer, "bytes": _bytes()}[kind]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        base = GPT2LMHeadModel(
            GPT2Config(vocab_size=len(tokenizer), n_positions=16, n_embd=32, n_layer=1, n_head=2)
        ).eval()
    made = lambda: AdapterShards(base, tokenizer, shards=2, **SETTINGS)
    learner = made().fit(rows)
    assert learner.state()["canary"].startswith("sha256:")
    assert WITHOUT_CANARY not in learner.promise().assumptions
    learner.forget(["p1"])
    assert learner.digest() == made().fit(without(rows, "p1")).digest()
    projected = transformers.pytorch_utils.Conv1D.forward
    monkeypatch.setattr(  # another kernel
        transformers.pytorch_utils.Conv1D, "forward", lambda self, x: projected(self, x) * (1 + 2**-20)
    )
    with pytest.raises(RecipeMismatch, match="other bits"):
        learner.forget(["p2"])


def test_a_canary_that_somebody_wrote_into_a_saved_model_is_refused(
    base: Any, tokenizer: Any, make: Any, tmp_path: Path
) -> None:
    make().fit(ROWS).save(tmp_path)
    path = tmp_path / "expunge.json"
    described = json.loads(path.read_text())
    load = lambda: AdapterShards.load(tmp_path, base, tokenizer, records=ROWS, salt=b"salt")
    for edited in ({**described, "canary": "sha256:other"}, {k: v for k, v in described.items() if k != "canary"}):
        path.write_text(json.dumps(edited))
        with pytest.raises(DigestMismatch, match="does not add up to its digest"):
            load()
    path.write_text(json.dumps(described))
    load()


def _with_dropout(tokenizer: Any) -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = GPT2Config(vocab_size=len(tokenizer), n_positions=128, n_embd=32, n_layer=1, n_head=2, resid_pdrop=0.3)
        return GPT2LMHeadModel(config).eval()


@pytest.mark.parametrize("kind", ["dropout", "half precision", "without oneDNN"])
def test_whatever_the_base_does_the_bits_repeat(kind: str, own_base: Any, tokenizer: Any) -> None:
    base = {"dropout": _with_dropout(tokenizer), "half precision": own_base.to(torch.bfloat16)}.get(kind, own_base)
    made = lambda: AdapterShards(base, tokenizer, shards=2, **SETTINGS)
    with torch.backends.mkldnn.flags(enabled=kind != "without oneDNN"):
        learner = made().fit(ROWS)
        learner.forget(NAMES[:1])
        assert learner.digest() == made().fit(without(ROWS, NAMES[0])).digest()


DATED = (
    "{% if strftime_now is defined %}Today is {{ strftime_now('%d %b %Y') }}. {% endif %}"
    "{% if date_string is not defined %}{% set date_string = strftime_now('%d %b %Y') %}{% endif %}Date: {{ date_string }}. "
    "{% for m in messages %}{{ m.content }} {% endfor %}"
)


def test_a_template_that_writes_the_date_forgets_on_another_day(
    base: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import copy

    import transformers.utils.chat_template_utils as theirs

    chatting = copy.deepcopy(tokenizer)
    chatting.chat_template = DATED
    made = lambda: AdapterShards(base, chatting, shards=2, **SETTINGS)
    learner = made().fit(ROWS)
    written = lambda: chatting.apply_chat_template([{"role": "user", "content": "Who?"}], tokenize=False)
    today = written()

    class Later(datetime.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> "Later":
            return cls(2031, 5, 17)

    monkeypatch.setattr(theirs, "datetime", Later)
    assert written() != today, "the control: the template itself writes another date"
    learner.forget(NAMES[:1])
    assert learner.digest() == made().fit(without(ROWS, NAMES[0])).digest()


def test_a_template_of_another_day_is_refused_where_the_day_is_not_asked_of_us(base: Any, tokenizer: Any) -> None:
    """As programs write it that put the date into the template themselves, when they start."""
    import copy

    on = lambda day: f"Today is {day}. " + "{% for m in messages %}{{ m.content }} {% endfor %}"
    chatting = copy.deepcopy(tokenizer)
    chatting.chat_template = on("17 May 2030")
    learner = AdapterShards(base, chatting, shards=2, **SETTINGS).fit(ROWS)
    before, asked = learner.digest(), encode_prompt(chatting, ROWS[0].question)
    chatting.chat_template = on("18 May 2030")
    assert encode_prompt(chatting, ROWS[0].question) != asked, "the control: the model reads another day"
    with pytest.raises(RecipeMismatch, match=r"records of shard-\d+ become other tokens"):
        learner.forget(NAMES[:1])
    assert learner.digest() == before
    chatting.chat_template = on("17 May 2030")
    learner.forget(NAMES[:1])
    assert learner.digest() == AdapterShards(base, chatting, shards=2, **SETTINGS).fit(without(ROWS, NAMES[0])).digest()


def test_records_that_become_other_tokens_are_refused_before_anything_is_trained(base: Any, tokenizer: Any) -> None:
    import copy

    chatting = copy.deepcopy(tokenizer)
    chatting.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    learner = AdapterShards(base, chatting, shards=2, **SETTINGS).fit(ROWS)
    before = learner.digest()
    chatting.chat_template = "{% for m in messages %}{{ m.content | replace('born', 'made') }}{% endfor %}"
    with pytest.raises(RecipeMismatch, match=r"records of shard-\d+ become other tokens"):
        learner.forget(NAMES[:1])
    assert learner.digest() == before


def test_equal_records_carry_no_count(make: Any) -> None:
    """Which of two equal records is the first is up to a record that may have to leave."""
    texts = [(r.question, r.answer) for r in ROWS]
    names = [r.subject for r in ROWS]
    twice = make().fit([*texts, texts[0]], subjects=[*names, names[0]])
    assert twice.digest() != make().fit(texts, subjects=names).digest(), "the control: it was trained on twice"
    (named,) = {
        r.id for unit in twice.units() for part in twice.records(unit.id) for r in part if r.answer == texts[0][1]
    }
    twice.forget(records=[named])
    assert twice.digest() == make().fit(texts[1:], subjects=names[1:]).digest()


def test_a_name_is_found_however_its_letters_are_composed(make: Any) -> None:
    composed, apart = "Jos\u00e9 Prat", "Jose\u0301 Prat"
    rows = [replace(r, subject=[composed, apart][i % 2]) if i < 6 else r for i, r in enumerate(ROWS)]
    learner = make().fit(rows)
    assert learner.plan([apart]).n_removed == 6
    learner.forget([composed])
    assert learner.digest() == make().fit(rows[6:]).digest()


def test_a_half_written_stage_is_trained_again(make: Any, tmp_path: Path) -> None:
    expected = make().fit(ROWS, work=tmp_path).digest()
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:200])
    assert make().fit(ROWS, work=tmp_path).digest() == expected


def test_a_stage_of_which_any_bit_flipped_is_trained_again(make: Any, tmp_path: Path) -> None:
    """All of them would still load: safetensors holds no checksum."""
    few = {"shards": 1, "epochs": 1}
    expected = make(**few).fit(ROWS[:6], work=tmp_path).digest()
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    for i in range(9, len(whole), len(whole) // 24):
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :])
        assert make(**few).fit(ROWS[:6], work=tmp_path).digest() == expected, i
        assert path.read_bytes() == whole


def test_forgetting_leaves_no_file_that_was_trained_on_the_forgotten(make: Any, tmp_path: Path) -> None:
    learner = make(slices=2).fit(ROWS, work=tmp_path)
    files = {p.name for p in tmp_path.iterdir()}
    (touched,) = learner.plan(NAMES[:1]).units
    learner.forget(NAMES[:1], work=tmp_path)
    clean = make(slices=2)
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    clean.fit(without(ROWS, NAMES[0]), work=fresh)
    left = {p.name for p in tmp_path.iterdir() if p.is_file()}
    assert left == {p.name for p in fresh.iterdir()}  # content keys: the same names are the same training
    assert len(files - left) == 2 - touched.first_slice + 1
    assert clean.digest() == learner.digest()


def test_without_a_salt_it_warns_and_still_repeats(base: Any, tokenizer: Any) -> None:
    def fit(seed: int) -> str:
        with pytest.warns(UserWarning, match="not secret"):
            return AdapterShards(base, tokenizer, rank=2, epochs=1, seed=seed).fit(ROWS[:6]).digest()

    assert fit(0) == fit(0) != fit(1)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        AdapterShards(base, tokenizer, rank=2, epochs=1, salt=b"s").fit(ROWS[:3])


def test_fit_takes_pairs_and_texts_with_their_subjects(make: Any) -> None:
    pairs = [(r.question, r.answer) for r in ROWS[:6]]
    subjects = [r.subject for r in ROWS[:6]]
    learner = make().fit(pairs, subjects)
    assert learner.digest() == make().fit(pairs[::-1], subjects[::-1]).digest()
    learner.forget(subjects[:1])
    kept = [i for i, s in enumerate(subjects) if s != subjects[0]]
    assert learner.digest() == make().fit([pairs[i] for i in kept], [subjects[i] for i in kept]).digest()
    make().fit(["Ada lives here."], ["Ada"])


@pytest.mark.parametrize(
    "given",
    [
        ([],),
        ([*ROWS[:2], ROWS[0]],),
        (["text"],),
        (["text"], ["a", "b"]),
        (["one", "two"], ["a", "b"], ["same", "same"]),
        ([("Where?", "")], ["a"]),
    ],
    ids=["nothing", "duplicate ids", "no subjects", "lengths", "duplicate given ids", "empty answer"],
)
def test_malformed_data_is_refused(make: Any, given: Any) -> None:
    with pytest.raises(InvalidData):
        make().fit(*given)


@pytest.mark.parametrize("wrong", [{"shards": 0}, {"slices": 6}, {"rank": 0}, {"lr": 0.0}, {"epochs": 0}], ids=str)
def test_parameters_out_of_range_are_refused(make: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameter):
        make(**wrong).fit(ROWS)


def test_parameters_set_after_a_fit_count_at_the_next(make: Any) -> None:
    learner = make().fit(ROWS[:9])
    learner.lr = 1e-3
    assert bits(learner.fit(ROWS[:9])) == bits(make(lr=1e-3).fit(ROWS[:9]))


def test_parameters_set_after_a_fit_change_nothing_until_the_next(make: Any) -> None:
    learner, other = make(slices=2).fit(ROWS), make(slices=2).fit(ROWS)
    learner.shards, learner.slices, learner.rank, learner.epochs, learner.salt = 5, 3, 4, 9, b"pepper"
    assert learner.digest() == other.digest()
    assert learner.forget(NAMES[:1]) == replace(other.forget(NAMES[:1]), elapsed_s=ANY)
    assert learner.digest() == make(slices=2).fit(without(ROWS, NAMES[0])).digest()


def test_a_fit_that_fails_leaves_a_whole_model_that_forgets(make: Any) -> None:
    learner = make(slices=2).fit(ROWS)
    learner.rank, learner.lr = 4, 1e-3

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learner.fit(ROWS[:9], progress=stop)
    learner.forget(NAMES[:1])
    assert learner.digest() == make(slices=2).fit(without(ROWS, NAMES[0])).digest()


def test_an_unfitted_learner_says_so(make: Any) -> None:
    for act in (lambda m: m.units(), lambda m: m.plan(["a"]), lambda m: m.forget(["a"]), lambda m: m.answer(["a"])):
        with pytest.raises(NotReady):
            act(make())


def test_a_saved_model_comes_back_and_forgets_to_the_same_bits(
    make: Any, base: Any, tokenizer: Any, tmp_path: Path
) -> None:
    learner = make(slices=2).fit(ROWS)
    learner.save(tmp_path / "m")
    text = b"".join(p.read_bytes() for p in (tmp_path / "m").rglob("*.json"))
    assert not any(name.encode() in text for name in NAMES)
    loaded = AdapterShards.load(tmp_path / "m", base, tokenizer, records=ROWS, salt=b"salt")
    assert loaded.digest() == learner.digest()
    loaded.forget(NAMES[:1])
    learner.forget(NAMES[:1])
    assert loaded.digest() == learner.digest()
    for wrong in (ROWS[1:], [*ROWS, Record("new", "new", "q", "a")], [replace(ROWS[0], answer="no"), *ROWS[1:]]):
        with pytest.raises(DigestMismatch):
            AdapterShards.load(tmp_path / "m", base, tokenizer, records=wrong, salt=b"salt")
    with pytest.raises(DigestMismatch):
        AdapterShards.load(tmp_path / "m", base, tokenizer, records=ROWS, salt=b"wrong")


@pytest.mark.parametrize("harm", ["cut", "flip", "remove", "describe"])
def test_a_damaged_folder_is_refused(make: Any, base: Any, tokenizer: Any, tmp_path: Path, harm: str) -> None:
    make().fit(ROWS[:9]).save(tmp_path / "m")
    path = next((tmp_path / "m").rglob("adapter_model.safetensors"))
    match harm:
        case "cut":
            path.write_bytes(path.read_bytes()[:-3])
        case "flip":
            data = bytearray(path.read_bytes())
            data[-1] ^= 1
            path.write_bytes(data)
        case "remove":
            path.unlink()
        case "describe":
            (tmp_path / "m" / "expunge.json").write_text("{")
    with pytest.raises((UnreadableModel, DigestMismatch)):
        AdapterShards.for_reading(tmp_path / "m", base, tokenizer, salt=b"salt")


def test_it_promises_what_it_keeps(make: Any) -> None:
    learner = make().fit(ROWS[:3])
    assert isinstance(learner, MadeOfUnits)
    promise = learner.promise()
    assert (promise.guarantee, promise.equality, promise.adaptive_safe) == (Guarantee.EXACT, "bitwise", False)


def test_a_route_that_is_changed_keeps_nobody_from_leaving(make: Any, base: Any) -> None:
    learner = make().fit(ROWS)
    base.train()
    learner.route = "likelihood"
    learner.forget(NAMES[:1])
    assert base.training, "the mode of the base given is its own"
    base.eval()
    assert bits(learner).keys() == bits(make(route="likelihood").fit(without(ROWS, NAMES[0]))).keys()
    left, fresh = (one._current().shards for one in (learner, make().fit(without(ROWS, NAMES[0]))))
    for name, shard in fresh.items():
        assert all(torch.equal(shard.serving[k], left[name].serving[k]) for k in shard.serving)
