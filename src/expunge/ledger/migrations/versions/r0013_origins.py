"""Which datasets a derived one was made from."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "dataset_origin",
        sa.Column("dataset_id", sa.Integer(), nullable=False),
        sa.Column("origin_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["dataset_id"], ["dataset.id"], name=op.f("fk_dataset_origin_dataset_id_dataset")),
        sa.ForeignKeyConstraint(["origin_id"], ["dataset.id"], name=op.f("fk_dataset_origin_origin_id_dataset")),
        sa.PrimaryKeyConstraint("dataset_id", "origin_id", name=op.f("pk_dataset_origin")),
    )
