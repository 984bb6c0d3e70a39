"""The first schema: event log, projections, and what members enter."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_POS = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make every table."""
    op.create_table(
        "api_tokens",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("library", sa.String(length=16), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("token_hash"),
    )
    op.create_table(
        "audit",
        sa.Column("id", _POS, autoincrement=True, nullable=False),
        sa.Column("t", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=40), nullable=False),
        sa.Column("object", sa.String(length=200), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "blocks",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("rid", sa.String(length=32), nullable=False),
        sa.Column("issuer", sa.String(length=16), nullable=False),
        sa.Column("scope", sa.String(length=12), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("actions", sa.JSON(), nullable=False),
        sa.Column("from_ms", sa.BigInteger(), nullable=False),
        sa.Column("to_ms", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_blocks_rid", "blocks", ["rid"], unique=False)
    op.create_table(
        "bundles",
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("issued_ms", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("version"),
    )
    op.create_table(
        "cards",
        sa.Column("uid", sa.String(length=40), nullable=False),
        sa.Column("rid", sa.String(length=32), nullable=False),
        sa.Column("medium", sa.String(length=16), nullable=False),
        sa.Column("assurance", sa.String(length=8), nullable=False),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("to_ms", sa.BigInteger(), nullable=True),
        sa.Column("issued_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("uid"),
    )
    op.create_index("ix_cards_rid", "cards", ["rid"], unique=False)
    op.create_table(
        "conflicts",
        sa.Column("id", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("owner", sa.String(length=16), nullable=False),
        sa.Column("item_no", sa.String(length=64), nullable=False),
        sa.Column("events", sa.JSON(), nullable=False),
        sa.Column("t", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("resolution", sa.String(length=16), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "cursors",
        sa.Column("node", sa.String(length=64), nullable=False),
        sa.Column("epoch", sa.String(length=64), nullable=False),
        sa.Column("upto", sa.BigInteger(), nullable=False),
        sa.Column("chain", sa.String(length=64), nullable=False),
        sa.Column("t", sa.BigInteger(), nullable=False),
        sa.Column("top", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("node", "epoch"),
    )
    op.create_table(
        "decisions",
        sa.Column("id", sa.String(length=160), nullable=False),
        sa.Column("function", sa.String(length=12), nullable=False),
        sa.Column("outcome", sa.String(length=8), nullable=False),
        sa.Column("primary_code", sa.String(length=32), nullable=False),
        sa.Column("codes", sa.JSON(), nullable=False),
        sa.Column("branch", sa.String(length=32), nullable=False),
        sa.Column("device", sa.String(length=64), nullable=False),
        sa.Column("home", sa.String(length=16), nullable=True),
        sa.Column("t", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.String(length=8), nullable=False),
        sa.Column("mode", sa.String(length=8), nullable=False),
        sa.Column("policy_version", sa.Integer(), nullable=False),
        sa.Column("record", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_decisions_time", "decisions", ["t"], unique=False)
    op.create_table(
        "devices",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("node", sa.String(length=64), nullable=False),
        sa.Column("branch", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("last_seen", sa.BigInteger(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("node", "id"),
    )
    op.create_table(
        "events",
        sa.Column("pos", _POS, autoincrement=True, nullable=False),
        sa.Column("node", sa.String(length=64), nullable=False),
        sa.Column("epoch", sa.String(length=64), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("branch", sa.String(length=32), nullable=False),
        sa.Column("device", sa.String(length=64), nullable=False),
        sa.Column("t_eff", sa.BigInteger(), nullable=False),
        sa.Column("t_arr", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.String(length=16), nullable=True),
        sa.Column("item_no", sa.String(length=64), nullable=True),
        sa.Column("rid", sa.String(length=32), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("pos"),
        sa.UniqueConstraint("node", "epoch", "seq", name="uq_events_id"),
    )
    op.create_index("ix_events_branch_time", "events", ["branch", "t_eff"], unique=False)
    op.create_index("ix_events_item", "events", ["owner", "item_no"], unique=False)
    op.create_index("ix_events_reader", "events", ["rid", "branch"], unique=False)
    op.create_table(
        "holds",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("rid", sa.String(length=32), nullable=False),
        sa.Column("owner", sa.String(length=16), nullable=False),
        sa.Column("item_no", sa.String(length=64), nullable=False),
        sa.Column("pickup_branch", sa.String(length=32), nullable=False),
        sa.Column("placed_ms", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_holds_item", "holds", ["owner", "item_no", "state"], unique=False)
    op.create_table(
        "idempotency",
        sa.Column("key", sa.String(length=128), nullable=False),
        sa.Column("who", sa.String(length=64), nullable=False),
        sa.Column("body_hash", sa.String(length=64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("response", sa.Text(), nullable=False),
        sa.Column("t", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("who", "key"),
    )
    op.create_table(
        "imports",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("t", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_table(
        "item_state",
        sa.Column("owner", sa.String(length=16), nullable=False),
        sa.Column("item_no", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("branch", sa.String(length=32), nullable=False),
        sa.Column("circ_branch", sa.String(length=32), nullable=False),
        sa.Column("loan_id", sa.String(length=160), nullable=True),
        sa.Column("transit_id", sa.String(length=160), nullable=True),
        sa.Column("history", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "item_no"),
    )
    op.create_index("ix_item_state_branch", "item_state", ["branch", "status"], unique=False)
    op.create_table(
        "items",
        sa.Column("owner", sa.String(length=16), nullable=False),
        sa.Column("item_no", sa.String(length=64), nullable=False),
        sa.Column("item_type", sa.String(length=24), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("owner_branch", sa.String(length=32), nullable=False),
        sa.Column("value", sa.Integer(), nullable=False),
        sa.Column("shareable", sa.Boolean(), nullable=False),
        sa.Column("reference", sa.Boolean(), nullable=False),
        sa.Column("shelf", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("owner", "item_no"),
    )
    op.create_index("ix_items_no", "items", ["item_no"], unique=False)
    op.create_table(
        "loans",
        sa.Column("id", sa.String(length=160), nullable=False),
        sa.Column("owner", sa.String(length=16), nullable=False),
        sa.Column("item_no", sa.String(length=64), nullable=False),
        sa.Column("item_type", sa.String(length=24), nullable=False),
        sa.Column("rid", sa.String(length=96), nullable=False),
        sa.Column("home", sa.String(length=16), nullable=False),
        sa.Column("lender", sa.String(length=16), nullable=False),
        sa.Column("place", sa.String(length=32), nullable=False),
        sa.Column("device", sa.String(length=64), nullable=False),
        sa.Column("t_out", sa.BigInteger(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.Column("basis", sa.JSON(), nullable=False),
        sa.Column("flags", sa.JSON(), nullable=False),
        sa.Column("renewals", sa.JSON(), nullable=False),
        sa.Column("t_end", sa.BigInteger(), nullable=True),
        sa.Column("end_kind", sa.String(length=20), nullable=True),
        sa.Column("end_event", sa.String(length=160), nullable=True),
        sa.Column("end_place", sa.String(length=32), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_loans_item", "loans", ["owner", "item_no"], unique=False)
    op.create_index("ix_loans_open", "loans", ["t_end", "t_out"], unique=False)
    op.create_index("ix_loans_reader", "loans", ["rid", "t_end"], unique=False)
    op.create_table(
        "nodes",
        sa.Column("node", sa.String(length=64), nullable=False),
        sa.Column("org", sa.String(length=16), nullable=False),
        sa.Column("branch", sa.String(length=32), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("online", sa.Boolean(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("last_seen", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.String(length=32), nullable=True),
        sa.Column("epoch", sa.String(length=64), nullable=True),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("node"),
    )
    op.create_table(
        "presence",
        sa.Column("rid", sa.String(length=32), nullable=False),
        sa.Column("branch", sa.String(length=32), nullable=False),
        sa.Column("t_eff", sa.BigInteger(), nullable=False),
        sa.Column("node", sa.String(length=64), nullable=False),
        sa.Column("epoch", sa.String(length=64), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("visit_id", sa.String(length=160), nullable=True),
        sa.PrimaryKeyConstraint("rid", "branch"),
    )
    op.create_index("ix_presence_branch", "presence", ["branch", "visit_id"], unique=False)
    op.create_table(
        "quarantine",
        sa.Column("id", _POS, autoincrement=True, nullable=False),
        sa.Column("node", sa.String(length=64), nullable=False),
        sa.Column("epoch", sa.String(length=64), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("t_arr", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("node", "epoch", "seq", "code", name="uq_quarantine_id"),
    )
    op.create_table(
        "readers",
        sa.Column("rid", sa.String(length=32), nullable=False),
        sa.Column("home", sa.String(length=16), nullable=False),
        sa.Column("reader_no", sa.String(length=64), nullable=False),
        sa.Column("category", sa.String(length=24), nullable=False),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("valid_to_ms", sa.BigInteger(), nullable=True),
        sa.Column("shared", sa.Boolean(), nullable=False),
        sa.Column("age", sa.Integer(), nullable=True),
        sa.Column("lang", sa.String(length=8), nullable=False),
        sa.Column("pin_verifier", sa.String(length=200), nullable=True),
        sa.PrimaryKeyConstraint("rid"),
        sa.UniqueConstraint("home", "reader_no", name="uq_readers_no"),
    )
    op.create_index("ix_readers_no", "readers", ["reader_no"], unique=False)
    op.create_table(
        "site_deltas",
        sa.Column("org", sa.String(length=16), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("t", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.Text(), nullable=True),
        sa.Column("includes", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("org", "version"),
    )
    op.create_table(
        "site_readers",
        sa.Column("org", sa.String(length=16), nullable=False),
        sa.Column("srid", sa.String(length=64), nullable=False),
        sa.Column("rid", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("org", "srid"),
    )
    op.create_index("ix_site_readers_rid", "site_readers", ["rid"], unique=False)
    op.create_table(
        "site_tokens",
        sa.Column("org", sa.String(length=16), nullable=False),
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.Column("rid", sa.String(length=32), nullable=False),
        sa.Column("uid", sa.String(length=40), nullable=True),
        sa.PrimaryKeyConstraint("org", "token"),
    )
    op.create_index("ix_site_tokens_rid", "site_tokens", ["rid"], unique=False)
    op.create_table(
        "sites",
        sa.Column("org", sa.String(length=16), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("org"),
    )
    op.create_table(
        "staff",
        sa.Column("username", sa.String(length=64), nullable=False),
        sa.Column("password_hash", sa.String(length=200), nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("library", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("username"),
    )
    op.create_table(
        "subjects",
        sa.Column("node", sa.String(length=64), nullable=False),
        sa.Column("epoch", sa.String(length=64), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("salt", sa.String(length=64), nullable=False),
        sa.Column("srid", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("node", "epoch", "seq"),
    )
    op.create_table(
        "transits",
        sa.Column("id", sa.String(length=160), nullable=False),
        sa.Column("owner", sa.String(length=16), nullable=False),
        sa.Column("item_no", sa.String(length=64), nullable=False),
        sa.Column("start", sa.String(length=32), nullable=False),
        sa.Column("to", sa.String(length=32), nullable=False),
        sa.Column("via", sa.String(length=32), nullable=True),
        sa.Column("reason", sa.String(length=20), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("t_open", sa.BigInteger(), nullable=False),
        sa.Column("t_sent", sa.BigInteger(), nullable=True),
        sa.Column("t_end", sa.BigInteger(), nullable=True),
        sa.Column("legs", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_transits_item", "transits", ["owner", "item_no"], unique=False)
    op.create_index("ix_transits_open", "transits", ["t_end", "t_open"], unique=False)
    op.create_table(
        "visits",
        sa.Column("id", sa.String(length=160), nullable=False),
        sa.Column("branch", sa.String(length=32), nullable=False),
        sa.Column("gate", sa.String(length=64), nullable=False),
        sa.Column("rid", sa.String(length=96), nullable=False),
        sa.Column("home", sa.String(length=16), nullable=False),
        sa.Column("visitor_class", sa.String(length=16), nullable=False),
        sa.Column("t_in", sa.BigInteger(), nullable=False),
        sa.Column("t_out", sa.BigInteger(), nullable=True),
        sa.Column("out_kind", sa.String(length=16), nullable=True),
        sa.Column("out_event", sa.String(length=160), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_visits_branch", "visits", ["branch", "t_in"], unique=False)
    op.create_index("ix_visits_reader", "visits", ["rid", "branch"], unique=False)
