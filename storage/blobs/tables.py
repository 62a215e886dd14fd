from sqlalchemy import BigInteger, Table

from storage.schema import FACT, Identifier, Time, metadata, required

blobs = Table(
    "blobs",
    metadata,
    required("digest", Identifier, primary_key=True),
    required("size", BigInteger),
    required("backend", Identifier),
    required("created_at", Time),
    info=FACT,
)
