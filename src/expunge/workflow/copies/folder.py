"""A folder of this machine, or mounted here."""

from pathlib import Path

from expunge.core.digests import digest_folder
from expunge.core.durable import remove_durably
from expunge.core.errors import InvalidParameter
from expunge.workflow.copies._kind import Probe, Standing
from expunge.workflow.copies._registry import kinds


@kinds.add
class Folder:
    """Compared by digest, and removed with all that is in it. A link is followed by neither."""

    def check(self, uri: str) -> None:
        if "://" in uri:
            raise InvalidParameter(f"'{uri}' is no folder; a store that has an address is of kind object_store")

    def probe(self, uri: str, digest: str) -> Probe:
        folder = Path(uri)
        if folder.is_symlink():
            return Probe(Standing.OTHER, "it is a link, and what it leads to was never registered")
        if not folder.exists():
            # A disk that is not mounted looks like a folder that was removed, but for the folder above it.
            if folder.absolute().parent.is_dir():
                return Probe(Standing.GONE, "no folder is there")
            return Probe(Standing.UNASKED, "the folder above it is not there; is its disk mounted?")
        if not folder.is_dir() or digest_folder(folder) != digest:
            return Probe(Standing.OTHER, "it is not what was registered")
        return Probe(Standing.THERE, "a folder with the digest that was registered")

    def purge(self, uri: str, digest: str) -> None:
        remove_durably(Path(uri))
