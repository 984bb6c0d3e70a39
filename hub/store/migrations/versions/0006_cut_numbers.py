"""Marks of work that an upgrade left to the hub's next start, and the tokens of a card found by its chip number."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add a table and an index. A hub that has no reader yet lacks no cut card numbers."""
    op.create_table(
        "marks",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("t", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.execute("INSERT INTO marks (name, t) SELECT 'cut_numbers', 0 WHERE NOT EXISTS (SELECT 1 FROM readers)")
    op.create_index("ix_site_tokens_uid", "site_tokens", ["uid"])


def downgrade() -> None:
    """Take them away."""
    op.drop_index("ix_site_tokens_uid", "site_tokens")
    op.drop_table("marks")
