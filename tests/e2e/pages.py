"""The commands of a page of docs/, typed one after another."""

import re
import shlex
from pathlib import Path

import pytest
from tests.e2e.conftest import Ran, expunge

DOCS = Path(__file__).parents[2] / "docs"
NAMED = "req-0123456789"  # stands on pages for the request that was named last
AS_JSON = ("request", "plan", "run", "reopen", "destroy", "data", "status")


def blocks(page: str) -> list[list[str]]:
    """The commands of a page, block by block."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```", (DOCS / page).read_text(), re.M | re.S)
    return [block.strip().splitlines() for language, block in fenced if not language]


class Typist:
    """Types blocks of a page; a request is filled in where the page names one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.request = ""
        self._patch = monkeypatch

    def __call__(self, block: list[str], codes: dict[str, int] | None = None) -> dict[str, Ran]:
        """How each command ended, by its name; the last one of a name."""
        said = {}
        for line in block:
            words = [self.request if word == NAMED else word for word in shlex.split(line)]
            if words[0] == "cd":
                self._patch.chdir(words[1])
                continue
            as_json = ["--json"] if words[1] in AS_JSON else []
            ran = said[words[1]] = expunge(*words[1:], *as_json, code=(codes or {}).get(words[1], 0))
            if as_json:
                self.request = ran.json.get("request") or self.request
        return said
