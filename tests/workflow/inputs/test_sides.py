"""What may be given as a forget or a retain set, and how the rest is refused: by place, all at once, without its content."""

import contextlib
import copy
import json
import sys
import types
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import expunge
from expunge import Edit
from expunge.approximate import run_edit
from expunge.approximate.npo import NPO
from expunge.core import Record
from expunge.core.errors import EmptyForgetSet, InvalidData, MissingExtra, UnknownMethod
from expunge.engine import answer_ids, digest_model, encode, encode_prompt, examples
from expunge.workflow.alone.trackers import tracker
from expunge.workflow.inputs import sides as edit_rows
from expunge.workflow.inputs.sides import array_rows, fitting, text_rows

PAIRS = [("Where was Ada born?", "In Brimford."), ("Who is Otto?", "A baker.")]
SHORT = Edit(steps=3, warmup=1, forget_batch=4, retain_batch=4)
CHATML = (
    "{% for m in messages %}<s>{{ m.role }}\n{{ m.content }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant\n{% endif %}"
)


@pytest.fixture(scope="module")
def chat(tokenizer: Any) -> Any:
    made = copy.deepcopy(tokenizer)
    made.chat_template = CHATML
    return made


@pytest.fixture
def rows(llama: Any, tokenizer: Any) -> Any:
    return lambda given, asked=tokenizer: text_rows(given, "forget", llama, asked)


def said(records: Any) -> list[tuple[str, str]]:
    return [(r.question, r.answer) for r in records]


def refused(rows: Any, given: Any, *words: str, **rest: Any) -> str:
    with pytest.raises(InvalidData) as raised:
        rows(given, **rest)
    message = str(raised.value)
    assert all(word in message for word in words), message
    assert "SECRET" not in message
    return message


def turns(*contents: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[k % 2], "content": content} for k, content in enumerate(contents)]


class Columns:
    """What a Hugging Face dataset looks like from outside."""

    column_names = ("question", "answer")

    def __init__(self, rows: list[tuple[str, str]]) -> None:
        self._rows = rows

    def __iter__(self) -> Any:
        return (dict(zip(self.column_names, row, strict=True)) for row in self._rows)


def test_the_same_rows_in_every_form_are_the_same_records(rows: Any, tmp_path: Path) -> None:
    as_dicts = [{"question": q, "answer": a} for q, a in PAIRS]
    lines, table = tmp_path / "a.jsonl", tmp_path / "a.parquet"
    lines.write_text("".join(json.dumps(row) + "\n" for row in as_dicts), "utf-8")
    pq.write_table(pa.Table.from_pylist(as_dicts), table)
    expected = rows(PAIRS).records
    assert said(expected) == PAIRS
    forms: list[Any] = [
        as_dicts,
        [list(pair) for pair in PAIRS],
        tuple(PAIRS),
        [{"prompt": q, "response": a} for q, a in PAIRS],
        [turns(q, a) for q, a in PAIRS],
        [{"messages": turns(q, a)} for q, a in PAIRS],
        [{"prompt": turns(q), "completion": [{"role": "assistant", "content": a}]} for q, a in PAIRS],
        Columns(PAIRS),
        lines,
        str(lines),
        table,
    ]
    for form in forms:
        assert rows(form).records == expected, form
    assert rows(PAIRS[::-1]).records == expected[::-1]  # a record is named by what it says, not by where it stands


def test_a_dataset_of_hugging_face_is_read(rows: Any) -> None:
    datasets = pytest.importorskip("datasets")
    columns = {"question": [q for q, _ in PAIRS], "answer": [a for _, a in PAIRS], "source": ["x", "y"]}
    found = rows(datasets.Dataset.from_dict(columns))
    assert found.records == rows(PAIRS).records
    assert found.notes == ("not used: source",)
    refused(rows, datasets.DatasetDict({"train": datasets.Dataset.from_dict(columns)}), "dict of splits (train)")


def test_records_pass_as_they_are(rows: Any) -> None:
    given = [Record("mine", "Ada", "Where?", "In Brimford.", value="Brimford"), Record("plain", "Ada", "", "A text.")]
    assert list(rows(given).records) == given
    refused(rows, [Record("a", "", "Where?", " \n")], "index 0: the answer is empty")


def test_subjects_and_values_of_rows_are_kept(rows: Any) -> None:
    (record,) = rows([{"question": "Where?", "answer": "In Brimford.", "subject": "Ada", "value": "Brimford"}]).records
    assert (record.subject, record.value) == ("Ada", "Brimford")


