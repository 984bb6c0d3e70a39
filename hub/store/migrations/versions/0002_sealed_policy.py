"""Policy bundles are sealed: the sealed text beside the body, and the public keys it was sealed with."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add what sealing needs; a bundle that is there already is sealed by the hub at its next start."""
    op.add_column("bundles", sa.Column("sealed", sa.Text(), nullable=True))
    op.create_table(
        "policy_keys",
        sa.Column("key_id", sa.String(length=16), nullable=False),
        sa.Column("public", sa.String(length=64), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key_id"),
    )
