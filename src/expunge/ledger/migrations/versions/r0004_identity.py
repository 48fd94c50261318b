"""Who the project is and how often it was written to: what a restored part is found out by."""

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
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