def test_every_bad_row_is_named_by_its_index_without_its_content(rows: Any) -> None:
    message = refused(
        rows,
        [
            *PAIRS,
            {"question": "SECRET"},
            ("SECRET", ""),
            42,
            ("SECRET", "SECRET", "SECRET"),
            {"role": "user", "content": "SECRET"},
            turns("SECRET"),
            [{"role": "assistant", "content": "SECRET"}],
            {"messages": "SECRET"},
            {"messages": turns("SECRET", "SECRET"), "text": "SECRET"},
            [{"role": "user", "content": ["SECRET"]}, *turns("a", "b")],
            [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "tool_calls": ["SECRET"]}],
            "SECRET",
        ],
    )
    assert [line.strip() for line in message.splitlines()[1:]] == [
        "index 2: answer is missing",
        "index 3: answer is empty",
        "index 4: is a int; a row is a Record, a (question, answer) pair, a text, a dict with the usual columns, or a "
        "list of messages",
        "index 5: is a tuple of 3; a row is a Record, a (question, answer) pair, a text, a dict with the usual columns, "
        "or a list of messages",
        "index 6: is a single message; put the messages of each chat into a list of their own",
        "index 7: the last of 1 messages is not the assistant's; end with the answer that is meant",
        "index 8: no question stands before the answer",
        "index 9: messages is not a list of {role, content}",
        "index 10: has messages and other texts; which is meant is open",
        "index 11: message 1 has no role or content that is text",
        "index 12: message 2 calls tools; there is no answer in words to forget",
        "index 13: a document among pairs of question and answer; keep the two kinds in files of their own",
    ]
    assert message.startswith("forget: 12 of 14 lines")
    many = refused(rows, [*PAIRS, *[7] * 30])
    assert many.splitlines()[-1].strip() == "… and 10 more"


def test_what_is_no_set_of_rows_is_refused(rows: Any, tmp_path: Path) -> None:
    refused(rows, "SECRET text that is no path", "a string is a path", "put texts into a list")
    refused(rows, tmp_path / "none.jsonl", "none.jsonl does not exist")
    refused(rows, {"question": ["SECRET"]}, "a dict", "pass a list of rows")
    refused(rows, ("SECRET", "SECRET"), "into a list of one")
    refused(rows, torch.zeros(2), "a Tensor")
    with pytest.raises(EmptyForgetSet):
        rows([])


def test_a_row_longer_than_the_model_reads_is_named(rows: Any) -> None:
    long = "word " * 600
    message = refused(rows, [*PAIRS, ("What?", long)], "index 2: ", "the model reads 512", "nothing is cut silently")
    assert "word" not in message
    refused(rows, [Record("a", "", "", long)], "index 0: ")


# -- chats -----------------------------------------------------------------------------------------------------------


def test_several_turns_become_one_question_with_the_very_ids_of_the_conversation(rows: Any, chat: Any) -> None:
    said_before = turns("Who is Ada?", "A weaver.", "Where was she born?")
    (record,) = rows([[*said_before, {"role": "assistant", "content": "In Brimford."}]], asked=chat).records
    (row,) = encode(chat, [record])
    ids = chat.apply_chat_template(said_before, add_generation_prompt=True, return_dict=False)
    assert list(row.ids[: row.n_prompt]) == list(ids)
    assert list(row.ids[row.n_prompt : -1]) == answer_ids(chat, "In Brimford.")
    whole = chat.apply_chat_template([*said_before, {"role": "assistant", "content": "In Brimford."}], tokenize=False)
    assert chat.decode(row.ids) == whole.removesuffix("\n")


def test_turns_that_are_no_question_in_the_template_are_refused(rows: Any, chat: Any) -> None:
    system = {"role": "system", "content": "SECRET"}
    refused(rows, [[system, *turns("SECRET", "SECRET")]], "index 0", "(system, user)", asked=chat)
    refused(rows, [turns("SECRET", "SECRET", "SECRET", "SECRET")], "no chat template")
    strict = copy.deepcopy(chat)
    strict.chat_template = "{% if messages | length > 1 %}{{ raise_exception('SECRET') }}{% endif %}" + CHATML
    refused(rows, [turns("a", "b", "c", "SECRET")], "refuses these 3 messages", asked=strict)


