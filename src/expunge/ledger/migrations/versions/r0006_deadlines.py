"""Under which law a request is made, and until when its receipt must be confirmed."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("request", sa.Column("regulation", sa.String(), nullable=False, server_default="gdpr"))
    op.add_column("request", sa.Column("acknowledge_by", sa.String(), nullable=True))
    op.add_column("request", sa.Column("extended", sa.Boolean(), nullable=False, server_default=sa.false()))
