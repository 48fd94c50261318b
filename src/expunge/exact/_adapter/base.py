"""A base for adapters: a model that knows the language of the questions, from people who never ask to leave.

An adapter can only say what its base can already put into words. On a base that knows how people are asked about, in
several phrasings, an adapter answers a phrasing it was never trained on; on one that does not, hardly ever
(`bench/exact_adapters.py`). The public rows stay beside the weights, so that adapters can rehearse them.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from expunge.core import Record
from expunge.core.digests import digest_json
from expunge.core.errors import InvalidData, InvalidParameter
from expunge.engine import Schedule, collate, encode, epoch_batches, mean_nll, pad_id, pinned, save_model, train

PUBLIC = "public.jsonl"


def prepare_base(
    folder: Path,
    model: Any,
    tokenizer: Any,
    public: Sequence[Record],
    *,
    epochs: int = 3,
    lr: float = 2.5e-3,
    batch_size: int = 32,
    seed: int = 0,
    threads: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Train a causal LM on public question-answer pairs and save it with its tokenizer and the pairs; the folder.

    Ask for the same facts in several phrasings: adapters need not be trained on a phrasing that the base has met. Many
    people in few passes make a better base than few people in many: one that knows its public people by heart has less
    room for new ones. Neither model nor tokenizer may have seen private text. The same settings
    give the same bits.

    Raises: InvalidParameter, for no epochs; InvalidData, for no records or an empty answer.
    """
    if epochs < 1:
        raise InvalidParameter(f"epochs must be >= 1, got {epochs}")
    if not public:
        raise InvalidData("nothing to train on: there are no public records")
    rows, pad = encode(tokenizer, public), pad_id(tokenizer)
    secret = b"expunge/public/" + seed.to_bytes(8, "big")  # what is public needs no secret
    batches = [batch for epoch in range(epochs) for batch in epoch_batches(rows, batch_size, secret, epoch)]
    model.train()
    with pinned(threads):
        train(
            list(model.parameters()),
            lambda k: mean_nll(model, collate(batches[k], pad, learn_question=True)),
            len(batches),
            Schedule(lr=lr, warmup=min(20, len(batches) // 4), shape="cosine"),
            progress=progress,
        )
    save_model(model.eval(), tokenizer, folder)
    lines = (json.dumps({"question": r.question, "answer": r.answer}, ensure_ascii=False) for r in public)
    (folder / PUBLIC).write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return folder


def read_public(base: Any) -> list[Record]:
    """The public rows that lie beside a base's weights.

    Raises: InvalidParameter, where the base is not a folder that has them; InvalidData, where they cannot be read.
    """
    path = Path(base) / PUBLIC if isinstance(base, str | Path) else None
    if path is None or not path.is_file():
        raise InvalidParameter(
            f"rehearsal needs a base that is a folder with {PUBLIC}, lines of "
            '{"question": …, "answer": …} about people who never ask to leave; prepare_base writes it'
        )
    try:
        pairs = [json.loads(line) for line in path.read_text("utf-8").split("\n") if line.strip()]
        rows = [Record(f"public/{i}", "", row["question"], row["answer"]) for i, row in enumerate(pairs)]
    except (ValueError, KeyError, TypeError) as e:
        raise InvalidData(f"{path} cannot be read ({e!r}); every line is an object with question and answer") from e
    if not rows:
        raise InvalidData(f"{path} holds no rows")
    return rows


def digest_public(rows: Sequence[Record]) -> str:
    return digest_json("public-rows", [[r.question, r.answer] for r in rows])
