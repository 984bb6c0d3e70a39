"""Members with an ILS of their own: work for it; payments of charges; answers to what is done once."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add tables and an index; nothing that is there changes."""
    op.create_table(
        "payments",
        sa.Column("id", sa.String(length=160), nullable=False),
        sa.Column("loan", sa.String(length=160), nullable=False),
        sa.Column("owner", sa.String(length=16), nullable=False),
        sa.Column("item_no", sa.String(length=64), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("waived", sa.Boolean(), nullable=False),
        sa.Column("branch", sa.String(length=32), nullable=False),
        sa.Column("t", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_payments_loan", "payments", ["loan"])
    op.create_table(
        "ils_work",
        sa.Column("org", sa.String(length=16), nullable=False),
        sa.Column("of", sa.String(length=160), nullable=False),
        sa.Column("task", sa.String(length=12), nullable=False),
        sa.Column("owner", sa.String(length=16), nullable=False),
        sa.Column("item_no", sa.String(length=64), nullable=False),
        sa.Column("t", sa.BigInteger(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=True),
        sa.Column("home", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("node", sa.String(length=64), nullable=True),
        sa.Column("made_ms", sa.BigInteger(), nullable=False),
        sa.Column("taken_ms", sa.BigInteger(), nullable=True),
        sa.Column("done_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("org", "of"),
    )
    op.create_index("ix_ils_work_state", "ils_work", ["state", "org", "t"])
    op.create_table(
        "answered",
        sa.Column("node", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=12), nullable=False),
        sa.Column("txn", sa.String(length=64), nullable=False),
        sa.Column("body_hash", sa.String(length=64), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("t", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("node", "name", "txn"),
    )
    op.create_index("ix_holds_reader", "holds", ["rid", "state"])
