"""The first schema: identity, inbox, audit, ledger and the first facts."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from storage.partitions import partition_statements

revision = "0001"
down_revision = None


APPEND_ONLY = (
    "attestation_results",
    "attestations",
    "audit_events",
    "blobs",
    "checkpoints",
    "flow_versions",
    "ledger_entries",
)

REFUSE_CHANGE = """
CREATE FUNCTION trailgate_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- Facts may change only in a transaction that sets this, such as a migration.
  IF current_setting('trailgate.retention', true) = 'on' THEN
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
  END IF;
  RAISE EXCEPTION 'the table % is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$
"""


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    op.create_table(
        "api_key_uses",
        sa.Column("api_key_id", sa.Uuid(), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("api_key_id", name=op.f("api_key_uses_pkey")),
    )
    op.create_table(
        "attestation_results",
        sa.Column("attestation_id", sa.Uuid(), nullable=False),
        sa.Column("n", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.Text(collation="C"), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("processor", sa.Text(collation="C"), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("attestation_id", "n", name=op.f("attestation_results_pkey")),
    )
    op.create_table(
        "audit_events",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(collation="C"), nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=False),
        sa.Column("credential_id", sa.Uuid(), nullable=True),
        sa.Column("record_kind", sa.Text(collation="C"), nullable=False),
        sa.Column("record_id", sa.Uuid(), nullable=False),
        sa.Column("record_version", sa.Integer(), nullable=False),
        sa.Column("trail_id", sa.Uuid(), nullable=True),
        sa.Column("environment_id", sa.Uuid(), nullable=True),
        sa.Column("digest", sa.Text(collation="C"), nullable=True),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("format", sa.SmallInteger(), nullable=False),
        sa.Column("nonce", sa.LargeBinary(), nullable=True),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("region", sa.Text(collation="C"), nullable=False),
        sa.Column("request_id", sa.Text(collation="C"), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("audit_events_pkey")),
        postgresql_partition_by="RANGE (id)",
    )
    op.create_index(
        "audit_events_digest_idx",
        "audit_events",
        ["org_id", "digest", "occurred_at", "id"],
        unique=False,
        postgresql_where=sa.text("digest IS NOT NULL"),
    )
    op.create_index(
        "audit_events_environment_idx",
        "audit_events",
        ["org_id", "environment_id", "occurred_at", "id"],
        unique=False,
        postgresql_where=sa.text("environment_id IS NOT NULL"),
    )
    op.create_index(
        op.f("audit_events_org_id_actor_id_occurred_at_id_idx"),
        "audit_events",
        ["org_id", "actor_id", "occurred_at", "id"],
        unique=False,
    )
    op.create_index(
        op.f("audit_events_org_id_name_occurred_at_id_idx"),
        "audit_events",
        ["org_id", "name", "occurred_at", "id"],
        unique=False,
    )
    op.create_index(
        op.f("audit_events_org_id_occurred_at_id_idx"), "audit_events", ["org_id", "occurred_at", "id"], unique=False
    )
    op.create_index(
        op.f("audit_events_record_id_record_version_idx"), "audit_events", ["record_id", "record_version"], unique=False
    )
    op.create_index(
        "audit_events_trail_idx",
        "audit_events",
        ["org_id", "trail_id", "occurred_at", "id"],
        unique=False,
        postgresql_where=sa.text("trail_id IS NOT NULL"),
    )
    op.create_table(
        "blobs",
        sa.Column("digest", sa.Text(collation="C"), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("backend", sa.Text(collation="C"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("blobs_pkey")),
    )
    op.create_table(
        "checkpoints",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("chain_hash", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.Text(collation="C"), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "size", name=op.f("checkpoints_pkey")),
    )
    op.create_table(
        "counter_deltas",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(collation="C"), nullable=False),
        sa.Column("parent_id", sa.Uuid(), nullable=False),
        sa.Column("d", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("counter_deltas_pkey")),
    )
    op.create_index(
        op.f("counter_deltas_org_id_kind_parent_id_idx"),
        "counter_deltas",
        ["org_id", "kind", "parent_id"],
        unique=False,
    )
    op.create_table(
        "counters",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(collation="C"), nullable=False),
        sa.Column("parent_id", sa.Uuid(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "kind", "parent_id", name=op.f("counters_pkey")),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("config_id", sa.Uuid(), nullable=False),
        sa.Column("source", sa.Text(collation="C"), nullable=False),
        sa.Column("delivery_id", sa.Text(collation="C"), nullable=False),
        sa.Column("event", sa.Text(collation="C"), nullable=True),
        sa.Column("event_type", sa.Text(collation="C"), nullable=True),
        sa.Column("body_id", sa.Uuid(), nullable=False),
        sa.Column("body_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.Text(collation="C"), nullable=False),
        sa.Column("status_message", sa.Text(collation="C"), nullable=True),
        sa.Column("error", sa.Text(collation="C"), nullable=True),
        sa.Column("duplicates", sa.Integer(), nullable=False),
        sa.Column("trail_id", sa.Uuid(), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("processed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("deliveries_pkey")),
        sa.UniqueConstraint("config_id", "delivery_id", name=op.f("deliveries_config_id_delivery_id_key")),
    )
    op.create_index(
        "deliveries_dead_idx",
        "deliveries",
        ["org_id", "id"],
        unique=False,
        postgresql_where=sa.text("status = 'FAILED'"),
    )
    op.create_index(
        op.f("deliveries_org_id_config_id_received_at_id_idx"),
        "deliveries",
        ["org_id", "config_id", "received_at", "id"],
        unique=False,
    )
    op.create_table(
        "edges",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("to_kind", sa.Text(collation="C"), nullable=False),
        sa.Column("to_key", sa.Text(collation="C"), nullable=False),
        sa.Column("from_kind", sa.Text(collation="C"), nullable=False),
        sa.Column("from_id", sa.Uuid(), nullable=False),
        sa.Column("relation", sa.Text(collation="C"), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint(
            "org_id", "to_kind", "to_key", "from_kind", "from_id", "relation", name=op.f("edges_pkey")
        ),
    )
    op.create_table(
        "flows",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(collation="C"), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("flows_pkey")),
    )
    op.create_index(
        "flows_name_key", "flows", ["org_id", "name"], unique=True, postgresql_where=sa.text("archived_at IS NULL")
    )
    op.create_index(op.f("flows_org_id_created_at_id_idx"), "flows", ["org_id", "created_at", "id"], unique=False)
    op.create_table(
        "inbox",
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("claim_id", sa.Uuid(), nullable=True),
        sa.Column("attempts", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("delivery_id", name=op.f("inbox_pkey")),
        postgresql_with={
            "fillfactor": "50",
            "autovacuum_vacuum_scale_factor": "0.01",
            "autovacuum_vacuum_threshold": "500",
            "autovacuum_vacuum_cost_delay": "0",
        },
    )
    op.create_index(
        op.f("inbox_org_id_due_at_delivery_id_idx"), "inbox", ["org_id", "due_at", "delivery_id"], unique=False
    )
    op.create_table(
        "inbox_bodies",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("headers", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("inbox_bodies_pkey")),
        postgresql_partition_by="RANGE (id)",
    )
    op.create_table(
        "ledger_entries",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        sa.Column("previous_hash", sa.LargeBinary(), nullable=False),
        sa.Column("entry_hash", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "seq", name=op.f("ledger_entries_pkey")),
        sa.UniqueConstraint("event_id", name=op.f("ledger_entries_event_id_key")),
    )
    op.create_index(
        op.f("ledger_entries_org_id_sealed_at_seq_idx"), "ledger_entries", ["org_id", "sealed_at", "seq"], unique=False
    )
    op.create_table(
        "ledger_tiles",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("level", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("n", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("hashes", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "level", "n", name=op.f("ledger_tiles_pkey")),
    )
    op.create_table(
        "organisations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("slug", sa.Text(collation="C"), nullable=False),
        sa.Column("name", sa.Text(collation="C"), nullable=False),
        sa.Column("description", sa.Text(collation="C"), nullable=False),
        sa.Column("type", sa.Text(collation="C"), nullable=False),
        sa.Column("settings", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("organisations_pkey")),
        sa.UniqueConstraint("slug", name=op.f("organisations_slug_key")),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(collation="C"), nullable=False),
        sa.Column("destination", sa.Text(collation="C"), nullable=False),
        sa.Column("subject", sa.Text(collation="C"), nullable=False),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("claim_id", sa.Uuid(), nullable=True),
        sa.Column("attempts", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("outbox_pkey")),
    )
    op.create_index(
        op.f("outbox_org_id_destination_due_at_id_idx"),
        "outbox",
        ["org_id", "destination", "due_at", "id"],
        unique=False,
    )
    op.create_table(
        "principals",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(collation="C"), nullable=False),
        sa.Column("username", sa.Text(collation="C"), nullable=False),
        sa.Column("email", sa.Text(collation="C"), nullable=True),
        sa.Column("password_hash", sa.Text(collation="C"), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("principals_pkey")),
        sa.UniqueConstraint("username", name=op.f("principals_username_key")),
    )
    op.create_table(
        "schedule",
        sa.Column("name", sa.Text(collation="C"), nullable=False),
        sa.Column("next_run_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_run_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("schedule_pkey")),
    )
    op.create_table(
        "search_documents",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(collation="C"), nullable=False),
        sa.Column("exact", sa.Text(collation="C"), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("words", postgresql.TSVECTOR(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("search_documents_pkey")),
    )
    op.create_index(
        op.f("search_documents_org_id_kind_exact_idx"), "search_documents", ["org_id", "kind", "exact"], unique=False
    )
    op.create_index(
        "search_documents_text_idx",
        "search_documents",
        ["text"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"text": "gin_trgm_ops"},
    )
    op.create_index("search_documents_words_idx", "search_documents", ["words"], unique=False, postgresql_using="gin")
    op.create_table(
        "secrets",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("key_id", sa.Text(collation="C"), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("nonce", sa.LargeBinary(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("secrets_pkey")),
    )
    op.create_table(
        "signing_keys",
        sa.Column("key_id", sa.Text(collation="C"), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("is_current", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("key_id", name=op.f("signing_keys_pkey")),
    )
    op.create_table(
        "slot_heads",
        sa.Column("trail_id", sa.Uuid(), nullable=False),
        sa.Column("slot", sa.Text(collation="C"), nullable=False),
        sa.Column("digest", sa.Text(collation="C"), nullable=False),
        sa.Column("key", sa.Text(collation="C"), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.Text(collation="C"), nullable=False),
        sa.Column("attestation_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.Text(collation="C"), nullable=False),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("trail_id", "slot", "digest", "key", name=op.f("slot_heads_pkey")),
    )
    op.create_table(
        "trails",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("flow_id", sa.Uuid(), nullable=False),
        sa.Column("flow_version", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(collation="C"), nullable=True),
        sa.Column("correlation_key", sa.Text(collation="C"), nullable=True),
        sa.Column("git_commit_sha", sa.Text(collation="C"), nullable=False),
        sa.Column("git_branch", sa.Text(collation="C"), nullable=False),
        sa.Column("git_author", sa.Text(collation="C"), nullable=False),
        sa.Column("git_author_email", sa.Text(collation="C"), nullable=False),
        sa.Column("git_repository", sa.Text(collation="C"), nullable=True),
        sa.Column("pull_request_id", sa.Text(collation="C"), nullable=True),
        sa.Column("pull_request_reviewer", sa.Text(collation="C"), nullable=True),
        sa.Column("deployment_actor", sa.Text(collation="C"), nullable=True),
        sa.Column("build_url", sa.Text(collation="C"), nullable=True),
        sa.Column("user_data", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("status", sa.Text(collation="C"), nullable=False),
        sa.Column("status_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("trails_pkey")),
        sa.UniqueConstraint("flow_id", "correlation_key", name=op.f("trails_flow_id_correlation_key_key")),
        sa.UniqueConstraint("flow_id", "name", name=op.f("trails_flow_id_name_key")),
    )
    op.create_index(op.f("trails_org_id_created_at_id_idx"), "trails", ["org_id", "created_at", "id"], unique=False)
    op.create_index(
        op.f("trails_org_id_flow_id_created_at_id_idx"),
        "trails",
        ["org_id", "flow_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(op.f("trails_org_id_git_commit_sha_idx"), "trails", ["org_id", "git_commit_sha"], unique=False)
    op.create_table(
        "unsealed",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "event_id", name=op.f("unsealed_pkey")),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("principal_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(collation="C"), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("prefix", sa.Text(collation="C"), nullable=False),
        sa.Column("permissions", postgresql.ARRAY(sa.Text(collation="C")), nullable=True),
        sa.Column("scopes", postgresql.ARRAY(sa.Text(collation="C")), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["principal_id"], ["principals.id"], name=op.f("api_keys_principal_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("api_keys_pkey")),
        sa.UniqueConstraint("sha256", name=op.f("api_keys_sha256_key")),
    )
    op.create_index(op.f("api_keys_org_id_created_at_id_idx"), "api_keys", ["org_id", "created_at", "id"], unique=False)
    op.create_table(
        "attestations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("trail_id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.Text(collation="C"), nullable=False),
        sa.Column("name", sa.Text(collation="C"), nullable=True),
        sa.Column("digest", sa.Text(collation="C"), nullable=True),
        sa.Column("origin", sa.Text(collation="C"), nullable=False),
        sa.Column("source_id", sa.Uuid(), nullable=True),
        sa.Column("details", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("evidence_url", sa.Text(collation="C"), nullable=True),
        sa.Column("user_data", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("claimed_by", sa.Text(collation="C"), nullable=True),
        sa.Column("reported_by", sa.Uuid(), nullable=False),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["trail_id"], ["trails.id"], name=op.f("attestations_trail_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("attestations_pkey")),
    )
    op.create_index(
        op.f("attestations_org_id_trail_id_created_at_id_idx"),
        "attestations",
        ["org_id", "trail_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "attestations_source_idx",
        "attestations",
        ["org_id", "source_id"],
        unique=False,
        postgresql_where=sa.text("source_id IS NOT NULL"),
    )
    op.create_table(
        "flow_versions",
        sa.Column("flow_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("required_types", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("tags", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("requires_approval", sa.Boolean(), nullable=False),
        sa.Column("required_approver_roles", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("visibility", sa.Text(collation="C"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["flow_id"], ["flows.id"], name=op.f("flow_versions_flow_id_fkey")),
        sa.PrimaryKeyConstraint("flow_id", "version", name=op.f("flow_versions_pkey")),
    )
    op.create_table(
        "memberships",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("principal_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("role", sa.Text(collation="C"), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["principal_id"], ["principals.id"], name=op.f("memberships_principal_id_fkey")),
        sa.PrimaryKeyConstraint("org_id", "principal_id", name=op.f("memberships_pkey")),
        sa.UniqueConstraint("id", name=op.f("memberships_id_key")),
    )
    op.create_table(
        "webhook_configs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("source", sa.Text(collation="C"), nullable=False),
        sa.Column("flow_id", sa.Uuid(), nullable=False),
        sa.Column("principal_id", sa.Uuid(), nullable=False),
        sa.Column("secret_id", sa.Uuid(), nullable=False),
        sa.Column("previous_secret_id", sa.Uuid(), nullable=True),
        sa.Column("previous_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["flow_id"], ["flows.id"], name=op.f("webhook_configs_flow_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("webhook_configs_pkey")),
    )
    op.create_index(op.f("webhook_configs_flow_id_idx"), "webhook_configs", ["flow_id"], unique=False)
    op.create_index(
        op.f("webhook_configs_org_id_source_created_at_id_idx"),
        "webhook_configs",
        ["org_id", "source", "created_at", "id"],
        unique=False,
        postgresql_where=sa.text("archived_at IS NULL"),
    )
    for table in ("inbox_bodies", "audit_events"):
        for statement in partition_statements(table, datetime.now(UTC)):
            op.execute(statement)
    op.execute("ALTER TABLE inbox_bodies ALTER COLUMN body SET STORAGE EXTERNAL")
    op.execute("ALTER TABLE trails SET (fillfactor = 85)")
    op.execute(REFUSE_CHANGE)
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION trailgate_refuse_change()"
        )
        op.execute(
            f"CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION trailgate_refuse_change()"
        )