def test_a_system_turn_passes_where_the_template_writes_the_same_by_itself(rows: Any, chat: Any) -> None:
    made = copy.deepcopy(chat)
    made.chat_template = "{% if messages[0].role != 'system' %}<s>system\nBe kind.</s>\n{% endif %}" + CHATML
    messages = [{"role": "system", "content": "Be kind."}, *turns("Who is Ada?", "A weaver.")]
    (record,) = rows([messages], asked=made).records
    assert (record.question, record.answer) == ("Who is Ada?", "A weaver.")
    messages[0]["content"] = "Be terse."
    refused(rows, [messages], "no question that a user", asked=made)


# -- documents -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["Ada was born in Brimford. " * 300, "東京は大きい都市です。" * 200, "x" * 5000])
def test_passages_fit_are_balanced_and_together_are_the_document(text: str, tokenizer: Any, llama: Any) -> None:
    text = text.strip()
    pieces = fitting(tokenizer, text, 100)
    lengths = [len(answer_ids(tokenizer, piece, after_question=False)) for piece in pieces]
    assert "".join(pieces) == text
    assert max(lengths) <= 100
    assert min(lengths) > 40
    if " " in text:
        assert all(piece.endswith(" ") for piece in pieces[:-1])
    records = text_rows([text], "forget", llama, tokenizer).records
    assert "".join(r.answer for r in records) == text
    assert max(len(row.ids) for row in encode(tokenizer, records)) <= 512
    assert len({r.id for r in records}) == len(records)


def test_a_letter_that_does_not_fit_is_refused(tokenizer: Any) -> None:
    with pytest.raises(InvalidData, match="takes 3 tokens"):
        fitting(tokenizer, "京", 2)


def test_a_folder_is_read_as_documents(rows: Any, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name, text in {"b.txt": "one\n\nstill one\n", "a.md": "two", "sub/c.txt": "three", "sub/d.txt": " \n"}.items():
        (tmp_path / name).write_text(text, "utf-8")
    (tmp_path / ".hidden").write_bytes(b"\xff")
    assert said(rows(tmp_path).records) == [("", "two"), ("", "one\n\nstill one"), ("", "three")]
    (tmp_path / "sub/e.txt").write_text("long words " * 900, "utf-8")
    found = rows(tmp_path)
    assert found.notes == (f"1 of 4 documents are cut into passages, {len(found.records)} in all",)
    (tmp_path / "sub/f.txt").write_bytes(b"caf\xe9")
    refused(rows, tmp_path, "f.txt is not UTF-8")
    (tmp_path / "g.pdf").write_bytes(b"")
    refused(rows, tmp_path, "holds 1 files that are not .txt or .md, the first g.pdf")


def test_an_empty_folder_holds_nothing(rows: Any, tmp_path: Path) -> None:
    with pytest.raises(EmptyForgetSet, match="forget set is empty"):
        rows(tmp_path)


# -- edit ------------------------------------------------------------------------------------------------------------


def test_pairs_and_records_are_edited_alike(trained: Any) -> None:
    forget, retain = said(trained.forget[:6]), said(trained.retain[:6])
    edited = expunge.edit(
        trained.model, tokenizer=trained.tokenizer, forget=forget, retain=retain, method="npo", settings=SHORT
    )
    sides = [text_rows(side, "retain", trained.model, trained.tokenizer).records for side in (forget, retain)]
    by_hand = run_edit(trained.model, trained.tokenizer, *sides, NPO(), SHORT).model
    assert digest_model(edited) == digest_model(by_hand) != digest_model(trained.model)


def test_a_folder_in_is_a_model_out(trained: Any, tmp_path: Path) -> None:
    from expunge.engine import save_model

    save_model(trained.model, trained.tokenizer, tmp_path / "m")
    told: list[tuple[str, int, int]] = []
    edited = expunge.edit(
        tmp_path / "m",
        forget=["Ada was born in Brimford."],
        retain=["Otto was born in Velmwick."],
        method=NPO(beta=0.5),
        settings=SHORT,
        track=lambda stage, done, total, loss: told.append((stage, done, total)),
    )
    assert type(edited) is type(trained.model)
    assert told == [("edit", 1, 3), ("edit", 2, 3), ("edit", 3, 3)]


def classifier() -> tuple[Any, Any, Any]:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(60, 8, generator=generator), torch.arange(60) % 3
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))
    return model, x, y


