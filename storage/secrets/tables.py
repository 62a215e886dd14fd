from sqlalchemy import LargeBinary, Table

from storage.schema import DEFINITION, Identifier, Time, key, metadata, org, required

secrets = Table(
    "secrets",
    metadata,
    key(),
    org(),
    required("key_id", Identifier),
    required("wrapped", LargeBinary),
    required("nonce", LargeBinary),
    required("data", LargeBinary),
    required("created_at", Time),
    info=DEFINITION,
)
