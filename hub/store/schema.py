"""The hub's tables (design §4.4): one metadata for SQLite and PostgreSQL.

Four kinds of tables stand apart: the event log (``events``, ``subjects``, ``cursors``, ``quarantine``), whose bodies are never
rewritten (two columns beside them are the hub's own reading: ``rid``, set when a stranger is registered, and ``t_eff``, which follows
CLOCK_CORRECTED); projections, which can be thrown away and folded again; records that are only added to (``corrections``,
``charges``); and what people and members enter. Times are ms UTC.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData()

_Pos = BigInteger().with_variant(Integer, "sqlite")

RARE_KINDS = ("BLOCK_LIFTED", "BLOCK_SET", "CARD_STATUS", "CLOCK_CORRECTED")
"""Kinds of events that are looked for in the whole log and are few in it."""

IS_RARE = text("kind IN ('BLOCK_LIFTED', 'BLOCK_SET', 'CARD_STATUS', 'CLOCK_CORRECTED')")
"""The condition of their index; a query has to say it in these very words for the index to be used."""

# --- the event log -------------------------------------------------------------------------------------------------

events = Table(
    "events",
    metadata,
    Column("pos", _Pos, primary_key=True, autoincrement=True),
    Column("node", String(64), nullable=False),
    Column("epoch", String(64), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("kind", String(24), nullable=False),
    Column("branch", String(32), nullable=False),
    Column("device", String(64), nullable=False),
    Column("t_eff", BigInteger, nullable=False),
    Column("t_arr", BigInteger, nullable=False),
    Column("owner", String(16)),
    Column("item_no", String(64)),
    Column("rid", String(32)),
    Column("body", Text, nullable=False),
    Column("hash", String(64), nullable=False),
    UniqueConstraint("node", "epoch", "seq", name="uq_events_id"),
    Index("ix_events_item", "owner", "item_no"),
    Index("ix_events_reader", "rid", "branch"),
    Index("ix_events_branch_time", "branch", "t_eff"),
    Index("ix_events_rare", "kind", "rid", sqlite_where=IS_RARE, postgresql_where=IS_RARE),
)

subjects = Table(
    "subjects",
    metadata,
    Column("node", String(64), nullable=False),
    Column("epoch", String(64), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("salt", String(64), nullable=False),
    Column("srid", String(64), nullable=False),
    PrimaryKeyConstraint("node", "epoch", "seq"),
)

strangers = Table(  # logged events about somebody whom no library has registered yet; their rid is set when one does
    "strangers",
    metadata,
    Column("node", String(64), nullable=False),
    Column("epoch", String(64), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("org", String(16), nullable=False),  # under whose key the srid beside the event is
    PrimaryKeyConstraint("node", "epoch", "seq"),
)

cursors = Table(
    "cursors",
    metadata,
    Column("node", String(64), nullable=False),
    Column("epoch", String(64), nullable=False),
    Column("upto", BigInteger, nullable=False),
    Column("chain", String(64), nullable=False),
    Column("t", BigInteger, nullable=False),
    Column("top", BigInteger, nullable=False, default=0),  # highest seq held; above upto = there is a hole
    PrimaryKeyConstraint("node", "epoch"),
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", _Pos, primary_key=True, autoincrement=True),
    Column("node", String(64), nullable=False),
    Column("epoch", String(64), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("code", String(40), nullable=False),
    Column("body", Text, nullable=False),
    Column("t_arr", BigInteger, nullable=False),
    Column("hash", String(64)),  # as the node stated it: the next event chains to it
    UniqueConstraint("node", "epoch", "seq", "code", name="uq_quarantine_id"),
)

# --- projections ---------------------------------------------------------------------------------------------------

item_state = Table(
    "item_state",
    metadata,
    Column("owner", String(16), nullable=False),
    Column("item_no", String(64), nullable=False),
    Column("status", String(20), nullable=False),
    Column("branch", String(32), nullable=False),
    Column("circ_branch", String(32), nullable=False),
    Column("loan_id", String(160)),
    Column("transit_id", String(160)),
    Column("history", Text, nullable=False),  # the fold's memory: an ItemHistory with its open loan and transit only
    PrimaryKeyConstraint("owner", "item_no"),
    Index("ix_item_state_branch", "branch", "status"),
)

loans = Table(
    "loans",
    metadata,
    Column("id", String(160), primary_key=True),
    Column("owner", String(16), nullable=False),
    Column("item_no", String(64), nullable=False),
    Column("item_type", String(24), nullable=False),
    Column("rid", String(200), nullable=False),
    Column("home", String(16), nullable=False),
    Column("lender", String(16), nullable=False),
    Column("place", String(32), nullable=False),
    Column("device", String(64), nullable=False),
    Column("t_out", BigInteger, nullable=False),
    Column("due", BigInteger, nullable=False),
    Column("basis", JSON, nullable=False),
    Column("flags", JSON, nullable=False),
    Column("renewals", JSON, nullable=False),
    Column("t_end", BigInteger),
    Column("end_kind", String(20)),
    Column("end_event", String(160)),
    Column("end_place", String(32)),
    Column("terms", JSON, nullable=False, default={}),
    Column("t_credit", BigInteger),
    Column("observed", Boolean, nullable=False, default=False),
    Column(
        "breaches", JSON(none_as_null=True)
    ),  # what the second pass found against it; ``flags`` are the fold's alone
    Index("ix_loans_item", "owner", "item_no"),
    Index("ix_loans_reader", "rid", "t_end"),
    Index("ix_loans_open", "t_end", "t_out"),
    Index(
        "ix_loans_breaches",
        "rid",
        sqlite_where=text("breaches IS NOT NULL"),
        postgresql_where=text("breaches IS NOT NULL"),
    ),
)

transits = Table(
    "transits",
    metadata,
    Column("id", String(160), primary_key=True),
    Column("owner", String(16), nullable=False),
    Column("item_no", String(64), nullable=False),
    Column("start", String(32), nullable=False),
    Column("to", String(32), nullable=False),
    Column("via", String(32)),
    Column("reason", String(20), nullable=False),
    Column("state", String(16), nullable=False),
    Column("t_open", BigInteger, nullable=False),
    Column("t_sent", BigInteger),
    Column("t_end", BigInteger),
    Column("legs", JSON, nullable=False),
    Column("bag", String(160)),
    Column("hold_id", String(160)),
    Index("ix_transits_item", "owner", "item_no"),
    Index("ix_transits_open", "t_end", "t_open"),
)

visits = Table(
    "visits",
    metadata,
    Column("id", String(160), primary_key=True),
    Column("branch", String(32), nullable=False),
    Column("gate", String(64), nullable=False),
    Column("rid", String(200), nullable=False),
    Column("home", String(16), nullable=False),
    Column("visitor_class", String(16), nullable=False),
    Column("t_in", BigInteger, nullable=False),
    Column("t_out", BigInteger),
    Column("out_kind", String(16)),
    Column("out_event", String(160)),
    Column("passage", String(12), nullable=False, server_default="assumed"),
    Column("out_passage", String(12)),
    Index("ix_visits_branch", "branch", "t_in"),
    Index("ix_visits_reader", "rid", "branch"),
)

conflicts = Table(
    "conflicts",
    metadata,
    Column("id", String(200), primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("owner", String(16), nullable=False),
    Column("item_no", String(64), nullable=False),
    Column("events", JSON, nullable=False),
    Column("t", BigInteger, nullable=False),
    Column("state", String(12), nullable=False),
    Column("resolution", String(32)),  # "facts": a later fact made them agree, nobody had to
    Column("library", String(16), nullable=False, default=""),  # who settles it; "*" = the hub's staff
    Column("deadline", BigInteger),  # when the default is taken; NULL = a rule took it at once
    Column("default_resolution", String(24), nullable=False, default=""),
    Column("codes", JSON(none_as_null=True)),  # what speaks against a loan, where the second pass found it
    Column("settled_by", String(160)),  # the CONFLICT_SETTLED, where a person or the deadline settled it
    Index("ix_conflicts_item", "owner", "item_no"),
    Index("ix_conflicts_due", "state", "deadline"),
)

corrections = Table(  # what a late fact changed of what had been told; only ever added to
    "corrections",
    metadata,
    Column("id", _Pos, primary_key=True, autoincrement=True),
    Column("pos", BigInteger, nullable=False),  # of the event that caused it
    Column("t", BigInteger, nullable=False),
    Column("cause", String(160), nullable=False),
    Column("change", String(24), nullable=False),
    Column("subject", String(200), nullable=False),
    Column("owner", String(16), nullable=False),
    Column("item_no", String(64), nullable=False),
    Column("before", JSON, nullable=False),
    Column("after", JSON, nullable=False),
    Index("ix_corrections_item", "owner", "item_no"),
)

charges = Table(  # the ledger of overdue charges, in fen; only ever added to
    "charges",
    metadata,
    Column("id", _Pos, primary_key=True, autoincrement=True),
    Column("loan", String(160), nullable=False),
    Column("owner", String(16), nullable=False),
    Column("item_no", String(64), nullable=False),
    Column("home", String(16), nullable=False),
    Column("lender", String(16), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("cause", String(160), nullable=False),
    Column("t", BigInteger, nullable=False),
    Column("pos", BigInteger, nullable=False),  # of the events that had arrived when it became due
    Index("ix_charges_loan", "loan"),
)

payments = Table(  # what was paid or waived of charges, folded from CHARGE_PAID and CHARGE_WAIVED; in minor units
    "payments",
    metadata,
    Column("id", String(160), primary_key=True),  # the event's name
    Column("loan", String(160), nullable=False),
    Column("owner", String(16), nullable=False),
    Column("item_no", String(64), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("waived", Boolean, nullable=False),
    Column("branch", String(32), nullable=False),
    Column("t", BigInteger, nullable=False),
    Index("ix_payments_loan", "loan"),
)

ils_work = Table(  # what a member's own ILS must book of events at other libraries' branches (hub.ils)
    "ils_work",
    metadata,
    Column("org", String(16), nullable=False),
    Column("of", String(160), nullable=False),  # the event it follows from
    Column("task", String(12), nullable=False),
    Column("owner", String(16), nullable=False),
    Column("item_no", String(64), nullable=False),
    Column("t", BigInteger, nullable=False),
    Column("due", BigInteger),
    Column("home", String(16), nullable=False, default=""),
    Column("state", String(12), nullable=False),
    Column("node", String(64)),  # who took it
    Column("made_ms", BigInteger, nullable=False),
    Column("taken_ms", BigInteger),
    Column("done_ms", BigInteger),
    PrimaryKeyConstraint("org", "of"),
    Index("ix_ils_work_state", "state", "org", "t"),
)

presence = Table(  # the visit fold's memory of a reader at a branch: its last event and its open visit
    "presence",
    metadata,
    Column("rid", String(32), nullable=False),
    Column("branch", String(32), nullable=False),
    Column("t_eff", BigInteger, nullable=False),
    Column("node", String(64), nullable=False),
    Column("epoch", String(64), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("visit_id", String(160)),
    PrimaryKeyConstraint("rid", "branch"),
    Index("ix_presence_branch", "branch", "visit_id"),
)

decisions = Table(
    "decisions",
    metadata,
    Column("id", String(160), primary_key=True),  # the id of the event that carries it
    Column("function", String(12), nullable=False),
    Column("outcome", String(8), nullable=False),
    Column("primary_code", String(32), nullable=False),
    Column("codes", JSON, nullable=False),
    Column("branch", String(32), nullable=False),
    Column("device", String(64), nullable=False),
    Column("home", String(16)),
    Column("t", BigInteger, nullable=False),
    Column("source", String(8), nullable=False),
    Column("mode", String(8), nullable=False),
    Column("policy_version", Integer, nullable=False),
    Column("record", JSON, nullable=False),
    Index("ix_decisions_time", "t"),
)

devices = Table(
    "devices",
    metadata,
    Column("id", String(64), nullable=False),  # the branch's own name for it: unique within its node
    Column("node", String(64), nullable=False),
    Column("branch", String(32), nullable=False),
    Column("kind", String(24), nullable=False),
    Column("state", String(12), nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("last_seen", BigInteger, nullable=False),
    Column("facts", JSON, nullable=False),
    PrimaryKeyConstraint("node", "id"),
)

nodes = Table(
    "nodes",
    metadata,
    Column("node", String(64), primary_key=True),
    Column("org", String(16), nullable=False),
    Column("branch", String(32), nullable=False),
    Column("token_hash", String(64), nullable=False),
    Column("online", Boolean, nullable=False, default=False),
    Column("since", BigInteger, nullable=False, default=0),
    Column("last_seen", BigInteger, nullable=False, default=0),
    Column("version", String(32)),
    Column("epoch", String(64)),
    Column("facts", JSON, nullable=False),
)

# --- entered and imported ------------------------------------------------------------------------------------------

bundles = Table(
    "bundles",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("digest", String(64), nullable=False),
    Column("issued_ms", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    Column(
        "sealed", Text
    ),  # as it travels (consortium.seal); NULL only where it was published before bundles were sealed
)

policy_keys = Table(  # public keys this hub has sealed bundles with, so that a checker can tell whose seals they are
    "policy_keys",
    metadata,
    Column("key_id", String(16), primary_key=True),
    Column("public", String(64), nullable=False),
    Column("since", BigInteger, nullable=False),
)

readers = Table(
    "readers",
    metadata,
    Column("rid", String(32), primary_key=True),
    Column("home", String(16), nullable=False),
    Column("reader_no", String(64), nullable=False),
    Column("category", String(24), nullable=False),
    Column("status", String(12), nullable=False),
    Column("valid_to_ms", BigInteger),
    Column("shared", Boolean, nullable=False),
    Column("age", Integer),
    Column("lang", String(8), nullable=False, default="zh"),
    Column("pin_verifier", String(200)),
    UniqueConstraint("home", "reader_no", name="uq_readers_no"),
    Index("ix_readers_no", "reader_no"),
)

cards = Table(
    "cards",
    metadata,
    Column("uid", String(40), primary_key=True),
    Column("rid", String(32), nullable=False),
    Column("medium", String(16), nullable=False),
    Column("assurance", String(8), nullable=False),
    Column("status", String(12), nullable=False),
    Column("to_ms", BigInteger),
    Column("issued_ms", BigInteger, nullable=False, default=0),
    Index("ix_cards_rid", "rid"),
)

site_readers = Table(  # (library, srid) -> rid: what an edge calls a reader
    "site_readers",
    metadata,
    Column("org", String(16), nullable=False),
    Column("srid", String(64), nullable=False),
    Column("rid", String(32), nullable=False),
    PrimaryKeyConstraint("org", "srid"),
    Index("ix_site_readers_rid", "rid"),
)

site_tokens = Table(  # (library, token) -> reader: what an edge shows the hub of a card or number
    "site_tokens",
    metadata,
    Column("org", String(16), nullable=False),
    Column("token", String(64), nullable=False),
    Column("rid", String(32), nullable=False),
    Column("uid", String(40)),  # the card it was made from; NULL = made from the reader's number
    PrimaryKeyConstraint("org", "token"),
    Index("ix_site_tokens_rid", "rid"),
    Index("ix_site_tokens_uid", "uid"),
)

marks = Table(  # work on what an earlier version wrote that was done once, at the hub's start
    "marks",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("t", BigInteger, nullable=False),
)

items = Table(
    "items",
    metadata,
    Column("owner", String(16), nullable=False),
    Column("item_no", String(64), nullable=False),
    Column("item_type", String(24), nullable=False),
    Column("title", Text, nullable=False),
    Column("owner_branch", String(32), nullable=False),
    Column("value", Integer, nullable=False, default=0),
    Column("shareable", Boolean, nullable=False, default=True),
    Column("reference", Boolean, nullable=False, default=False),
    Column("shelf", String(64)),
    PrimaryKeyConstraint("owner", "item_no"),
    Index("ix_items_no", "item_no"),
)

blocks = Table(
    "blocks",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("rid", String(32), nullable=False),
    Column("issuer", String(16), nullable=False),
    Column("scope", String(12), nullable=False),
    Column("kind", String(12), nullable=False, default=""),
    Column("actions", JSON, nullable=False),
    Column("from_ms", BigInteger, nullable=False, default=0),
    Column("to_ms", BigInteger),
    Column("reason", Text, nullable=False, default=""),  # private to the issuer
    Index("ix_blocks_rid", "rid"),
)

holds = Table(
    "holds",
    metadata,
    Column("id", String(160), primary_key=True),
    Column("rid", String(200), nullable=False),
    Column("owner", String(16), nullable=False),
    Column("item_no", String(64), nullable=False),
    Column("pickup_branch", String(32), nullable=False),
    Column("placed_ms", BigInteger, nullable=False),
    Column("state", String(12), nullable=False),
    Column("expiry_ms", BigInteger),
    Column("ready_ms", BigInteger),
    Column("ended_ms", BigInteger),
    Column("loan_id", String(160)),
    Index("ix_holds_item", "owner", "item_no", "state"),
    Index("ix_holds_reader", "rid", "state"),
)

sites = Table(  # the replica's version counter per library; generation rises at every restore
    "sites",
    metadata,
    Column("org", String(16), primary_key=True),
    Column("generation", Integer, nullable=False),
    Column("version", BigInteger, nullable=False),
)

site_deltas = Table(  # one row = one version step of one library's replica, kept while an edge may still need it
    "site_deltas",
    metadata,
    Column("org", String(16), nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("t", BigInteger, nullable=False),
    Column("rows", Text),  # JSON list of replica rows; NULL = only a snapshot carries this step
    Column("includes", Text, nullable=False),  # JSON: node -> [epoch, upto] contained at this version
    PrimaryKeyConstraint("org", "version"),
)

imports = Table(  # consortium files that were loaded, so that loading one again changes nothing
    "imports",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("t", BigInteger, nullable=False),
)

staff = Table(
    "staff",
    metadata,
    Column("username", String(64), primary_key=True),
    Column("password_hash", String(200), nullable=False),
    Column("role", String(20), nullable=False),
    Column("library", String(16), nullable=False),  # "*" = the consortium
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("token_hash", String(64), nullable=False, unique=True),
    Column("scopes", JSON, nullable=False),
    Column("library", String(16), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("key", String(128), nullable=False),
    Column("who", String(64), nullable=False),
    Column("body_hash", String(64), nullable=False),
    Column("status", Integer, nullable=False),
    Column("response", Text, nullable=False),
    Column("t", BigInteger, nullable=False),
    PrimaryKeyConstraint("who", "key"),
)

answered = Table(  # answers to what an edge asked to be done once; its transaction gets the first answer for ever
    "answered",
    metadata,
    Column("node", String(64), nullable=False),
    Column("name", String(12), nullable=False),
    Column("txn", String(64), nullable=False),
    Column("body_hash", String(64), nullable=False),
    Column("answer", Text, nullable=False),
    Column("t", BigInteger, nullable=False),
    PrimaryKeyConstraint("node", "name", "txn"),
)

audit = Table(
    "audit",
    metadata,
    Column("id", _Pos, primary_key=True, autoincrement=True),
    Column("t", BigInteger, nullable=False),
    Column("actor", String(64), nullable=False),
    Column("action", String(40), nullable=False),
    Column("object", String(200), nullable=False),
    Column("note", Text, nullable=False, default=""),
)
