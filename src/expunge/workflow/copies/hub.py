"""A repository of models on a Hugging Face hub.

Source: the hub's API as huggingface_hub 1.x speaks it (`tree`, `resolve`, `commit`, `lfs-files`, `lfs-files/batch`).
Server: HF_ENDPOINT, by default https://huggingface.co. Credentials: HF_TOKEN.
"""

import json
import os
import re
from typing import Any
from urllib.parse import quote

from expunge.core.errors import InvalidParameter, PeerRefused
from expunge.workflow.copies._kind import Probe, Standing, compared
from expunge.workflow.copies._registry import kinds
from expunge.workflow.copies._web import ask, bearer, needed, sha256_at

_PLACE = re.compile(r"hub://(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")
_HUBS_OWN = (".gitattributes",)  # which the hub writes itself, and which says nothing of a model


@kinds.add
class Hub:
    """LFS objects are purged from storage with their pointers in every commit, and listed again; other files by a commit.

    Earlier commits keep those other files (configuration, tokenizer). The address is `hub://owner/name@revision`.
    """

    def check(self, uri: str) -> None:
        _parsed(uri)

    def probe(self, uri: str, digest: str) -> Probe:
        repo, revision = _parsed(uri)
        files = _tree(repo, revision)
        base = f"{_server()}/{repo}/resolve/{quote(revision, safe='')}"
        hashes = {
            path: (one.get("lfs") or {}).get("oid") or sha256_at(f"{base}/{quote(path)}", _login())
            for path, one in files.items()
        }
        found = compared(hashes, digest)
        if found.standing is Standing.GONE and (left := _lfs(repo)):
            return Probe(Standing.OTHER, f"no file is left, and {len(left)} LFS objects are in its storage still")
        return found

    def purge(self, uri: str, digest: str) -> None:
        repo, revision = _parsed(uri)
        files = _tree(repo, revision)
        oids = {one["lfs"]["oid"] for one in files.values() if one.get("lfs")}
        shas = [one["fileOid"] for one in _lfs(repo) if one["oid"] in oids]
        api = f"{_server()}/api/models/{repo}"
        if shas:
            body = {"deletions": {"sha": shas, "rewriteHistory": True}}
            needed(
                ask(f"{api}/lfs-files/batch", method="POST", body=body, headers=_login()), "LFS objects were not purged"
            )
        if left := [one for one in _lfs(repo) if one["oid"] in oids]:
            raise PeerRefused(f"{len(left)} LFS objects are listed still after they were purged")
        if rest := list(_tree(repo, revision)):
            lines = [{"key": "header", "value": {"summary": "Remove a version that was erased", "description": ""}}]
            lines += [{"key": "deletedFile", "value": {"path": path}} for path in rest]
            sent = "".join(json.dumps(line) + "\n" for line in lines).encode()
            url = f"{api}/commit/{quote(revision, safe='')}"
            head = {"Content-Type": "application/x-ndjson", **_login()}
            needed(ask(url, method="POST", body=sent, headers=head), "the files were not deleted")


def _parsed(uri: str) -> tuple[str, str]:
    if (place := _PLACE.fullmatch(uri)) is None:
        raise InvalidParameter(
            f"'{uri}' is no repository of a hub; write it as hub://owner/name or hub://owner/name@main"
        )
    return place["repo"], place["revision"] or "main"


def _tree(repo: str, revision: str) -> dict[str, dict[str, Any]]:
    """Files of a revision by path. Raises: PeerRefused; a hub hides what one may not read behind the same 404 as what is gone."""
    url = f"{_server()}/api/models/{repo}/tree/{quote(revision, safe='')}?recursive=true"
    listed = _pages(url, "the hub does not list the repository, which is gone, or hidden from this account")
    return {one["path"]: one for one in listed if one["type"] == "file" and one["path"] not in _HUBS_OWN}


def _lfs(repo: str) -> list[dict[str, Any]]:
    return _pages(f"{_server()}/api/models/{repo}/lfs-files", "the hub does not list LFS objects")


def _pages(url: str | None, what: str) -> list[dict[str, Any]]:
    found = list[dict[str, Any]]()
    while url:
        if not url.startswith(f"{_server()}/"):
            raise PeerRefused("the hub sends on to another host for its next page")  # which gets no token
        answer = needed(ask(url, headers=_login()), what)
        found += answer.json()
        url = answer.next
    return found


def _server() -> str:
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def _login() -> dict[str, str]:
    return bearer("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
