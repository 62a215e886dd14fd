from sqlalchemy import Index, Table, Text
from sqlalchemy.dialects.postgresql import TSVECTOR

from storage.schema import DERIVED, Identifier, Time, key, metadata, optional, org, required

search_documents = Table(
    "search_documents",
    metadata,
    key(),
    org(),
    required("kind", Identifier),
    required("exact", Identifier),
    required("text", Text),
    optional("words", TSVECTOR),
    required("updated_at", Time),
    Index(None, "org_id", "kind", "exact"),
    Index("search_documents_words_idx", "words", postgresql_using="gin"),
    Index("search_documents_text_idx", "text", postgresql_using="gin", postgresql_ops={"text": "gin_trgm_ops"}),
    info=DERIVED,
)
