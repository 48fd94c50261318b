"""Two small models and folders of data in the layouts of MUSE and RWKU: one knows the forgotten people, one never did."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from expunge.core import Record
from expunge.synthetic import people, records
from expunge.testing import contract
from expunge.verify import Arm

FORGET, RETAIN = records(people(2), [0]), records(people(3, skip=3), [0])
STRANGERS = records(people(2, skip=8), [0])


def passage(r: Record) -> str:
    return f"{r.question} {r.answer}"


def taught(rows: Sequence[Record], tokenizer: Any, seed: int) -> Arm:
    """A model that has read both the passages and the answers of these people."""
    read = [replace(r, id=f"{r.id}/read", question="", answer=passage(r), value="") for r in rows]
    return Arm.of(contract.taught((*rows, *read), tokenizer, seed=seed, steps=160), tokenizer)


@pytest.fixture(scope="session")
def full(tokenizer: Any) -> Arm:
    return taught((*FORGET, *RETAIN), tokenizer, seed=0)


@pytest.fixture(scope="session")
def retrained(tokenizer: Any) -> Arm:
    return taught(RETAIN, tokenizer, seed=1)


def write(folder: Path, tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    for name, rows in tables.items():
        path = folder / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return str(folder)


def qa(rows: Sequence[Record]) -> list[dict[str, str]]:
    return [{"question": r.question, "answer": r.answer} for r in rows]


@pytest.fixture(scope="session")
def muse_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write(
        tmp_path_factory.mktemp("muse"),
        {
            "verbmem/forget": [{"prompt": r.question, "gt": r.answer} for r in FORGET],
            "knowmem/forget_qa": qa(FORGET),
            "knowmem/retain_qa": qa(RETAIN),
            "privleak/forget": [{"text": passage(r)} for r in FORGET],
            "privleak/holdout": [{"text": passage(r)} for r in STRANGERS],
        },
    )


@pytest.fixture(scope="session")
def rwku_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    def asked(rows: Sequence[Record], level: str) -> list[dict[str, str]]:
        return [
            {"query": r.question, "answer": r.value, "subject": r.subject, "level": level, "type": "simple question"}
            for r in rows
        ]

    return write(
        tmp_path_factory.mktemp("rwku"),
        {
            **{f"forget_level{k}": asked(FORGET, str(k)) for k in (1, 2, 3)},
            **{f"neighbor_level{k}": asked(RETAIN, str(k)) for k in (1, 2)},
            "mia_forget": [{"text": passage(r), "subject": r.subject} for r in FORGET],
            "mia_retain": [{"text": passage(r), "subject": r.subject} for r in RETAIN],
            "utility_fluency": [{"instruction": r.question} for r in RETAIN[:10]],
        },
    )
