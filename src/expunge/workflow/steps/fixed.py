"""What a delivery fixes by digest, once: a certificate is made of these, and never of what lies on the disk later."""

from collections.abc import Collection, Mapping
from typing import Any

from expunge.core import Flag
from expunge.core.digests import digest_folder, sha256_file
from expunge.core.errors import DigestMismatch, UnreadableModel
from expunge.ledger import ModelVersion, VersionState
from expunge.workflow.project.project import Project


def fixed(project: Project, version: ModelVersion, audit: str, datasets: Collection[str]) -> dict[str, Any]:
    """The digests of a model that was just delivered, of its audit, and of the manifests without the people; and who signs."""
    return {
        "model": version.digest,
        "audit": audit,
        "manifests": fixed_manifests(project, datasets),
        "signer": project.ledger.signer(),
    }


def fixed_manifests(project: Project, datasets: Collection[str]) -> dict[str, dict[str, str]]:
    """Of each dataset's newest manifest two digests: of its records, and of the file that holds them.

    The bytes of a file differ between versions of pyarrow, and the file goes with the next erasure.
    """
    infos = [project.ledger.dataset(name) for name in datasets]
    return {info.name: {"content": info.manifest, "sha256": sha256_file(project.root / info.path)} for info in infos}


def fixed_by(project: Project, delivered: Mapping[str, Any], audit: str, dataset: str) -> dict[str, Any]:
    """What a delivery fixed; of one by an older Expunge, which fixed no file, what its event says."""
    if found := delivered.get("fixed"):
        return dict(found)
    content = delivered["manifest_after"]
    info = project.ledger.dataset(dataset)
    file = {"sha256": sha256_file(project.root / info.path)} if info.manifest == content else {}
    return {
        "model": delivered["version"],
        "audit": audit,
        "manifests": {dataset: {"content": content, **file}},
        "signer": None,
    }


def superseded(project: Project, version: ModelVersion) -> bool:
    """Whether a delivered version is gone since, because a later delivery took its place.

    Raises: DigestMismatch, if it is there and is not what was delivered.
    """
    if version.state is VersionState.PURGED:
        return True
    folder = project.folder(version)
    try:
        found = digest_folder(folder)
    except UnreadableModel as e:
        found = f"not readable: {e}"
    if found != version.digest:
        raise DigestMismatch(
            f"the model in {folder} is not the one that was delivered ({Flag.EXPIRED.value}: {Flag.EXPIRED.sentence}) It was "
            f"{version.digest}, and is {found}; restore it from a backup. Nothing was signed"
        )
    return False
