"""What the attacks ask about: facts that should be forgotten, facts that should stay, and facts never trained on."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from expunge.core import Fact
from expunge.core.digests import digest_json
from expunge.core.errors import EmptyForgetSet, InvalidData


@dataclass(frozen=True)
class Probes:
    """`retain` measures the skill that should stay and trains probes; `unseen` are the non-members of membership."""

    forget: tuple[Fact, ...]
    retain: tuple[Fact, ...]
    unseen: tuple[Fact, ...] = ()

    def __post_init__(self) -> None:
        if not self.forget:
            raise EmptyForgetSet("no facts to probe: an audit needs at least one fact that should be forgotten")
        ids = [f.id for f in self.forget]
        if len(set(ids)) < len(ids):
            raise InvalidData("fact ids are not unique among the probes")
        trained = {(f.question, f.answer) for f in (*self.forget, *self.retain)}
        if known := sum((f.question, f.answer) in trained for f in self.unseen):
            raise InvalidData(f"{known} of the unseen facts are among the trained ones; non-members must be strangers")

    def digest(self) -> str:
        return digest_json("probes", [[asdict(f) for f in part] for part in (self.forget, self.retain, self.unseen)])

    def about(self, subjects: Sequence[str]) -> "Probes":
        """Only these subjects' facts are to be forgotten; everything else as before."""
        return replace(self, forget=tuple(f for f in self.forget if f.subject in subjects))


def read_probes(path: Path) -> tuple[Fact, ...]:
    """Facts from JSONL with `question` and `answer`, and where known `value`, `subject`, `paraphrases`, `perturbed`,
    `adjacent`.

    Raises: InvalidData, naming the line.
    """
    facts: list[Fact] = []
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # JSON strings may hold other line separators
    except (OSError, UnicodeDecodeError) as e:
        raise InvalidData(f"cannot read probes from {path}: {e}") from e
    for n, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            facts.append(
                Fact(
                    id=str(row.get("id", f"line-{n}")),
                    subject=_text(row.get("subject", "")),
                    question=_text(row["question"]),
                    answer=_text(row["answer"], empty=False),
                    value=_text(row.get("value", "")),
                    paraphrases=tuple((_text(q), _text(a)) for q, a in map(_list, _list(row.get("paraphrases", [])))),
                    perturbed=tuple(map(_text, _list(row.get("perturbed", [])))),
                    adjacent=tuple(
                        (_text(q), _text(v, empty=False)) for q, v in map(_list, _list(row.get("adjacent", [])))
                    ),
                )
            )
        except (json.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as e:
            raise InvalidData(f"{path}, line {n}: {e!r}; each line needs a JSON object with question and answer") from e
    if not facts:
        raise InvalidData(f"{path} holds no probes")
    return tuple(facts)


def _text(value: Any, empty: bool = True) -> str:
    if not isinstance(value, str) or not (empty or value.strip()):
        raise ValueError(f"expected {'text' if empty else 'some text'}, got {type(value).__name__}")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"expected a list, got {type(value).__name__}")
    return value
