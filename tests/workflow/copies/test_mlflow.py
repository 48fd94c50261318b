"""Over the wire of MLflow's REST API; against its own server in `peers/test_mlflow.py`."""

from collections.abc import Iterator

import pytest
from tests.workflow.copies.peer import Asked, Reply, serving

from expunge.workflow.copies import Standing, probe_copy, purge_copy

API = "/api/2.0/mlflow/"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
ROOT = "0/run/artifacts/model"
NONE = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "none"}


class Registry:
    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = {f"{ROOT}/{name}": data for name, data in files.items()}
        self.versions, self.aliases = {"3", "4"}, {"champion": "3", "other": "4"}
        self.keeps = self.denies = False

    def answer(self, asked: Asked) -> Reply:
        if self.denies or asked.headers["Authorization"] != "Bearer secret-token":
            return 401, {"error_code": "UNAUTHENTICATED"}
        if asked.path.startswith(ARTIFACTS):
            return self._artifacts(asked)
        given = asked.query if asked.method == "GET" else asked.json()
        known = given["name"] == "churn" and given.get("version", "3") in self.versions
        match asked.method, asked.path.removeprefix(API):
            case _ if not known:
                return 404, NONE
            case "GET", "model-versions/get":
                return 200, {"model_version": given}
            case "GET", "model-versions/get-download-uri":
                return 200, {"artifact_uri": f"mlflow-artifacts:/{ROOT}"}
            case "GET", "registered-models/get":
                aliases = [{"alias": a, "version": v} for a, v in self.aliases.items()]
                return 200, {"registered_model": {"name": "churn", "aliases": aliases}}
            case "POST", "registered-models/alias":
                self.aliases[given["alias"]] = given["version"]
            case "DELETE", "registered-models/alias":
                del self.aliases[given["alias"]]
            case "DELETE", "model-versions/delete":
                self.versions.remove(given["version"])
        return 200, {}

    def _artifacts(self, asked: Asked) -> Reply:
        path = asked.path.removeprefix(ARTIFACTS).lstrip("/")
        if asked.method == "DELETE":
            if not self.keeps:
                del self.files[path]
            return 200, {}
        if path:
            return 200, self.files[path]
        below = f"{asked.query['path']}/"
        names = {name[len(below) :].partition("/")[::2] for name in self.files if name.startswith(below)}
        return 200, {"files": [{"path": first, "is_dir": bool(rest)} for first, rest in names]}


@pytest.fixture
def registry(files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "secret-token")
    return Registry(files)


@pytest.fixture
def page(registry: Registry) -> Iterator[str]:
    with serving(registry.answer) as url:
        yield f"{url}/#/models/churn/versions/3"


def test_files_alias_and_version_go_and_others_stay(registry: Registry, page: str, digest: str) -> None:
    assert probe_copy("mlflow", page, digest).standing is Standing.THERE
    assert purge_copy("mlflow", page, digest).standing is Standing.GONE
    assert (registry.files, registry.versions, registry.aliases) == ({}, {"4"}, {"other": "4"})


def test_the_alias_moves_to_the_version_after(registry: Registry, page: str, digest: str) -> None:
    assert purge_copy("mlflow", f"{page}?aliases-to=4", digest).standing is Standing.GONE
    assert registry.aliases == {"champion": "4", "other": "4"}


def test_another_model_under_the_number_is_left(registry: Registry, page: str, digest: str) -> None:
    registry.files[f"{ROOT}/thesis.txt"] = b"years of work"
    before = dict(registry.files)
    assert purge_copy("mlflow", page, digest).standing is Standing.OTHER
    assert (registry.files, registry.versions) == (before, {"3", "4"})


def test_a_server_that_says_yes_and_keeps_them_is_caught(registry: Registry, page: str, digest: str) -> None:
    registry.keeps = True
    found = purge_copy("mlflow", page, digest)
    assert found.standing is Standing.UNASKED
    assert "2 artifacts are listed still" in found.words
    assert registry.versions == {"3", "4"}


def test_no_answer_and_no_permission_are_not_gone(registry: Registry, page: str, digest: str) -> None:
    registry.denies = True
    found = purge_copy("mlflow", page, digest)
    assert (found.standing, "HTTP 401" in found.words) == (Standing.UNASKED, True)
    assert "secret-token" not in found.words
    assert probe_copy("mlflow", "http://127.0.0.1:9/#/models/churn/versions/3", digest).standing is Standing.UNASKED
