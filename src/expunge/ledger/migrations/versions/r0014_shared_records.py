"""Records about several people: a reference of their own for each company of people, and how a column names several."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "company",
        sa.Column("ref", sa.String(), nullable=False),
        sa.Column("subject_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"], name=op.f("fk_company_subject_id_subject")),
        sa.PrimaryKeyConstraint("ref", "subject_id", name=op.f("pk_company")),
    )
    op.create_index(op.f("ix_company_subject_id"), "company", ["subject_id"])
    op.add_column("dataset", sa.Column("subject_separator", sa.String(), nullable=True))
