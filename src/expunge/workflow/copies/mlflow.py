"""A version of a registered model on an MLflow server, by REST.

Source: MLflow REST API 2.0 (`model-versions/get`, `get-download-uri`, `delete`; `registered-models/alias`; the proxied
`mlflow-artifacts`). Credentials: MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit

from expunge.core.errors import InvalidParameter, PeerRefused
from expunge.workflow.copies._kind import Probe, Standing, compared
from expunge.workflow.copies._registry import kinds
from expunge.workflow.copies._web import Answer, ask, basic, bearer, needed, sha256_at, web_address

_PAGE = re.compile(r"/models/(?P<name>[^/?]+)/versions/(?P<version>\d+)(\?aliases-to=(?P<successor>\d+))?")


@dataclass(frozen=True)
class _Version:
    server: str
    name: str
    version: str
    successor: str | None


@kinds.add
class MLflow:
    """Artifacts are compared and deleted, aliases moved to the version after `?aliases-to=` or taken away, the version deleted.

    The address is that of the version's page in MLflow: `http://host:5000/#/models/churn/versions/3`.
    """

    def check(self, uri: str) -> None:
        _parsed(uri)

    def probe(self, uri: str, digest: str) -> Probe:
        at = _parsed(uri)
        found = _call(at, "GET", "model-versions/get", {"name": at.name, "version": at.version})
        if found.status == 404 and found.json().get("error_code") == "RESOURCE_DOES_NOT_EXIST":
            return Probe(Standing.GONE, "the registry has no such version")
        needed(found, "the registry does not tell of the version")
        probe = compared({name: sha256_at(url, _login()) for name, url in _artifacts(at).items()}, digest)
        if probe.standing is Standing.GONE:
            return Probe(Standing.OTHER, "the registry has the version still, and its artifacts are not there")
        return probe

    def purge(self, uri: str, digest: str) -> None:
        at = _parsed(uri)
        for url in _artifacts(at).values():
            needed(ask(url, method="DELETE", headers=_login()), "an artifact was not deleted")
        if left := _artifacts(at):
            raise PeerRefused(f"{len(left)} artifacts are listed still after they were deleted")
        for alias in _aliases(at):
            if at.successor:
                moved = {"name": at.name, "alias": alias, "version": at.successor}
                needed(_call(at, "POST", "registered-models/alias", moved), "an alias was not moved")
            else:
                gone = {"name": at.name, "alias": alias}
                needed(_call(at, "DELETE", "registered-models/alias", gone), "an alias was not taken away")
        version = {"name": at.name, "version": at.version}
        needed(_call(at, "DELETE", "model-versions/delete", version), "the version was not deleted")


def _parsed(uri: str) -> _Version:
    parts = web_address(uri)
    page = _PAGE.fullmatch(parts.fragment)
    if page is None or parts.query:
        raise InvalidParameter(
            f"'{uri}' is no page of a model version; write it as http://host:5000/#/models/NAME/versions/3"
        )
    server = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
    return _Version(server, unquote(page["name"]), page["version"], page["successor"])


def _call(at: _Version, method: str, path: str, values: Mapping[str, str]) -> Answer:
    url = f"{at.server}/api/2.0/mlflow/{path}"
    if method == "GET":
        return ask(f"{url}?{urlencode(values)}", headers=_login())
    return ask(url, method=method, body=values, headers=_login())


def _aliases(at: _Version) -> list[str]:
    """Names under which this very version is served."""
    model = needed(
        _call(at, "GET", "registered-models/get", {"name": at.name}), "the registry does not tell of the model"
    )
    listed = model.json()["registered_model"].get("aliases", [])
    return [alias["alias"] for alias in listed if str(alias["version"]) == at.version]


def _artifacts(at: _Version) -> dict[str, str]:
    """Addresses of a version's files by their names."""
    asked = {"name": at.name, "version": at.version}
    where = needed(
        _call(at, "GET", "model-versions/get-download-uri", asked), "the registry does not say where the files are"
    )
    place = urlsplit(where.json().get("artifact_uri", ""))
    if place.scheme != "mlflow-artifacts":
        raise PeerRefused(
            f"the files are kept in {place.scheme or 'a folder'}, not by this server; register that place as a copy of its own"
        )
    root = place.path.strip("/")
    base = f"{at.server}/api/2.0/mlflow-artifacts/artifacts"
    found, folders = dict[str, str](), [""]
    while folders:
        folder = folders.pop()
        path = f"{root}/{folder}".rstrip("/")
        listed = needed(ask(f"{base}?{urlencode({'path': path})}", headers=_login()), "artifacts are not listed")
        for one in _files(listed):
            name = f"{folder}/{one['path']}".lstrip("/")
            if one.get("is_dir"):
                folders.append(name)
            else:
                found[name] = f"{base}/{quote(f'{root}/{name}')}"
    return found


def _files(listed: Answer) -> list[dict[str, Any]]:
    return list(listed.json().get("files", []))


def _login() -> dict[str, str]:
    if user := os.environ.get("MLFLOW_TRACKING_USERNAME"):
        return basic(user, os.environ.get("MLFLOW_TRACKING_PASSWORD", ""))
    return bearer("MLFLOW_TRACKING_TOKEN")
