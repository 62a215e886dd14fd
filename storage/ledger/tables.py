from sqlalchemy import BigInteger, Index, Integer, LargeBinary, SmallInteger, Table, Uuid

from storage.schema import DERIVED, FACT, WORK, Identifier, Time, metadata, required

ledger_entries = Table(
    "ledger_entries",
    metadata,
    required("org_id", Uuid, primary_key=True),
    required("seq", BigInteger, primary_key=True, autoincrement=False),
    required("event_id", Uuid, unique=True),
    required("leaf", LargeBinary),
    required("previous_hash", LargeBinary),
    required("entry_hash", LargeBinary),
    required("sealed_at", Time),
    Index(None, "org_id", "sealed_at", "seq"),
    info=FACT,
)

ledger_tiles = Table(
    "ledger_tiles",
    metadata,
    required("org_id", Uuid, primary_key=True),
    required("level", SmallInteger, primary_key=True, autoincrement=False),
    required("n", Integer, primary_key=True, autoincrement=False),
    required("hashes", LargeBinary),
    info=DERIVED,
)

checkpoints = Table(
    "checkpoints",
    metadata,
    required("org_id", Uuid, primary_key=True),
    required("size", BigInteger, primary_key=True, autoincrement=False),
    required("root", LargeBinary),
    required("chain_hash", LargeBinary),
    required("key_id", Identifier),
    required("signature", LargeBinary),
    required("created_at", Time),
    info=FACT,
)

ledger_heads = Table(
    "ledger_heads",
    metadata,
    required("org_id", Uuid, primary_key=True),
    required("size", BigInteger),
    required("chain_hash", LargeBinary),
    required("root", LargeBinary),
    required("mac", LargeBinary),
    info=WORK,
)
"""The state after the newest entry. `mac` is made with a key that the database does not hold: entries that somebody
else wrote are never signed.
"""
