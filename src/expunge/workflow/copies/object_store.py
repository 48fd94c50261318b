"""An object store, by whatever fsspec knows: s3, gs, abfs, sftp and more. Credentials are those of its own client."""

from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from expunge.core.errors import InvalidParameter, MissingExtra, PeerRefused
from expunge.workflow.copies._kind import Probe, compared
from expunge.workflow.copies._registry import kinds

_CHUNK = 1 << 20


@kinds.add
class ObjectStore:
    """Every object below a prefix is read and compared; those that were compared are deleted, and listed again.

    Earlier versions that a bucket keeps are not seen.
    """

    def check(self, uri: str) -> None:
        # A chained address (`simplecache::s3://…`) would hide what it holds from whoever looks for secrets in it.
        if "::" in uri or not (parts := urlsplit(uri)).scheme or not (parts.netloc + parts.path).strip("/"):
            raise InvalidParameter(f"'{uri}' is no address of an object store; write it as s3://bucket/folder")

    def probe(self, uri: str, digest: str) -> Probe:
        store, root = _store(uri)
        return compared({name: _sha256(store, path) for name, path in _objects(store, root).items()}, digest)

    def purge(self, uri: str, digest: str) -> None:
        store, root = _store(uri)
        for path in _objects(store, root).values():
            store.rm_file(path)
        if left := _objects(store, root):
            raise PeerRefused(f"{len(left)} objects are listed still after they were deleted")


def _store(uri: str) -> tuple[Any, str]:
    try:
        from fsspec.core import url_to_fs
    except ImportError as e:
        raise MissingExtra("object stores need fsspec; install expunge[models], or fsspec") from e
    store, root = url_to_fs(uri)
    store.invalidate_cache()
    return store, str(root).rstrip("/")


def _objects(store: Any, root: str) -> dict[str, str]:
    """Paths by their names below the root; none where the root is not there."""
    store.invalidate_cache()
    try:
        found = store.find(root)
    except FileNotFoundError:
        return {}
    return {str(path)[len(root) :].lstrip("/"): str(path) for path in found}


def _sha256(store: Any, path: str) -> str:
    state = sha256()
    with store.open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            state.update(chunk)
    return state.hexdigest()
