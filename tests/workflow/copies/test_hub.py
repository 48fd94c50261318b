"""Over the wire of the hub, as huggingface_hub speaks it."""

import json
from collections.abc import Iterator
from hashlib import sha256

import pytest
from tests.workflow.copies.peer import Asked, Reply, serving

from expunge.workflow.copies import Standing, probe_copy, purge_copy

PLACE = "hub://org/model@main"


class Repository:
    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = {**files, ".gitattributes": b"*.safetensors filter=lfs"}
        self.objects = {sha256(d).hexdigest(): n for n, d in files.items() if n.endswith(".safetensors")}
        self.objects["ff" * 32] = "of/another.safetensors"
        self.keeps = False
        self.status = 200

    def answer(self, asked: Asked) -> Reply:
        assert asked.headers["Authorization"] == "Bearer hf_secret"
        if self.status != 200:
            return self.status, {}
        match asked.method, asked.path:
            case "GET", "/api/models/org/model/tree/main":
                return 200, [self._entry(name, data) for name, data in self.files.items()]
            case "GET", "/api/models/org/model/lfs-files":
                return 200, [{"fileOid": f"f-{o}", "oid": o, "filename": n} for o, n in self.objects.items()]
            case "POST", "/api/models/org/model/lfs-files/batch":
                assert asked.json()["deletions"]["rewriteHistory"] is True
                for file in [] if self.keeps else asked.json()["deletions"]["sha"]:
                    self.files.pop(self.objects.pop(file.removeprefix("f-")))
                return 200, {}
            case "POST", "/api/models/org/model/commit/main":
                header, *lines = [json.loads(line) for line in asked.body.splitlines()]
                assert (header["key"], asked.headers["Content-Type"]) == ("header", "application/x-ndjson")
                for line in lines:
                    del self.files[line["value"]["path"]]
                return 200, {"commitOid": "0" * 40}
        return 200, self.files[asked.path.removeprefix("/org/model/resolve/main/")]

    def _entry(self, name: str, data: bytes) -> dict[str, object]:
        oid = sha256(data).hexdigest()
        return {"type": "file", "path": name, "oid": "git", **({"lfs": {"oid": oid}} if oid in self.objects else {})}


@pytest.fixture
def repository(files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    found = Repository(files)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with serving(found.answer) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        yield found


def test_objects_and_files_go(repository: Repository, digest: str) -> None:
    assert probe_copy("hub", PLACE, digest).standing is Standing.THERE
    found = purge_copy("hub", PLACE, digest)
    assert list(repository.files) == [".gitattributes"]
    assert list(repository.objects) == ["ff" * 32]  # of another commit, which nobody registered
    assert (found.standing, "1 LFS objects" in found.words) == (Standing.OTHER, True)
    repository.objects.clear()
    assert probe_copy("hub", PLACE, digest).standing is Standing.GONE


def test_a_hub_that_lists_them_still_is_caught(repository: Repository, digest: str) -> None:
    repository.keeps = True
    found = purge_copy("hub", PLACE, digest)
    assert found.standing is Standing.UNASKED
    assert "1 LFS objects are listed still" in found.words


def test_another_model_is_left(repository: Repository, digest: str) -> None:
    repository.files["README.md"] = b"something else"
    before = dict(repository.files)
    assert purge_copy("hub", PLACE, digest).standing is Standing.OTHER
    assert repository.files == before


@pytest.mark.parametrize("status", [401, 404, 500])
def test_a_repository_that_is_hidden_is_not_gone(repository: Repository, digest: str, status: int) -> None:
    repository.status = status
    found = probe_copy("hub", PLACE, digest)
    assert (found.standing, "hf_secret" in found.words) == (Standing.UNASKED, False)
