"""Over the wire of vLLM's server with adapters that are loaded while it runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.workflow.copies.peer import Asked, Reply, serving

from expunge.workflow.copies import Standing, probe_copy, purge_copy


class Process:
    def __init__(self, root: Path) -> None:
        self.loaded = {name: str(root) for name in ("assistant", "assistant-v1", "another")}
        self.hidden = set[str]()  # answer though they are not listed
        self.status = 200

    def answer(self, asked: Asked) -> Reply:
        if self.status != 200:
            return self.status, {}
        if asked.path == "/v1/models":
            base = [{"id": "base", "root": "org/base", "parent": None}]
            return 200, {"data": base + [{"id": n, "root": r, "parent": "base"} for n, r in self.loaded.items()]}
        if asked.path == "/v1/unload_lora_adapter":
            del self.loaded[asked.json()["lora_name"]]
            return 200, {}
        assert asked.path == "/v1/completions"
        if (name := asked.json()["model"]) in {"base", *self.loaded, *self.hidden}:
            return 200, {"choices": [{"text": "a"}]}
        return 404, {"error": {"message": f"The model `{name}` does not exist.", "code": 404}}


@pytest.fixture
def process(version: Path) -> Process:
    return Process(version)


@pytest.fixture
def url(process: Process) -> Iterator[str]:
    with serving(process.answer) as server:
        yield f"{server}/v1/models"


def test_it_is_unloaded_under_every_name_and_others_stay(process: Process, url: str, digest: str) -> None:
    place = f"{url}/assistant?also=assistant-v1"
    assert "known by digest" in probe_copy("lora", place, digest).words
    assert purge_copy("lora", place, digest).standing is Standing.GONE
    assert set(process.loaded) == {"another"}


def test_an_old_name_that_still_answers_is_not_gone(process: Process, url: str, digest: str) -> None:
    process.hidden.add("assistant-v1")
    found = purge_copy("lora", f"{url}/assistant?also=assistant-v1", digest)
    assert (found.standing, found.words) == (
        Standing.OTHER,
        "'assistant-v1' is not listed and answers all the same",
    )


def test_another_adapter_under_the_name_is_left(process: Process, url: str, version: Path, digest: str) -> None:
    (version / "config.json").write_text("{}")
    assert purge_copy("lora", f"{url}/assistant", digest).standing is Standing.OTHER
    assert "assistant" in process.loaded


def test_a_whole_model_is_left(process: Process, url: str, digest: str) -> None:
    assert purge_copy("lora", f"{url}/base", digest).standing is Standing.OTHER


@pytest.mark.parametrize("status", [401, 500])
def test_a_failing_process_is_not_gone(process: Process, url: str, digest: str, status: int) -> None:
    process.status = status
    found = purge_copy("lora", f"{url}/assistant", digest)
    assert found.standing is Standing.UNASKED
    assert f"HTTP {status}" in found.words
