"""Who the project is and how often it was written to, and the head of its log: what a restored part is found out by."""

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    project = op.create_table(
        "project",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_project")),
    )
    op.bulk_insert(project, [{"id": str(uuid.uuid4()), "generation": 0}])
    op.create_table(
        "log_head",
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("vkey", sa.String(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("root", sa.String(), nullable=False),
        sa.Column("pending", sa.JSON(none_as_null=True), nullable=True),
        sa.PrimaryKeyConstraint("origin", name=op.f("pk_log_head")),
    )
    op.add_column("certificate", sa.Column("log_origin", sa.String(), nullable=True))
    op.create_index("ix_certificate_place", "certificate", ["log_origin", "log_index"], unique=True)
