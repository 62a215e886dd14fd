"""Where verification finds the sealed records of environments."""

from domain.environments.records import (
    ALLOWLIST_ENTRY,
    ALLOWLIST_REMOVAL,
    ALLOWLIST_USE,
    BASELINE,
    DEPLOYMENT,
    DRIFT,
    ENVIRONMENT,
    REPORTING,
    SNAPSHOT,
)
from storage.ledger.records import RecordSource

_ENVIRONMENT = """
SELECT e.id, e.org_id, e.name, e.kind, e.version, e.archived_at, v.type, v.description, v.drift_policy,
       v.include_names, v.include_patterns, v.exclude_names, v.exclude_patterns, v.stale_after, v.members,
       v.created_at, v.created_by
FROM environments e JOIN environment_versions v ON v.environment_id = e.id AND v.version = e.version
"""
_VERSIONS = """
SELECT environment_id AS id, org_id, name, kind, version, archived_at, type, description, drift_policy,
       include_names, include_patterns, exclude_names, exclude_patterns, stale_after, members, created_at, created_by
FROM environment_versions
"""
_SNAPSHOT = f"SELECT {', '.join(SNAPSHOT.columns)} FROM (SELECT * FROM snapshots WHERE changed > 0 OR n = 1) AS changed"

RECORDS = (
    RecordSource(ENVIRONMENT, "environments", _ENVIRONMENT, "e.id", versions=_VERSIONS, versions_id="environment_id"),
    RecordSource(SNAPSHOT, "snapshots", _SNAPSHOT),
    RecordSource.eventful(DEPLOYMENT),
    RecordSource.eventful(REPORTING),
    RecordSource.plain(BASELINE, "baselines"),
    RecordSource.plain(DRIFT, "drift_reports"),
    RecordSource.plain(ALLOWLIST_ENTRY, "allowlist"),
    RecordSource.plain(ALLOWLIST_REMOVAL, "allowlist_removals"),
    RecordSource.plain(ALLOWLIST_USE, "allowlist_uses"),
)
