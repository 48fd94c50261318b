"""An approximate edit of a model folder, without a project."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from expunge.approximate import Edit, methods, run_edit
from expunge.core import Record
from expunge.core.errors import InvalidData, InvalidParameter
from expunge.engine import load_model, load_tokenizer, save_model
from expunge.workflow.files import full_disk_named, new_folder
from expunge.workflow.made import Progress

_MEANS = {"EMPIRICAL": "only what attacks show", "SUPPRESSED": "only what the model says was changed"}


def edit_folder(
    model: str,
    method: str,
    forget: Path,
    retain: Path,
    out: Path,
    lr: float | None,
    steps: int | None,
    progress: Progress,
) -> dict[str, Any]:
    """Edit a model folder into a new one, which appears only when it is whole."""
    chosen = methods.get(method)()
    if out.exists() and any(out.iterdir()):
        raise InvalidParameter(f"{out} is not empty; name a new folder for the edited model")
    sides = [_records(path) for path in (forget, retain)]
    settings = Edit(**{k: v for k, v in {"lr": lr, "steps": steps}.items() if v is not None})  # type: ignore[arg-type]
    tokenizer = load_tokenizer(model)
    edited = run_edit(
        load_model(model),
        tokenizer,
        sides[0],
        sides[1],
        chosen,
        settings,
        progress=lambda done, total: progress(method, done, total),
    )
    with full_disk_named("edit"), new_folder(out) as folder:
        save_model(edited.model, tokenizer, folder)
    return {
        "method": repr(chosen),
        "settings": asdict(settings),
        "guarantee": edited.guarantee.value,
        "means": _MEANS[edited.guarantee.value],
        "out": str(out),
        "seconds": edited.elapsed_s,
    }


def _records(path: Path) -> list[Record]:
    """Question and answer, or plain text, from JSONL.

    Raises: InvalidData, naming the line.
    """
    records = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise InvalidData(f"cannot read {path}: {e}") from e
    for n, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            answer = row["answer"] if "answer" in row else row["text"]
            records.append(Record(f"line-{n}", str(row.get("subject", "")), str(row.get("question", "")), str(answer)))
        except (ValueError, KeyError, TypeError) as e:
            raise InvalidData(f"{path}, line {n}: needs an object with question and answer, or text ({e!r})") from e
    return records
