from sqlalchemy import Index, Integer, LargeBinary, Table, Uuid

from storage.schema import WORK, Identifier, Time, document, metadata, org, required

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    required("principal_id", Uuid, primary_key=True),
    required("method", Identifier, primary_key=True),
    required("path", Identifier, primary_key=True),
    required("key", Identifier, primary_key=True),
    org(),
    required("request_sha256", LargeBinary),
    required("status", Integer),
    document("headers"),
    required("body", LargeBinary),
    required("created_at", Time),
    Index(None, "created_at"),
    info=WORK,
)
"""Responses of the last 24 hours to requests with an `Idempotency-Key`: a repeated request gets the stored one."""
