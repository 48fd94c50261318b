"""Which version of a model serves, which must not be used, and which is gone."""

from sqlalchemy import select

from expunge.core.errors import NotReady
from expunge.ledger.models import ModelVersion, VersionState, version_info, version_row
from expunge.ledger.store import Store
from expunge.ledger.tables import ModelVersionRow


def set_current(store: Store, model: str, digest: str) -> ModelVersion:
    """Let a candidate serve; the version that served until now is quarantined. May be repeated.

    Raises: UnknownName; NotReady, if the version is quarantined or purged.
    """
    with store.database.write() as session:
        version = version_row(session, model, digest)
        if version.state == VersionState.CURRENT:
            return version_info(session, version)
        if version.state != VersionState.CANDIDATE:
            raise NotReady(f"version {digest} of '{model}' is {version.state} and cannot serve; choose a candidate")
        serving = select(ModelVersionRow).where(ModelVersionRow.model_id == version.model_id)
        for old in session.scalars(serving.where(ModelVersionRow.state == VersionState.CURRENT)):
            old.state = VersionState.QUARANTINED
        # The old one first: the database holds that at most one version of a model is current.
        session.flush()
        version.state = VersionState.CURRENT
        session.flush()
        return version_info(session, version)


def restore_current(store: Store, model: str, digest: str) -> ModelVersion:
    """Let a quarantined version serve again, where no other does. May be repeated.

    Raises: UnknownName; NotReady, if it is purged, or another version serves.
    """
    with store.database.write() as session:
        version = version_row(session, model, digest)
        serving = session.scalar(
            select(ModelVersionRow.digest).where(
                ModelVersionRow.model_id == version.model_id, ModelVersionRow.state == VersionState.CURRENT
            )
        )
        if version.state == VersionState.PURGED or serving not in (None, digest):
            raise NotReady(f"version {digest} of '{model}' is {version.state}, and {serving or 'none'} serves")
        version.state = VersionState.CURRENT
        session.flush()
        return version_info(session, version)


def quarantine(store: Store, model: str, digest: str) -> ModelVersion:
    """Take a version out of service and out of training. May be repeated.

    Raises: UnknownName; NotReady, if it is purged.
    """
    with store.database.write() as session:
        version = version_row(session, model, digest)
        if version.state == VersionState.PURGED:
            raise NotReady(f"version {digest} of '{model}' is purged; there is nothing left to quarantine")
        version.state = VersionState.QUARANTINED
        session.flush()
        return version_info(session, version)


def mark_purged(store: Store, model: str, digest: str) -> ModelVersion:
    """Record that a version's files were deleted, and unlink the lists of its records. May be repeated.

    Raises: UnknownName; NotReady, if the version still serves.
    """
    with store.transaction() as session:
        version = version_row(session, model, digest)
        if version.state == VersionState.CURRENT:
            raise NotReady(
                f"version {digest} of '{model}' still serves; set another one current, or quarantine it first"
            )
        version.state = VersionState.PURGED
        session.flush()
        return version_info(session, version)
