"""Alembic's entry point; storage.migrations passes the connection."""

from alembic import context

from storage.migrations.policy import compared
from storage.registry import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    include_object=compared,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
