from sqlalchemy import Table

from storage.schema import WORK, Identifier, Time, metadata, optional, required

schedule = Table(
    "schedule",
    metadata,
    required("name", Identifier, primary_key=True),
    required("next_run_at", Time),
    optional("last_run_at", Time),
    info=WORK,
)
