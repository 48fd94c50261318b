"""Who will deal with a copy and by when, why it was not reached, and on what evidence it was declared gone."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("owner", "until", "reason", "declared"):
        op.add_column("copy", sa.Column(name, sa.String(), nullable=True))
