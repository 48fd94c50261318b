"""Who is asked: the words that a shard knows go with its records, and strangers are left to the base."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from expunge.core import Record
from expunge.core.errors import InvalidParameter, NotReady, UnreadableModel
from expunge.core.placement import SHARD, place
from expunge.engine import encode_prompt, greedy_answers, pad_left
from expunge.exact import AdapterShards
from expunge.exact._adapter.words import known_share, known_words, most_known, weights
from expunge.synthetic import people, records

PEOPLE = people(8)
ROWS = [r for i, r in enumerate(records(PEOPLE, [0, 1])) if i % 40 < 8]
NAMES = [p.name for p in PEOPLE]
UNSEEN = [r for i, r in enumerate(records(PEOPLE, [2])) if i % 20 < 8]
STRANGERS = [r for i, r in enumerate(records(people(8, seed=3), [0, 1, 2])) if i % 60 < 12]
SALT = b"salt"
WORD_FILES = "words.safetensors"


@pytest.fixture(scope="module")
def knowing() -> tuple[Any, Any]:
    """A base that knows how people are asked about, and nothing of those asked about here."""
    from expunge.testing.contract import taught
    from expunge.testing.toys import toy_tokenizer

    public = tuple(r for i, r in enumerate(records(people(12, seed=5), [0, 1, 2])) if i % 60 < 24)
    tokenizer = toy_tokenizer([f"{r.question} {r.answer}" for r in public], 800)
    return taught(public, tokenizer, steps=100), tokenizer


@pytest.fixture(scope="module")
def fitted(knowing: tuple[Any, Any]) -> AdapterShards:
    base, tokenizer = knowing
    return AdapterShards(base, tokenizer, shards=3, rank=4, epochs=20, lr=1e-2, batch_size=8, salt=SALT).fit(ROWS)


def prompts(tokenizer: Any, rows: list[Record]) -> tuple[torch.Tensor, torch.Tensor]:
    return pad_left([encode_prompt(tokenizer, r.question) for r in rows], 2)


def chosen(learner: AdapterShards, rows: list[Record], known: dict[str, torch.Tensor]) -> list[str | None]:
    ids, mask = prompts(learner.tokenizer_, rows)
    best = most_known(learner.base, learner.tokenizer_, list(known.values()), SALT, ids, mask)
    return [None if i is None else list(known)[i] for i in best]


def words_of(rows: list[Record], shards: int) -> dict[str, torch.Tensor]:
    """Words of every shard, told from names and placement alone."""
    homes = {r.id: f"shard-{place(r.subject, SALT, shards, SHARD):03d}" for r in rows}
    return {home: known_words([r for r in rows if homes[r.id] == home], SALT) for home in sorted(set(homes.values()))}


def known_by(learner: AdapterShards) -> dict[str, torch.Tensor]:
    """Words that the shards of a learner hold."""
    return {name: shard.words for name, shard in learner._current().shards.items() if shard.words is not None}


def test_questions_find_their_shard_in_trained_and_unseen_words(fitted: AdapterShards) -> None:
    known = words_of(ROWS, 3)
    for rows in (ROWS, UNSEEN):
        right = [f"shard-{place(r.subject, SALT, 3, SHARD):03d}" for r in rows]
        found = chosen(fitted, rows, known)
        assert sum(a == b for a, b in zip(found, right, strict=True)) >= 0.99 * len(rows)
    swapped = dict(zip(known, reversed(list(known.values())), strict=True))  # the control: what is known decides
    right = [f"shard-{place(r.subject, SALT, 3, SHARD):03d}" for r in UNSEEN]
    assert sum(a == b for a, b in zip(chosen(fitted, UNSEEN, swapped), right, strict=True)) < 0.7 * len(UNSEEN)


SYSTEM = "You are a helpful assistant named Wend, trained by the Quorvane institute of Dellmoor to answer with care."


@pytest.fixture(scope="module")
def chatting(knowing: tuple[Any, Any]) -> Any:
    """The same tokenizer with a template that opens every prompt with a long system message."""
    import copy

    tokenizer = copy.deepcopy(knowing[1])
    tokenizer.chat_template = (
        f"system {SYSTEM}\n{{% for m in messages %}}{{{{ m.role }}}} {{{{ m.content }}}}\n{{% endfor %}}"
        "{% if add_generation_prompt %}assistant {% endif %}"
    )
    return tokenizer


def test_what_a_template_writes_around_a_question_weighs_nothing(knowing: tuple[Any, Any], chatting: Any) -> None:
    base, plain = knowing
    question = UNSEEN[0].question
    (alone,), (templated,) = (weights(base, t, *pad_left([encode_prompt(t, question)], 2)) for t in (plain, chatting))
    assert [word for word, _ in templated] == [word for word, _ in alone]
    (whole,) = weights(base, plain, *pad_left([encode_prompt(plain, f"system {SYSTEM} {question}")], 2))
    assert sum(w for _, w in whole) > 2 * sum(w for _, w in templated), "the control: the message would weigh most"


@pytest.fixture(scope="module")
def assistant(chatting: Any) -> Any:
    """A base that was trained through the template, as an assistant is."""
    from expunge.testing.contract import taught

    public = tuple(r for i, r in enumerate(records(people(12, seed=5), [0, 1, 2])) if i % 60 < 24)
    return taught(public, chatting, steps=60)


@pytest.mark.parametrize("route", ["words", "likelihood"])
def test_questions_find_their_shard_through_a_long_template(assistant: Any, chatting: Any, route: Any) -> None:
    settings: dict[str, Any] = {"shards": 3, "rank": 4, "epochs": 12 if route == "likelihood" else 1, "lr": 1e-2}
    learner = AdapterShards(assistant, chatting, **settings, batch_size=8, salt=SALT, route=route).fit(ROWS)
    share = learner.share_found()
    assert share is not None
    assert share >= (0.99 if route == "words" else 0.6)
    if route == "words":
        found = chosen(learner, STRANGERS, known_by(learner))
        assert sum(unit is None for unit in found) >= 0.95 * len(found)


def test_the_share_that_finds_its_shard_is_told_and_of_what(fitted: AdapterShards) -> None:
    import copy

    assert (fitted.share_found() or 0.0) >= 0.99
    lost = copy.copy(fitted)
    state = fitted._current()
    wordless = {name: replace(shard, words=torch.zeros(0, dtype=torch.int64)) for name, shard in state.shards.items()}
    lost._fitted = replace(state, shards=wordless)
    assert lost.share_found() == 0.0
    texts = AdapterShards(fitted.base, fitted.tokenizer, shards=1, rank=1, epochs=1, salt=SALT)
    assert texts.fit(["Ada lives in Velm."], subjects=["Ada"]).share_found() is None


def test_strangers_are_left_to_the_base(fitted: AdapterShards) -> None:
    found = chosen(fitted, STRANGERS, words_of(ROWS, 3))
    assert sum(unit is None for unit in found) >= 0.95 * len(found)
    base = greedy_answers(fitted.base, fitted.tokenizer_, [r.question for r in STRANGERS], 8)
    answers = fitted.answer([r.question for r in STRANGERS], max_new_tokens=8)
    assert sum(a == b for a, b in zip(answers, base, strict=True)) >= 0.95 * len(base)


def test_a_person_who_left_is_a_stranger(fitted: AdapterShards, knowing: tuple[Any, Any]) -> None:
    import copy

    theirs = [r for r in UNSEEN if r.subject == NAMES[0]]
    home = f"shard-{place(NAMES[0], SALT, 3, SHARD):03d}"
    assert chosen(fitted, theirs, words_of(ROWS, 3)) == [home] * len(theirs)
    learner = copy.copy(fitted)
    deletion = learner.forget([NAMES[0]])
    assert f"{home}/words" in deletion.destroyed
    assert chosen(learner, theirs, known_by(learner)) == [None] * len(theirs)


def test_the_words_held_after_a_deletion_are_those_of_a_fresh_fit(fitted: AdapterShards) -> None:
    import copy

    learner = copy.copy(fitted)
    learner.forget(NAMES[2:4])
    left = [r for r in ROWS if r.subject not in NAMES[2:4]]
    for unit, words in words_of(left, 3).items():
        assert torch.equal(known_by(learner)[unit], words)
    gone = set(known_words([r for r in ROWS if r.subject in NAMES[2:4]], SALT).tolist())
    still = {w for words in words_of(left, 3).values() for w in words.tolist()}
    known = {w for words in known_by(learner).values() for w in words.tolist()}
    assert gone - still  # the control: some words were only theirs
    assert not known & (gone - still)


def test_no_word_is_on_disk_and_without_the_salt_none_can_be_tried(fitted: AdapterShards, tmp_path: Path) -> None:
    fitted.save(tmp_path / "m")
    held = b"".join(p.read_bytes() for p in sorted((tmp_path / "m").rglob("*")) if p.is_file())
    assert (tmp_path / "m" / "units" / "shard-000" / WORD_FILES).exists()
    for name in NAMES:
        assert not any(part.encode() in held for part in (*name.split(), *name.casefold().split()))
    mine, other = known_words(ROWS, SALT), known_words(ROWS, b"pepper")
    assert len(mine) == len(other) > 100
    assert not set(mine.tolist()) & set(other.tolist())


@pytest.mark.parametrize("harm", ["remove", "cut", "empty"])
def test_damaged_words_are_refused(fitted: AdapterShards, knowing: tuple[Any, Any], tmp_path: Path, harm: str) -> None:
    from safetensors.torch import save_file

    from expunge.core.errors import DigestMismatch

    fitted.save(tmp_path / "m")
    path = tmp_path / "m" / "units" / "shard-001" / WORD_FILES
    match harm:
        case "remove":
            path.unlink()
        case "cut":
            path.write_bytes(path.read_bytes()[:-3])
        case "empty":
            save_file({"words": torch.zeros(0, dtype=torch.int64)}, path)
    with pytest.raises(UnreadableModel if harm == "cut" else DigestMismatch):
        AdapterShards.for_reading(tmp_path / "m", *knowing, salt=SALT)


def test_a_model_read_back_answers_alike(fitted: AdapterShards, knowing: tuple[Any, Any], tmp_path: Path) -> None:
    fitted.save(tmp_path / "m")
    loaded = AdapterShards.for_reading(tmp_path / "m", *knowing, salt=SALT)
    questions = [r.question for r in [*ROWS[:12], *STRANGERS[:6]]]
    assert {u.id: u.digest for u in loaded.units()} == {u.id: u.digest for u in fitted.units()}
    assert loaded.answer(questions, max_new_tokens=8) == fitted.answer(questions, max_new_tokens=8)


def test_the_other_route_answers_and_keeps_no_words(fitted: AdapterShards) -> None:
    other = AdapterShards.__new__(AdapterShards)
    other.__dict__.update(fitted.__dict__, route="likelihood")
    answers = other.answer([r.question for r in ROWS[:4]], max_new_tokens=6)
    assert len(answers) == 4
    assert any(answers)
    alone = AdapterShards(fitted.base, fitted.tokenizer, shards=2, rank=2, epochs=1, salt=SALT, route="likelihood")
    assert known_by(alone.fit(ROWS[:8])) == {}
    alone.route = "words"
    with pytest.raises(NotReady, match="words"):
        alone.answer([ROWS[0].question])


def test_a_route_that_is_changed_after_the_fit_survives_a_save(
    fitted: AdapterShards, knowing: tuple[Any, Any], tmp_path: Path
) -> None:
    other = AdapterShards.__new__(AdapterShards)
    other.__dict__.update(fitted.__dict__, route="likelihood")
    other.save(tmp_path / "m")
    loaded = AdapterShards.for_reading(tmp_path / "m", *knowing, salt=SALT)
    assert (loaded.route, loaded.answer([ROWS[0].question])) == ("likelihood", other.answer([ROWS[0].question]))


def test_a_word_weighs_what_its_tokens_cost_the_base(knowing: tuple[Any, Any]) -> None:
    base, tokenizer = knowing
    ids, mask = prompts(tokenizer, [ROWS[0], UNSEEN[5]])  # one of them is padded
    found = weights(base, tokenizer, ids, mask)
    for question, weighed in zip((ROWS[0].question, UNSEEN[5].question), found, strict=True):
        assert [w for w, _ in weighed] == question.casefold().rstrip("?").split()
        prompt = torch.tensor([encode_prompt(tokenizer, question)])
        with torch.no_grad():
            logp = base(input_ids=prompt).logits[0, :-1].log_softmax(-1)
        nats = [0.0, *(-logp.gather(1, prompt[0, 1:, None])[:, 0]).tolist()]
        pieces = [tokenizer.decode([i], skip_special_tokens=True) for i in prompt[0].tolist()]
        spoken = sum(n for n, piece in zip(nats, pieces, strict=True) if any(c.isalnum() for c in piece))
        assert sum(w for _, w in weighed) == pytest.approx(spoken, abs=1e-3)
    name = {part.casefold() for part in ROWS[0].subject.split()}
    heaviest = sorted(found[0], key=lambda item: -item[1])[:2]
    assert {word for word, _ in heaviest} == name


def test_pairs_of_words_tell_namesakes_apart() -> None:
    first = [
        Record("1", "Ada Moss", "Who is Ada Moss?", "A baker."),
        Record("2", "Eve Hill", "Who is Eve Hill?", "A tailor."),
    ]
    second = [replace(first[0], id="3", subject="Ada Hill", question="Who is Ada Hill?")]
    weighed = [("who", 0.1), ("is", 0.1), ("ada", 5.0), ("hill", 5.0)]
    shares = [known_share(set(known_words(rows, SALT).tolist()), weighed, SALT) for rows in (first, second)]
    assert shares[0] < shares[1] == 1.0


def test_letters_of_any_script_and_empty_questions_are_words_or_nothing(knowing: tuple[Any, Any]) -> None:
    base, tokenizer = knowing
    rows = [Record("1", "s", "Où vit Zoë Nuñez-Łęcka ?", "x"), Record("2", "s", "?!", "x")]
    ids, mask = prompts(tokenizer, rows)
    words = [[w for w, _ in weighed] for weighed in weights(base, tokenizer, ids, mask)]
    assert words == [["où", "vit", "zoë", "nuñez", "łęcka"], []]
    assert most_known(base, tokenizer, [known_words(rows[:1], SALT)], SALT, ids, mask) == [0, None]


def test_serving_tells_nobody_who_was_asked(fitted: AdapterShards) -> None:
    ids, mask = prompts(fitted.tokenizer_, ROWS[:2])
    assert isinstance(fitted.generate(ids, mask, max_new_tokens=2), torch.Tensor)
    assert all(isinstance(text, str) for text in fitted.answer([ROWS[0].question]))
    assert not [name for name in dir(fitted) if not name.startswith("_") and ("route_" in name or "score" in name)]


def test_an_unknown_route_is_refused(knowing: tuple[Any, Any]) -> None:
    with pytest.raises(InvalidParameter, match="words"):
        AdapterShards(*knowing, route="nearest", salt=SALT).fit(ROWS)  # type: ignore[arg-type]
