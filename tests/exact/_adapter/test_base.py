"""A base made from public people: the same bits each time, and its rows are rehearsed by every stage alike."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from expunge.core.errors import DigestMismatch, InvalidData, InvalidParameter
from expunge.engine import digest_model, load_model
from expunge.exact import AdapterShards
from expunge.exact._adapter.base import PUBLIC, read_public
from expunge.exact.adapter_shards import prepare_base
from expunge.synthetic import people, records
from expunge.testing.toys import toy_llama

PUBLIC_ROWS = [r for i, r in enumerate(records(people(6, seed=4), [0, 1, 2])) if i % 60 < 9]
ROWS = [r for i, r in enumerate(records(people(6), [0])) if i % 20 < 3]
NAMES = list(dict.fromkeys(r.subject for r in ROWS))
SETTINGS: dict[str, Any] = {"shards": 1, "slices": 2, "rank": 2, "epochs": 3, "batch_size": 4, "salt": b"salt"}


@pytest.fixture(scope="module")
def base(tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = toy_llama(len(tokenizer), hidden=32, layers=1)
    return prepare_base(tmp_path_factory.mktemp("bases") / "base", model, tokenizer, PUBLIC_ROWS, epochs=2)


def test_a_base_is_trained_and_keeps_its_public_rows(base: Path, tokenizer: Any, tmp_path: Path) -> None:
    pairs = [(r.question, r.answer) for r in read_public(base)]
    assert pairs == [(r.question, r.answer) for r in PUBLIC_ROWS]
    fresh = toy_llama(len(tokenizer), hidden=32, layers=1)
    untrained = digest_model(fresh)
    again = prepare_base(tmp_path / "again", fresh, tokenizer, PUBLIC_ROWS, epochs=2)
    assert digest_model(load_model(again)) == digest_model(load_model(base)) != untrained


def test_rehearsal_changes_the_bits_and_forgetting_still_equals_a_fit_without(base: Path) -> None:
    learner = AdapterShards(base, rehearsal=1.0, **SETTINGS).fit(ROWS)
    plain = AdapterShards(base, **SETTINGS).fit(ROWS)
    assert learner.units()[0].digest != plain.units()[0].digest
    learner.forget(NAMES[:1])
    left = [r for r in ROWS if r.subject != NAMES[0]]
    assert learner.digest() == AdapterShards(base, rehearsal=1.0, **SETTINGS).fit(left[::-1]).digest()


def test_nothing_rehearsed_in_a_slice_depends_on_later_slices(base: Path) -> None:
    whole = AdapterShards(base, rehearsal=1.0, **SETTINGS).fit(ROWS)
    first = {r.subject for r in whole.records("shard-000")[0]}
    assert 0 < len(first) < len(NAMES)
    fewer = AdapterShards(base, rehearsal=1.0, **SETTINGS).fit([r for r in ROWS if r.subject in first])
    first_stages = [learner._current().shards["shard-000"].stages[0] for learner in (whole, fewer)]
    for name, tensor in first_stages[0].items():
        assert torch.equal(tensor, first_stages[1][name])
    assert fewer.units()[0].digest != whole.units()[0].digest  # the control


def test_another_set_of_public_rows_is_another_recipe(base: Path, tmp_path: Path) -> None:
    import shutil

    learner = AdapterShards(base, rehearsal=0.5, **SETTINGS).fit(ROWS)
    learner.save(tmp_path / "m")
    other = Path(shutil.copytree(base, tmp_path / "other"))
    lines = (other / PUBLIC).read_text().splitlines()
    (other / PUBLIC).write_text("\n".join(lines[1:]) + "\n")
    assert AdapterShards.load(tmp_path / "m", base, records=ROWS, salt=b"salt").digest() == learner.digest()
    with pytest.raises(DigestMismatch):
        AdapterShards.load(tmp_path / "m", other, records=ROWS, salt=b"salt")
    unrehearsed = [AdapterShards(b, **SETTINGS).fit(ROWS).digest() for b in (base, other)]
    assert unrehearsed[0] == unrehearsed[1]  # rows that are not rehearsed decide nothing


def test_a_base_without_public_rows_cannot_be_rehearsed(base: Path, tokenizer: Any, tmp_path: Path) -> None:
    import shutil

    with pytest.raises(InvalidParameter, match="public"):
        AdapterShards(load_model(base), tokenizer, rehearsal=1.0, **SETTINGS).fit(ROWS)
    with pytest.raises(InvalidParameter, match="rehearsal"):
        AdapterShards(base, rehearsal=-1.0, **SETTINGS).fit(ROWS)
    broken = Path(shutil.copytree(base, tmp_path / "broken"))
    for text in ("{", json.dumps({"question": "Who?"}), ""):
        (broken / PUBLIC).write_text(text)
        with pytest.raises(InvalidData):
            AdapterShards(broken, rehearsal=1.0, **SETTINGS).fit(ROWS)


def test_a_base_of_nothing_is_refused(tokenizer: Any, tmp_path: Path) -> None:
    model = toy_llama(len(tokenizer), hidden=32, layers=1)
    with pytest.raises(InvalidData):
        prepare_base(tmp_path / "b", model, tokenizer, [])
    with pytest.raises(InvalidData):
        prepare_base(tmp_path / "b", model, tokenizer, [replace(PUBLIC_ROWS[0], answer=" ")])
    with pytest.raises(InvalidParameter):
        prepare_base(tmp_path / "b", model, tokenizer, PUBLIC_ROWS, epochs=0)
    assert not (tmp_path / "b").exists()
