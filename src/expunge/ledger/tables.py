"""The ledger's tables: opaque references and digests, no identity, record id or content of anybody.

Records have no rows here. A dataset version points at a manifest, a unit at a member file, both Parquet; so
the size of the database follows the number of people and models, never records times models. Timestamps are
UTC ISO strings, which sort as text.
"""

from typing import Any, ClassVar

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, MetaData, UniqueConstraint, false, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

_CURRENT = text("state = 'current'")


class Base(DeclarativeBase):
    """Constraints get names, so that later migrations can refer to them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        dict[str, Any]: JSON(none_as_null=True),
        list[int]: JSON(),
        list[Any]: JSON(none_as_null=True),
    }


class ProjectRow(Base):
    """Who the project is, and how often its database was written to; one row."""

    __tablename__ = "project"
    id: Mapped[str] = mapped_column(primary_key=True)
    generation: Mapped[int]


class DatasetRow(Base):
    """A file of the user's and which of its columns mean what: features by name, kind and declared categories.

    Neither `question_column` nor `feature_columns`: plain documents. `line_numbers`: the numbers that the lines of a file without
    an id column go by, as ranges, where they are not 1, 2, 3. `source_seen`: size and time of the file when all of it was
    compared with what is recorded.
    """

    __tablename__ = "dataset"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    source: Mapped[str]
    format: Mapped[str]
    subject_column: Mapped[str]
    answer_column: Mapped[str]
    question_column: Mapped[str | None]
    value_column: Mapped[str | None]
    id_column: Mapped[str | None]
    feature_columns: Mapped[list[Any] | None]
    line_numbers: Mapped[list[Any] | None]
    subject_separator: Mapped[str | None]
    source_seen: Mapped[str | None]


class DatasetOriginRow(Base):
    """A derived dataset, and one that it was made from."""

    __tablename__ = "dataset_origin"
    dataset_id: Mapped[int] = mapped_column(ForeignKey("dataset.id"), primary_key=True)
    origin_id: Mapped[int] = mapped_column(ForeignKey("dataset.id"), primary_key=True)


class DatasetVersionRow(Base):
    """One immutable manifest of a dataset. The file of an older version is unlinked; its digest stays."""

    __tablename__ = "dataset_version"
    __table_args__ = (UniqueConstraint("dataset_id", "version"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    dataset_id: Mapped[int] = mapped_column(ForeignKey("dataset.id"))
    version: Mapped[int]
    manifest: Mapped[str]
    path: Mapped[str]
    n_records: Mapped[int]
    n_subjects: Mapped[int]
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("dataset_version.id"))
    created_at: Mapped[str]


class SubjectRow(Base):
    """A person within one dataset, a random reference. `handle` finds them, and is wiped at erasure."""

    __tablename__ = "subject"
    __table_args__ = (
        UniqueConstraint("dataset_id", "handle"),
        CheckConstraint("state IN ('live', 'erased')", "state"),
        CheckConstraint("state = 'live' OR handle IS NULL", "erased_without_handle"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    dataset_id: Mapped[int] = mapped_column(ForeignKey("dataset.id"))
    ref: Mapped[str] = mapped_column(unique=True)
    handle: Mapped[bytes | None]
    state: Mapped[str]


class CompanyRow(Base):
    """Somebody who is among several people that records are about together. `ref` stands for all of them in manifests."""

    __tablename__ = "company"
    ref: Mapped[str] = mapped_column(primary_key=True)
    subject_id: Mapped[int] = mapped_column(ForeignKey("subject.id"), primary_key=True, index=True)


class ModelRow(Base):
    """A model's name, how it was made, and the dataset it learns from (none: it is not known)."""

    __tablename__ = "model"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    dataset_id: Mapped[int | None] = mapped_column(ForeignKey("dataset.id"))


class ModelVersionRow(Base):
    """One state of a model, named by its digest. `trained_on` is a manifest digest or UNKNOWN."""

    __tablename__ = "model_version"
    __table_args__ = (
        UniqueConstraint("model_id", "digest"),
        CheckConstraint("state IN ('current', 'candidate', 'quarantined', 'purged')", "state"),
        Index(
            "ix_one_current_version",
            "model_id",
            unique=True,
            sqlite_where=_CURRENT,
            postgresql_where=_CURRENT,
        ),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    model_id: Mapped[int] = mapped_column(ForeignKey("model.id"))
    digest: Mapped[str]
    path: Mapped[str]
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("model_version.id"))
    recipe: Mapped[dict[str, Any]]
    promise: Mapped[dict[str, Any] | None]
    state: Mapped[str]
    trained_on: Mapped[str]
    created_at: Mapped[str]


class UnitRow(Base):
    """A unit of a model version. `members` is the Parquet file of its commitments; none: not known."""

    __tablename__ = "unit"
    __table_args__ = (UniqueConstraint("version_id", "name"), Index("ix_unit_members", "members", "version_id"))
    id: Mapped[int] = mapped_column(primary_key=True)
    version_id: Mapped[int] = mapped_column(ForeignKey("model_version.id"))
    name: Mapped[str]
    digest: Mapped[str]
    slices: Mapped[list[int]]
    members: Mapped[str | None]


