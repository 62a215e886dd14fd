"""Deliveries: outbox, destinations, attempts, notification rules, in-app notifications, reconciliation."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from storage.partitions import partition_statements

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "attempts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("outcome", sa.Text(collation="C"), nullable=False),
        sa.Column("status_code", sa.Integer(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("response", sa.Text(), nullable=True),
        sa.Column("duration_ms", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("attempts_pkey")),
        postgresql_partition_by="RANGE (id)",
    )
    op.create_index(op.f("attempts_org_id_message_id_id_idx"), "attempts", ["org_id", "message_id", "id"])
    op.create_table(
        "destinations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("channel", sa.Text(collation="C"), nullable=False),
        sa.Column("address_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failing_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("told", sa.Text(collation="C"), nullable=True),
        sa.Column("paused_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("paused_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("disabled_reason", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("destinations_pkey")),
        sa.UniqueConstraint(
            "org_id", "channel", "address_sha256", name=op.f("destinations_org_id_channel_address_sha256_key")
        ),
    )
    op.create_table(
        "messages",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("destination_id", sa.Uuid(), nullable=False),
        sa.Column("rule_id", sa.Uuid(), nullable=True),
        sa.Column("channel", sa.Text(collation="C"), nullable=False),
        sa.Column("event", sa.Text(collation="C"), nullable=False),
        sa.Column("subject", sa.Text(collation="C"), nullable=False),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("status", sa.Text(collation="C"), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("messages_pkey")),
        postgresql_partition_by="RANGE (id)",
    )
    op.create_index(
        "messages_dead_idx",
        "messages",
        ["org_id", "created_at", "id"],
        postgresql_where=sa.text("status = 'FAILED'"),
    )
    op.create_index(
        op.f("messages_org_id_destination_id_created_at_id_idx"),
        "messages",
        ["org_id", "destination_id", "created_at", "id"],
    )
    op.create_index(op.f("messages_org_id_created_at_id_idx"), "messages", ["org_id", "created_at", "id"])
    op.create_index(
        op.f("messages_org_id_rule_id_created_at_id_idx"), "messages", ["org_id", "rule_id", "created_at", "id"]
    )
    op.create_table(
        "notification_readers",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("principal_id", sa.Uuid(), nullable=False),
        sa.Column("read_to", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "principal_id", name=op.f("notification_readers_pkey")),
    )
    op.create_table(
        "notification_reads",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("principal_id", sa.Uuid(), nullable=False),
        sa.Column("n", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("org_id", "principal_id", "n", name=op.f("notification_reads_pkey")),
    )
    op.create_table(
        "notification_rules",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(collation="C"), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("trigger", sa.Text(collation="C"), nullable=False),
        sa.Column("channel", sa.Text(collation="C"), nullable=False),
        sa.Column("config_secret_id", sa.Uuid(), nullable=False),
        sa.Column("config_shown", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("title_template", sa.Text(), nullable=True),
        sa.Column("message_template", sa.Text(), nullable=True),
        sa.Column("filter_flow_id", sa.Uuid(), nullable=True),
        sa.Column("filter_environment_id", sa.Uuid(), nullable=True),
        sa.Column("signing_secret_id", sa.Uuid(), nullable=True),
        sa.Column("previous_signing_secret_id", sa.Uuid(), nullable=True),
        sa.Column("previous_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("destination_id", sa.Uuid(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("notification_rules_pkey")),
    )
    op.create_index(
        op.f("notification_rules_org_id_created_at_id_idx"),
        "notification_rules",
        ["org_id", "created_at", "id"],
        postgresql_where=sa.text("archived_at IS NULL"),
    )
    op.create_index(
        op.f("notification_rules_org_id_trigger_idx"),
        "notification_rules",
        ["org_id", "trigger"],
        postgresql_where=sa.text("is_active AND archived_at IS NULL"),
    )
    op.create_table(
        "notification_streams",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("first_n", sa.BigInteger(), nullable=False),
        sa.Column("last_n", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("org_id", name=op.f("notification_streams_pkey")),
    )
    op.create_table(
        "notifications",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=True),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(collation="C"), nullable=False),
        sa.Column("entity_type", sa.Text(collation="C"), nullable=True),
        sa.Column("entity_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("notifications_pkey")),
        sa.UniqueConstraint("org_id", "n", name=op.f("notifications_org_id_n_key")),
    )
    op.create_index("notifications_message_key", "notifications", ["message_id"], unique=True)
    op.create_index(op.f("notifications_org_id_severity_n_idx"), "notifications", ["org_id", "severity", "n"])
    op.create_table(
        "redelivery_requests",
        sa.Column("config_id", sa.Uuid(), nullable=False),
        sa.Column("delivery_id", sa.Text(collation="C"), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("times", sa.SmallInteger(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("config_id", "delivery_id", name=op.f("redelivery_requests_pkey")),
    )
    op.create_index(op.f("redelivery_requests_asked_at_idx"), "redelivery_requests", ["asked_at"])
    op.create_table(
        "reconciliations",
        sa.Column("config_id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("hook_url", sa.Text(), nullable=False),
        sa.Column("secret_id", sa.Uuid(), nullable=False),
        sa.Column("next_run_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_run_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["config_id"], ["webhook_configs.id"], name=op.f("reconciliations_config_id_fkey")),
        sa.PrimaryKeyConstraint("config_id", name=op.f("reconciliations_pkey")),
    )
    op.execute("DELETE FROM idempotency_keys")  # stored responses were unencrypted; new ones are encrypted
    op.drop_table("outbox")
    op.create_table(
        "outbox",
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("destination_id", sa.Uuid(), nullable=False),
        sa.Column("subject", sa.Text(collation="C"), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("claim_id", sa.Uuid(), nullable=True),
        sa.Column("attempts", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("message_id", name=op.f("outbox_pkey")),
        postgresql_with={
            "fillfactor": "50",
            "autovacuum_vacuum_scale_factor": "0.01",
            "autovacuum_vacuum_threshold": "500",
            "autovacuum_vacuum_cost_delay": "0",
        },
    )
    op.create_index(
        op.f("outbox_destination_id_subject_message_id_idx"), "outbox", ["destination_id", "subject", "message_id"]
    )
    op.create_index(
        op.f("outbox_org_id_destination_id_due_at_message_id_idx"),
        "outbox",
        ["org_id", "destination_id", "due_at", "message_id"],
    )
    op.add_column("webhook_configs", sa.Column("signed_at", sa.DateTime(timezone=True), nullable=True))
    for table in ("attempts", "messages"):
        for statement in partition_statements(table, datetime.now(UTC)):
            op.execute(statement)