def test_a_classifier_is_edited_on_arrays_and_on_examples() -> None:
    model, x, y = classifier()
    settings = Edit(steps=20, lr=1e-2, guard=None)
    arrays = expunge.edit(model, forget=(x[:20], y[:20]), retain=(x[20:], y[20:]), method="npo", settings=settings)
    numpy = expunge.edit(
        model, forget=(x[:20].numpy(), y[:20].numpy()), retain=(x[20:], y[20:]), method="npo", settings=settings
    )
    rows = expunge.edit(
        model, forget=examples(x[:20], y[:20]), retain=examples(x[20:], y[20:]), method="npo", settings=settings
    )
    assert digest_model(arrays) == digest_model(numpy) == digest_model(rows) != digest_model(model)
    nll = lambda m: torch.nn.functional.cross_entropy(m(x[:20]), y[:20]).item()
    assert nll(arrays) > nll(model) + 0.05


def test_rows_of_another_kind_of_model_are_refused() -> None:
    with pytest.raises(InvalidData, match="no tokenizer"):
        array_rows(("SECRET", "SECRET"), "forget")
    with pytest.raises(InvalidData, match=r"\(X, y\)"):
        array_rows([("q", "a"), ("q", "a"), ("q", "a")], "forget")
    model, x, y = classifier()
    with pytest.raises(UnknownMethod, match="did you mean 'npo'"):
        expunge.edit(model, forget=(x, y), retain=(x, y), method="npoo")


def test_what_the_guard_did_is_a_warning(trained: Any) -> None:
    slow = Edit(steps=12, warmup=12, lr=0.02, guard=0.9, guard_every=1, forget_batch=8, retain_batch=8)
    given = {"forget": trained.forget, "retain": trained.retain, "method": "gradient_ascent", "settings": slow}
    with pytest.warns(UserWarning, match="gone back to step"):
        expunge.edit(trained.model, tokenizer=trained.tokenizer, **given)


# -- trackers --------------------------------------------------------------------------------------------------------


def test_json_lines_are_appended(tmp_path: Path) -> None:
    path = tmp_path / "new" / "losses.jsonl"
    for loss in (0.5, 0.25):
        with tracker(f"jsonl:{path}", "npo") as track:
            track("edit", 1, 2, loss)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["stage"], line["step"], line["steps"], line["loss"]) for line in lines] == [
        ("edit", 1, 2, 0.5),
        ("edit", 1, 2, 0.25),
    ]


def test_a_tracker_that_is_not_installed_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    for name in ("wandb", "tensorboard"):
        with pytest.raises(MissingExtra, match=f"pip install {name}"), tracker(name, "npo"):
            pass
    for name in ("mlflow", "jsonl", "jsonl:"):
        with (
            pytest.raises(expunge.core.errors.InvalidParameter, match="use tensorboard, wandb or jsonl"),
            tracker(name, ""),
        ):
            pass


def test_trackers_of_others_are_told_and_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    class Writer:
        def __init__(self, folder: str) -> None:
            calls.append(("open", folder))

        def add_text(self, tag: str, text: str) -> None:
            calls.append((tag, text))

        def add_scalar(self, tag: str, value: float, step: int) -> None:
            calls.append((tag, value, step))

        def close(self) -> None:
            calls.append("closed")

    class Run:
        log = staticmethod(lambda values: calls.append(values))
        finish = staticmethod(lambda: calls.append("finished"))

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", types.SimpleNamespace(SummaryWriter=Writer))
    monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(init=lambda **asked: calls.append(asked) or Run))
    for name in ("tensorboard:logs", "wandb:ours"):
        with contextlib.suppress(KeyboardInterrupt), tracker(name, "NPO()") as track:
            track("edit", 1, 2, 0.5)
            raise KeyboardInterrupt
    assert calls == [
        ("open", "logs"),
        ("edit", "NPO()"),
        ("loss/edit", 0.5, 1),
        "closed",
        {"project": "ours", "config": {"edit": "NPO()"}},
        {"loss/edit": 0.5, "step/edit": 1},
        "finished",
    ]


def test_a_passage_is_no_longer_than_said(monkeypatch: pytest.MonkeyPatch, rows: Any, tokenizer: Any) -> None:
    monkeypatch.setattr(edit_rows, "PASSAGE", 20)
    found = rows(["Ada was born in Brimford and lives in Velmwick now. " * 5])
    assert max(len(row.ids) for row in encode(tokenizer, found.records)) <= 20
    assert len(encode_prompt(tokenizer, "")) == 1
