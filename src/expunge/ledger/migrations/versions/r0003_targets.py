"""Targets: what holds something of a request, what was decided about each, and which request buried a record."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "target",
        sa.Column("request_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("decision", sa.String(), nullable=False),
        sa.Column("detail", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("result", sa.JSON(none_as_null=True), nullable=True),
        sa.CheckConstraint(
            "decision IN ('do', 'defer', 'exempt', 'refused', 'unreachable')", name=op.f("ck_target_decision")
        ),
        sa.ForeignKeyConstraint(["request_id"], ["request.id"], name=op.f("fk_target_request_id_request")),
        sa.PrimaryKeyConstraint("request_id", "name", name=op.f("pk_target")),
    )
    # In words that both databases take, so that SQLite need not make the table anew, past the triggers that guard it.
    op.execute(
        "ALTER TABLE tombstone ADD COLUMN request_id INTEGER "
        "CONSTRAINT fk_tombstone_request_id_request REFERENCES request (id)"
    )
    op.create_index(op.f("ix_tombstone_request_id"), "tombstone", ["request_id"])