class CopyRow(Base):
    """A registered place where a model version lives."""

    __tablename__ = "copy"
    __table_args__ = (
        UniqueConstraint("version_id", "uri"),
        CheckConstraint("state IN ('present', 'purged', 'unreachable')", "state"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    version_id: Mapped[int] = mapped_column(ForeignKey("model_version.id"))
    uri: Mapped[str]
    kind: Mapped[str]
    reachable: Mapped[bool]
    state: Mapped[str]
    owner: Mapped[str | None]
    until: Mapped[str | None]
    reason: Mapped[str | None]
    declared: Mapped[str | None]


class RequestRow(Base):
    """Somebody asked to leave. `state` is a projection of the events."""

    __tablename__ = "request"
    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    dataset_id: Mapped[int] = mapped_column(ForeignKey("dataset.id"))
    state: Mapped[str]
    received_at: Mapped[str]
    due_at: Mapped[str]
    scope: Mapped[dict[str, Any]]
    regulation: Mapped[str] = mapped_column(server_default="gdpr")
    acknowledge_by: Mapped[str | None]
    extended: Mapped[bool] = mapped_column(server_default=false())


class RequestSubjectRow(Base):
    """Whom a request is about."""

    __tablename__ = "request_subject"
    request_id: Mapped[int] = mapped_column(ForeignKey("request.id"), primary_key=True)
    subject_id: Mapped[int] = mapped_column(ForeignKey("subject.id"), primary_key=True)


class RequestRecordRow(Base):
    """A record that a request is about by itself, whoever it is of: the people stay."""

    __tablename__ = "request_record"
    request_id: Mapped[int] = mapped_column(ForeignKey("request.id"), primary_key=True)
    commitment: Mapped[bytes] = mapped_column(primary_key=True)
    dataset_id: Mapped[int] = mapped_column(ForeignKey("dataset.id"))


class RequestEventRow(Base):
    """What happened to a request. Append-only: triggers refuse to change or delete a row.

    `position` counts over the whole project, and `previous` is the digest of the event before it there; neither has an event
    from before the chain began.
    """

    __tablename__ = "request_event"
    __table_args__ = (Index("ix_request_event_position", "position", unique=True),)
    request_id: Mapped[int] = mapped_column(ForeignKey("request.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[str]
    kind: Mapped[str] = mapped_column(index=True)
    detail: Mapped[dict[str, Any]]
    position: Mapped[int | None]
    previous: Mapped[str | None]


class EventChainRow(Base):
    """The end of the chain of events, in one row. `since`: when it began, if there were events before it."""

    __tablename__ = "event_chain"
    id: Mapped[int] = mapped_column(primary_key=True)
    since: Mapped[str | None]
    count: Mapped[int]
    digest: Mapped[str]


class SignerRow(Base):
    """A key that signs certificates, by its id."""

    __tablename__ = "signer"
    id: Mapped[int] = mapped_column(primary_key=True)
    key_id: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[str]


class LogRow(Base):
    """A log that certificates were appended to, and its newest checkpoint; the last row is the one that is written to."""

    __tablename__ = "log"
    id: Mapped[int] = mapped_column(primary_key=True)
    origin: Mapped[str] = mapped_column(unique=True)
    vkey: Mapped[str]
    size: Mapped[int]
    root: Mapped[str]
    created_at: Mapped[str]


class TombstoneRow(Base):
    """A record that must never be trained on again, and the request that buried it (none: before these were kept).

    Triggers refuse to change or delete a row.
    """

    __tablename__ = "tombstone"
    id: Mapped[int] = mapped_column(primary_key=True)
    dataset_id: Mapped[int] = mapped_column(ForeignKey("dataset.id"), index=True)
    commitment: Mapped[bytes] = mapped_column(unique=True)
    request_id: Mapped[int | None] = mapped_column(ForeignKey("request.id"), index=True)


class TargetRow(Base):
    """One thing that holds or may hold something of a request: what was decided about it, and what came of it."""

    __tablename__ = "target"
    __table_args__ = (CheckConstraint("decision IN ('do', 'defer', 'exempt', 'refused', 'unreachable')", "decision"),)
    request_id: Mapped[int] = mapped_column(ForeignKey("request.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    decision: Mapped[str]
    detail: Mapped[dict[str, Any]]
    attempt: Mapped[int]
    result: Mapped[dict[str, Any] | None]


class SuppressionRow(Base):
    """Somebody who was erased and is to be recognised until a day: a hash under a key of its own, where a project keeps a list."""

    __tablename__ = "suppression"
    handle: Mapped[bytes] = mapped_column(primary_key=True)
    request_id: Mapped[int] = mapped_column(ForeignKey("request.id"))
    basis: Mapped[str]
    keep_until: Mapped[str]


class StepRow(Base):
    """One step of a request and its result. `token` fences off a holder whose lease ran out."""

    __tablename__ = "step"
    __table_args__ = (CheckConstraint("state IN ('running', 'done', 'failed')", "state"),)
    request_id: Mapped[int] = mapped_column(ForeignKey("request.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str]
    token: Mapped[int]
    leased_until: Mapped[str]
    heartbeat_at: Mapped[str]
    result: Mapped[dict[str, Any] | None]


class CertificateRow(Base):
    """A signed statement about a request, and where which log holds its hash; the first log of a project is number 1."""

    __tablename__ = "certificate"
    __table_args__ = (Index("ix_certificate_log_place", "log_id", "log_index", unique=True),)
    id: Mapped[int] = mapped_column(primary_key=True)
    request_id: Mapped[int] = mapped_column(ForeignKey("request.id"), index=True)
    digest: Mapped[str] = mapped_column(unique=True)
    path: Mapped[str]
    log_id: Mapped[int] = mapped_column(server_default=text("1"))
    log_index: Mapped[int | None]
    created_at: Mapped[str]


class AuditRow(Base):
    """An audit of one model version, by the digest of the weights it was measured on."""

    __tablename__ = "audit"
    __table_args__ = (UniqueConstraint("version_digest", "digest"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    request_id: Mapped[int | None] = mapped_column(ForeignKey("request.id"), index=True)
    version_digest: Mapped[str]
    digest: Mapped[str]
    path: Mapped[str]
    created_at: Mapped[str]
