"""Erasures are counted without reading every event, and member lists listed without reading every unit."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(op.f("ix_request_event_kind"), "request_event", ["kind"])
    op.create_index("ix_unit_members", "unit", ["members", "version_id"])
