"""Evidence that the disk alone cannot change: chained events, the signing key, and the log's newest checkpoint."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("request_event", sa.Column("position", sa.Integer(), nullable=True))
    op.add_column("request_event", sa.Column("previous", sa.String(), nullable=True))
    op.create_index("ix_request_event_position", "request_event", ["position"], unique=True)
    op.create_table(
        "event_chain",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("since", sa.String(), nullable=True),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event_chain")),
    )
    op.create_table(
        "signer",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key_id", sa.String(), nullable=False),
        sa.Column("created_at", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signer")),
        sa.UniqueConstraint("key_id", name=op.f("uq_signer_key_id")),
    )
    op.create_table(
        "log",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("vkey", sa.String(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("root", sa.String(), nullable=False),
        sa.Column("created_at", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_log")),
        sa.UniqueConstraint("origin", name=op.f("uq_log_origin")),
    )
    op.add_column("certificate", sa.Column("log_id", sa.Integer(), nullable=False, server_default=sa.text("1")))
    # A log that forked under an earlier release has two certificates at one place: the later ones are of another story.
    op.execute(
        "UPDATE certificate SET log_id = -id WHERE log_index IS NOT NULL "
        "AND id NOT IN (SELECT min(id) FROM certificate GROUP BY log_index)"
    )
    op.create_index("ix_certificate_log_place", "certificate", ["log_id", "log_index"], unique=True)
