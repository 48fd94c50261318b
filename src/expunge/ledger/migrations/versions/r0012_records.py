"""Requests about records, whoever they are of; and the numbers that a file's lines had when it was added."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "request_record",
        sa.Column("request_id", sa.Integer(), nullable=False),
        sa.Column("commitment", sa.LargeBinary(), nullable=False),
        sa.Column("dataset_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["request_id"], ["request.id"], name=op.f("fk_request_record_request_id_request")),
        sa.ForeignKeyConstraint(["dataset_id"], ["dataset.id"], name=op.f("fk_request_record_dataset_id_dataset")),
        sa.PrimaryKeyConstraint("request_id", "commitment", name=op.f("pk_request_record")),
    )
    op.add_column("dataset", sa.Column("line_numbers", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("dataset", sa.Column("source_seen", sa.String(), nullable=True))
