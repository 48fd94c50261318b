"""The suppression list: keyed hashes of people who were erased, each with its basis and its last day."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "suppression",
        sa.Column("handle", sa.LargeBinary(), nullable=False),
        sa.Column("request_id", sa.Integer(), nullable=False),
        sa.Column("basis", sa.String(), nullable=False),
        sa.Column("keep_until", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["request_id"], ["request.id"], name=op.f("fk_suppression_request_id_request")),
        sa.PrimaryKeyConstraint("handle", name=op.f("pk_suppression")),
    )
