"""Verify model folders without a project: two or three of them beside probes, or one model and somebody's own data."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from expunge.core.durable import write_durably
from expunge.core.errors import InvalidData, InvalidParameter
from expunge.core.version import __version__
from expunge.engine import load_model, load_tokenizer
from expunge.report.words import plural
from expunge.verify import Arm, Audit, Power, Probes, audit, check_commitment, commitment, power
from expunge.verify.batteries import battery_of
from expunge.verify.exposure import Exposure, exposure, plain_texts, without_template
from expunge.verify.passages import passages
from expunge.verify.targets import targeted
from expunge.workflow.inputs.facts import Given, read_facts
from expunge.workflow.shapes.made import Progress

ARMS = ("original", "unlearned", "control", "second control")


@dataclass(frozen=True)
class Question:
    """What is asked, read before any model is loaded. `notes` say how the files were read."""

    given: Probes
    battery: str
    notes: tuple[str, ...]

    @cached_property
    def probes(self) -> Probes:
        """As it is asked: documents in passages."""
        parts = (self.given.forget, self.given.retain, self.given.unseen)
        return Probes(*(tuple(passages(part)) if plain_texts(part) else part for part in parts))

    @property
    def documents(self) -> bool:
        return plain_texts(self.given.forget)

    @property
    def power(self) -> Power:
        return power(self.probes, len(battery_of(self.battery)))

    @property
    def alone(self) -> str:
        """The same for one model, where nothing says what should have been known.

        Raises: InvalidData, where too few facts differ from a guess.
        """
        targets = replace(self.probes, forget=targeted(self.probes.forget).facts)
        known = power(targets, len(battery_of(self.battery)))
        one, about, many = ("passage", "document", "") if self.documents else ("fact", "person", "people")
        what = f"{plural(known.n_facts, one)} of {plural(known.n_people, about, many)}"
        least = "of any size" if known.detectable is None else f"below {known.detectable:.0%}"
        return f"{what}: a difference {least} between them and made-up twins may be missed."

    @property
    def salt(self) -> bytes:
        """Derived from the probes: who holds them can name every fact and person again, nobody else can."""
        return sha256(b"expunge/folders/v1/" + self.probes.digest().encode()).digest()


def read_question(probes: Path | None, retain: Path | None, unseen: Path | None, battery: str) -> Question:
    """Read the files.

    Raises: InvalidParameter, without probes; InvalidData, naming every bad line; UnknownMethod, for an unknown battery.
    """
    if probes is None:
        raise InvalidParameter("name --probes: a file with the facts that should be forgotten, or that are looked for")
    battery_of(battery)
    wanted = read_facts(probes)
    beside = [read_facts(path) if path else Given((), (), False) for path in (retain, unseen)]
    notes: list[str] = []
    for path, given in zip((probes, retain, unseen), (wanted, *beside), strict=True):
        if path is not None:
            n = plural(len(given.facts), "document" if given.documents else "fact")
            notes += [f"{path}: {note}" for note in (n, *given.notes)]
    return Question(Probes(wanted.facts, *(given.facts for given in beside)), battery, tuple(notes))


def audit_folders(
    folders: Mapping[str, str | None],
    question: Question,
    progress: Progress,
    *,
    workers: int = 1,
    cache: Path | None = None,
) -> Audit:
    """An audit of model folders. Without a control folder, made-up twins of the facts take its place.

    Raises: InvalidParameter, if the original or the unlearned model is not named.
    """
    if not folders.get("original") or not folders.get("unlearned"):
        raise InvalidParameter("an audit needs the folders of the original and of the unlearned model")
    arms = {name: _arm(source, question.documents) for name, source in folders.items() if source}
    return audit(
        original=arms["original"],
        unlearned=arms["unlearned"],
        control=arms.get("control"),
        second=arms.get("second control"),
        placebos="control" not in arms,
        probes=question.probes,
        battery=question.battery,
        cache=cache or score_folder(),
        progress=progress,
        workers=workers,
    )


def expose_folder(
    source: str, question: Question, progress: Progress, *, workers: int = 1, cache: Path | None = None
) -> Exposure:
    """Whether the data is in one model."""
    where = cache or score_folder()
    return exposure(_arm(source), question.given, question.battery, where, progress, workers)


def commit(question: Question, path: Path) -> str:
    """Write what will be asked and what will count, before anything runs; returns its digest.

    Raises: InvalidParameter, if the file is there: a commitment is made once.
    """
    if path.exists():
        raise InvalidParameter(f"{path} is there already; a commitment is made once, name another file")
    committed = commitment(question.probes, question.battery, salt=question.salt)
    write_durably(path, json.dumps(committed, indent=1, sort_keys=True).encode())
    return str(committed["digest"])


def check_committed(question: Question, path: Path) -> None:
    """Refuse a run that is not the one that was committed.

    Raises: DigestMismatch, naming what differs; InvalidData, if the file is no commitment.
    """
    try:
        committed = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise InvalidData(f"cannot read the commitment {path}: {e}") from e
    if not isinstance(committed, dict):
        raise InvalidData(f"{path} is not a commitment; make one with --commit")
    check_commitment(committed, question.probes, question.battery, salt=question.salt)


def score_folder() -> Path:
    """Where raw scores are kept, so that a stopped run goes on: the user's cache, by the code that made them.

    Scores of other code are never read: an attack that was changed is run again.
    """
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = root / "expunge" / "scores" / f"{__version__}-{_code()[:16]}"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def _code() -> str:
    """Digest of the source of what attacks and measures."""
    found = sha256()
    package = Path(__file__).parents[2]
    for path in sorted(p for room in ("core", "engine", "synthetic", "verify") for p in (package / room).rglob("*.py")):
        found.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def _arm(source: str, documents: bool = False) -> Arm:
    arm = Arm.of(load_model(source), load_tokenizer(source))
    return without_template(arm) if documents else arm
