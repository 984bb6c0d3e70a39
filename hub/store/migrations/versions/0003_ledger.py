"""The whole domain in the ledger: who settles conflicts, corrections, charges, terms of loans, strangers, holds as folded."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_POS = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_RARE = sa.text("kind IN ('BLOCK_LIFTED', 'BLOCK_SET', 'CARD_STATUS', 'CLOCK_CORRECTED')")
_BREACHED = sa.text("breaches IS NOT NULL")


def upgrade() -> None:
    """Add tables and columns; what is there already keeps its meaning."""
    _tables()
    _loans_and_transits()
    _conflicts()
    _holds()
    op.create_index("ix_events_rare", "events", ["kind", "rid"], sqlite_where=_RARE, postgresql_where=_RARE)


def _tables() -> None:
    op.create_table(
        "strangers",
        sa.Column("node", sa.String(length=64), nullable=False),
        sa.Column("epoch", sa.String(length=64), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("org", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("node", "epoch", "seq"),
    )
    op.create_table(
        "corrections",
        sa.Column("id", _POS, autoincrement=True, nullable=False),
        sa.Column("pos", sa.BigInteger(), nullable=False),
        sa.Column("t", sa.BigInteger(), nullable=False),
        sa.Column("cause", sa.String(length=160), nullable=False),
        sa.Column("change", sa.String(length=24), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("owner", sa.String(length=16), nullable=False),
        sa.Column("item_no", sa.String(length=64), nullable=False),
        sa.Column("before", sa.JSON(), nullable=False),
        sa.Column("after", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_corrections_item", "corrections", ["owner", "item_no"])
    op.create_table(
        "charges",
        sa.Column("id", _POS, autoincrement=True, nullable=False),
        sa.Column("loan", sa.String(length=160), nullable=False),
        sa.Column("owner", sa.String(length=16), nullable=False),
        sa.Column("item_no", sa.String(length=64), nullable=False),
        sa.Column("home", sa.String(length=16), nullable=False),
        sa.Column("lender", sa.String(length=16), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("cause", sa.String(length=160), nullable=False),
        sa.Column("t", sa.BigInteger(), nullable=False),
        sa.Column("pos", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_charges_loan", "charges", ["loan"])


def _loans_and_transits() -> None:
    with op.batch_alter_table("loans") as batch:
        batch.alter_column(
            "rid", type_=sa.String(length=200), existing_type=sa.String(length=96), existing_nullable=False
        )
        batch.add_column(sa.Column("terms", sa.JSON(), nullable=False, server_default="{}"))
        batch.add_column(sa.Column("t_credit", sa.BigInteger(), nullable=True))
        batch.add_column(sa.Column("observed", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch.add_column(sa.Column("breaches", sa.JSON(), nullable=True))
    op.create_index("ix_loans_breaches", "loans", ["rid"], sqlite_where=_BREACHED, postgresql_where=_BREACHED)
    with op.batch_alter_table("visits") as batch:
        batch.alter_column(
            "rid", type_=sa.String(length=200), existing_type=sa.String(length=96), existing_nullable=False
        )
    op.add_column("transits", sa.Column("bag", sa.String(length=160), nullable=True))
    op.add_column("transits", sa.Column("hold_id", sa.String(length=160), nullable=True))


def _conflicts() -> None:
    with op.batch_alter_table("conflicts") as batch:
        batch.alter_column(
            "resolution", type_=sa.String(length=32), existing_type=sa.String(length=16), existing_nullable=True
        )
        batch.add_column(sa.Column("library", sa.String(length=16), nullable=False, server_default=""))
        batch.add_column(sa.Column("deadline", sa.BigInteger(), nullable=True))
        batch.add_column(sa.Column("default_resolution", sa.String(length=24), nullable=False, server_default=""))
        batch.add_column(sa.Column("codes", sa.JSON(), nullable=True))
        batch.add_column(sa.Column("settled_by", sa.String(length=160), nullable=True))
    op.execute("UPDATE conflicts SET library = owner")  # known before anybody was named: the item's owner, as ever
    op.create_index("ix_conflicts_item", "conflicts", ["owner", "item_no"])
    op.create_index("ix_conflicts_due", "conflicts", ["state", "deadline"])


def _holds() -> None:
    with op.batch_alter_table("holds") as batch:
        batch.alter_column(
            "id", type_=sa.String(length=160), existing_type=sa.String(length=64), existing_nullable=False
        )
        batch.alter_column(
            "rid", type_=sa.String(length=200), existing_type=sa.String(length=32), existing_nullable=False
        )
        batch.add_column(sa.Column("expiry_ms", sa.BigInteger(), nullable=True))
        batch.add_column(sa.Column("ready_ms", sa.BigInteger(), nullable=True))
        batch.add_column(sa.Column("ended_ms", sa.BigInteger(), nullable=True))
        batch.add_column(sa.Column("loan_id", sa.String(length=160), nullable=True))
