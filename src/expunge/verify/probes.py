"""What the attacks ask about: facts that should be forgotten, facts that should stay, and facts never trained on."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

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

    def digest(self) -> str:
        return digest_json("probes", [[asdict(f) for f in part] for part in (self.forget, self.retain, self.unseen)])

    def about(self, subjects: Sequence[str]) -> "Probes":
        """Only these subjects' facts are to be forgotten; everything else as before."""
        return replace(self, forget=tuple(f for f in self.forget if f.subject in subjects))


def read_probes(path: Path) -> tuple[Fact, ...]:
    """Facts from JSONL with `question` and `answer`, and where known `value`, `subject`, `paraphrases`, `perturbed`.

    Raises: InvalidData, naming the line.
    """
    facts: list[Fact] = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
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
                    subject=str(row.get("subject", "")),
                    question=str(row["question"]),
                    answer=str(row["answer"]),
                    value=str(row.get("value", "")),
                    paraphrases=tuple((str(q), str(a)) for q, a in row.get("paraphrases", ())),
                    perturbed=tuple(map(str, row.get("perturbed", ()))),
                )
            )
        except (json.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as e:
            raise InvalidData(f"{path}, line {n}: {e!r}; each line needs a JSON object with question and answer") from e
    if not facts:
        raise InvalidData(f"{path} holds no probes")
    return tuple(facts)
