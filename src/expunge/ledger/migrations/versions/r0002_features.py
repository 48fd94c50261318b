"""Tables of features: several columns of a file that together are the input of a model."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("dataset", sa.Column("feature_columns", sa.JSON(none_as_null=True), nullable=True))
