"""A registered model version on MLflow's own server: there before delivery, gone after it, and its alias with it.

`make peers` runs this; what it found is kept in `peers/results.json`.
"""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest
from tests.workflow.steps.conftest import PEOPLE, ask, made, project, quiet  # noqa: F401 – fixtures

from expunge.ledger import CopyState
from expunge.workflow.copies import Standing, probe_copy
from expunge.workflow.project.project import Project
from expunge.workflow.steps.copies import add_copy, all_copies
from expunge.workflow.steps.run import run_request

pytestmark = pytest.mark.peer
ROOT = Path(__file__).parents[1]
MLFLOW = ROOT / ".venv-peers" / "bin" / "mlflow"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(MLFLOW), "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--serve-artifacts"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{home}/mlflow.db",
        "--artifacts-destination",
        str(home / "artifacts"),
    ]
    environment = {**os.environ, "PATH": f"{MLFLOW.parent}{os.pathsep}{os.environ['PATH']}"}
    environment.pop("PYTHONPATH", None)
    with (
        (home / "log").open("wb") as log,
        subprocess.Popen(command, env=environment, stdout=log, stderr=log) as process,
    ):
        url = f"http://127.0.0.1:{port}"
        while not _up(url):
            assert process.poll() is None, (home / "log").read_text()
            time.sleep(0.5)
        yield url
        process.terminate()


def _up(url: str) -> bool:
    try:
        with urlopen(f"{url}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def call(url: str, path: str, body: dict[str, Any] | bytes, method: str = "POST") -> dict[str, Any]:
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = {} if isinstance(body, bytes) else {"Content-Type": "application/json"}
    with urlopen(Request(f"{url}/api/2.0/{path}", data=sent, headers=head, method=method)) as answer:
        return dict(json.loads(answer.read() or b"{}"))


def registered(url: str, folder: Path) -> str:
    """Log a folder as a run's artifacts, register it, and give it an alias; returns the version."""
    run = call(url, "mlflow/runs/create", {"experiment_id": "0", "start_time": 0})["run"]["info"]
    root = run["artifact_uri"].removeprefix("mlflow-artifacts:/")
    for file in (path for path in folder.rglob("*") if path.is_file()):
        name = f"{root}/model/{file.relative_to(folder).as_posix()}"
        call(url, f"mlflow-artifacts/artifacts/{name}", file.read_bytes(), "PUT")
    source = {"name": "churn", "source": f"{run['artifact_uri']}/model", "run_id": run["run_id"]}
    return str(call(url, "mlflow/model-versions/create", source)["model_version"]["version"])


def test_a_version_and_its_alias_are_gone_from_mlflow(
    server: str,
    project: Project,  # noqa: F811
    ask: Callable[..., str],  # noqa: F811
    tmp_path: Path,
) -> None:
    folder = project.folder(project.current("churn"))
    call(server, "mlflow/registered-models/create", {"name": "churn"})
    old = registered(server, folder)
    changed = Path(shutil.copytree(folder, tmp_path / "changed"))
    (changed / "more.txt").write_text("of another model")
    new = registered(server, changed)
    call(server, "mlflow/registered-models/alias", {"name": "churn", "alias": "champion", "version": old})
    page = f"{server}/#/models/churn/versions/{old}?aliases-to={new}"
    add_copy(project, "churn", page, kind="mlflow")
    digest = project.current("churn").digest
    before = probe_copy("mlflow", page, digest)
    assert before.standing is Standing.THERE
    assert probe_copy("mlflow", f"{server}/#/models/churn/versions/{new}", digest).standing is Standing.OTHER

    run_request(project, ask(PEOPLE[3]), quiet, released=())
    (copy,) = all_copies(project)
    after = probe_copy("mlflow", page, digest)
    with urlopen(f"{server}/api/2.0/mlflow/registered-models/get?name=churn") as answer:
        aliases = json.loads(answer.read())["registered_model"]["aliases"]
    assert (copy.state, after.standing) == (CopyState.PURGED, Standing.GONE)
    assert [(a["alias"], str(a["version"])) for a in aliases] == [("champion", new)]
    assert probe_copy("mlflow", f"{server}/#/models/churn/versions/{new}", digest).standing is Standing.OTHER
    found = {"before": before.words, "after": after.words, "alias champion": f"version {new}, was {old}"}
    pinned = (ROOT / "peers" / "requirements.txt").read_text().split()
    (ROOT / "peers" / "results.json").write_text(json.dumps({"mlflow": {"peer": pinned[0], **found}}, indent=1) + "\n")
