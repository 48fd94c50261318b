"""Make the folders agree with the database: what it does not know is a leftover, or must be gone.

The database is the truth. A command writes its files and keys first and commits last; it never unlinks
anything that is still recorded. So whatever stopped it, one sweep restores the old state or completes the new
one.
"""

from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from expunge.core.durable import sync_folder
from expunge.ledger.database import Database
from expunge.ledger.keys import Keyring
from expunge.ledger.tables import DatasetVersionRow, ModelVersionRow, SubjectRow, UnitRow


def sweep(database: Database, keys: Keyring, manifests: Path, members: Path) -> None:
    """Unlink files and destroy keys that nothing recorded needs any more.

    Kept are the newest manifest of every dataset, the member files of versions that are not purged, and the
    keys of live subjects. It holds the writers' lock meanwhile, so nothing that another process is about to
    record is taken. Whoever restores a backup restores database, folders and keys of the same moment.
    """
    with database.write() as session:
        _unlink_others(manifests, _newest_manifests(session))
        _unlink_others(members, _member_files(session))
        live = set(session.scalars(select(SubjectRow.ref).where(SubjectRow.state == "live")))
        if orphans := keys.subjects.all().keys() - live:
            keys.subjects.destroy(orphans)


def _newest_manifests(session: Session) -> set[str]:
    newest = select(func.max(DatasetVersionRow.id)).group_by(DatasetVersionRow.dataset_id)
    return set(session.scalars(select(DatasetVersionRow.path).where(DatasetVersionRow.id.in_(newest))))


def _member_files(session: Session) -> set[str]:
    needed = select(UnitRow.members).join(ModelVersionRow, UnitRow.version_id == ModelVersionRow.id)
    return {path for path in session.scalars(needed.where(ModelVersionRow.state != "purged")) if path is not None}


def _unlink_others(folder: Path, kept: set[str]) -> None:
    gone = [
        path
        for path in folder.iterdir()
        if path.suffix in (".parquet", ".tmp") and f"{folder.name}/{path.name}" not in kept
    ]
    for path in gone:
        path.unlink()
    if gone:
        sync_folder(folder)
