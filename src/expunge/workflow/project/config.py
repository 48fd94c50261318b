"""`expunge.toml`: what a project is called, which layout it has, and how often its ledger had been written to at least."""

import re
import tomllib
from pathlib import Path
from typing import Any

from expunge.core.durable import write_durably
from expunge.core.errors import InvalidData
from expunge.ledger import Stamp

CONFIG = "expunge.toml"
_STAMP = re.compile(r"(id|generation)\s*=")


def read_config(root: Path) -> dict[str, Any]:
    """Raises: InvalidData, where it is no TOML."""
    try:
        return tomllib.loads((root / CONFIG).read_text(encoding="utf-8"))
    except ValueError as e:
        raise InvalidData(f"{root / CONFIG} is damaged ({e}); restore it from a backup") from e


def shown_stamp(root: Path) -> Stamp | None:
    """Which project this is, and how many writes its ledger has seen at least; None in a project of an earlier release.

    Raises: InvalidData.
    """
    config = read_config(root) if (root / CONFIG).exists() else {}
    match (config.get("id"), config.get("generation")):
        case (str(owner), int(generation)):
            return Stamp(owner, generation)
        case (None, None):
            return None
    raise InvalidData(f"id and generation in {root / CONFIG} are damaged; restore it from a backup")


def show_stamp(root: Path, stamp: Stamp) -> None:
    """Write the stamp into `expunge.toml`, and leave every other line as it is."""
    text = (root / CONFIG).read_text(encoding="utf-8")
    write_durably(root / CONFIG, with_stamp(text, stamp).encode())


def with_stamp(text: str, stamp: Stamp) -> str:
    """The text of a configuration with this stamp among its first keys, which stand before every table.

    >>> print(with_stamp('name = "a"\\ngeneration = 1\\n\\n[more]\\nid = 7\\n', Stamp("p", 2)))
    name = "a"
    id = "p"
    generation = 2
    <BLANKLINE>
    [more]
    id = 7
    <BLANKLINE>
    """
    lines = text.splitlines()
    first_table = next((n for n, line in enumerate(lines) if line.startswith("[")), len(lines))
    head = [line for line in lines[:first_table] if not _STAMP.match(line)]
    after = next((n for n in range(len(head), 0, -1) if head[n - 1].strip()), 0)  # before the blank lines of its end
    head[after:after] = [f'id = "{stamp.id}"', f"generation = {stamp.generation}"]
    return "\n".join([*head, *lines[first_table:], ""])
