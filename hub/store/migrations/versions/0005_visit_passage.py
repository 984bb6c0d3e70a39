"""Visits say whether somebody was seen to go through."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add two columns; what is known of visits so far was assumed."""
    op.add_column("visits", sa.Column("passage", sa.String(length=12), nullable=False, server_default="assumed"))
    op.add_column("visits", sa.Column("out_passage", sa.String(length=12), nullable=True))
    op.execute("UPDATE visits SET out_passage = 'assumed' WHERE out_kind = 'EXIT'")


def downgrade() -> None:
    """Take them away."""
    op.drop_column("visits", "out_passage")
    op.drop_column("visits", "passage")
