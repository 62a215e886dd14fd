"""Facts: templates, artifacts, evidence, provenance, verdicts, later results, idempotency keys."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"

APPEND_ONLY = (
    "artifact_reports",
    "artifacts",
    "evidence",
    "provenance",
    "provenance_checks",
    "verdicts",
)


def upgrade() -> None:
    op.create_table(
        "artifacts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("digest", sa.Text(collation="C"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("artifacts_pkey")),
        sa.UniqueConstraint("org_id", "digest", name=op.f("artifacts_org_id_digest_key")),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("principal_id", sa.Uuid(), nullable=False),
        sa.Column("method", sa.Text(collation="C"), nullable=False),
        sa.Column("path", sa.Text(collation="C"), nullable=False),
        sa.Column("key", sa.Text(collation="C"), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("request_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("headers", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("principal_id", "method", "path", "key", name=op.f("idempotency_keys_pkey")),
    )
    op.create_index(op.f("idempotency_keys_created_at_idx"), "idempotency_keys", ["created_at"], unique=False)
    op.create_table(
        "provenance_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(collation="C"), nullable=False),
        sa.Column("key_id", sa.Text(collation="C"), nullable=False),
        sa.Column("algorithm", sa.Text(collation="C"), nullable=False),
        sa.Column("public_key", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("provenance_keys_pkey")),
    )
    op.create_index(
        "provenance_keys_name_key",
        "provenance_keys",
        ["org_id", "name"],
        unique=True,
        postgresql_where=sa.text("archived_at IS NULL"),
    )
    op.create_index(
        op.f("provenance_keys_org_id_created_at_id_idx"),
        "provenance_keys",
        ["org_id", "created_at", "id"],
        unique=False,
    )
    op.create_table(
        "verdicts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(collation="C"), nullable=False),
        sa.Column("flow_id", sa.Uuid(), nullable=True),
        sa.Column("trail_id", sa.Uuid(), nullable=True),
        sa.Column("environment_id", sa.Uuid(), nullable=True),
        sa.Column("digest", sa.Text(collation="C"), nullable=False),
        sa.Column("outcome", sa.Text(collation="C"), nullable=False),
        sa.Column("inputs", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("result", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("decided_by", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("verdicts_pkey")),
    )
    op.create_index(op.f("verdicts_org_id_created_at_id_idx"), "verdicts", ["org_id", "created_at", "id"], unique=False)
    for column in ("flow_id", "digest"):
        name = op.f(f"verdicts_org_id_{column}_created_at_id_idx")
        op.create_index(name, "verdicts", ["org_id", column, "created_at", "id"], unique=False)
    op.create_table(
        "artifact_reports",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("artifact_id", sa.Uuid(), nullable=False),
        sa.Column("flow_id", sa.Uuid(), nullable=False),
        sa.Column("trail_id", sa.Uuid(), nullable=False),
        sa.Column("digest", sa.Text(collation="C"), nullable=False),
        sa.Column("slot", sa.Text(collation="C"), nullable=True),
        sa.Column("name", sa.Text(collation="C"), nullable=False),
        sa.Column("tag", sa.Text(collation="C"), nullable=True),
        sa.Column("registry", sa.Text(collation="C"), nullable=True),
        sa.Column("artifact_type", sa.Text(collation="C"), nullable=True),
        sa.Column("git_commit", sa.Text(collation="C"), nullable=True),
        sa.Column("build_url", sa.Text(collation="C"), nullable=True),
        sa.Column("commit_url", sa.Text(collation="C"), nullable=True),
        sa.Column("annotations", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("claimed_by", sa.Text(collation="C"), nullable=True),
        sa.Column("reported_by", sa.Uuid(), nullable=False),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["artifact_id"], ["artifacts.id"], name=op.f("artifact_reports_artifact_id_fkey")),
        sa.ForeignKeyConstraint(["trail_id"], ["trails.id"], name=op.f("artifact_reports_trail_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("artifact_reports_pkey")),
        sa.UniqueConstraint(
            "trail_id",
            "digest",
            "name",
            "tag",
            name=op.f("artifact_reports_trail_id_digest_name_tag_key"),
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_index(
        op.f("artifact_reports_org_id_digest_created_at_id_idx"),
        "artifact_reports",
        ["org_id", "digest", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        op.f("artifact_reports_org_id_flow_id_digest_created_at_id_idx"),
        "artifact_reports",
        ["org_id", "flow_id", "digest", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        op.f("artifact_reports_org_id_trail_id_created_at_id_idx"),
        "artifact_reports",
        ["org_id", "trail_id", "created_at", "id"],
        unique=False,
    )
    op.create_table(
        "evidence",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("attestation_id", sa.Uuid(), nullable=False),
        sa.Column("trail_id", sa.Uuid(), nullable=False),
        sa.Column("digest", sa.Text(collation="C"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("media_type", sa.Text(collation="C"), nullable=False),
        sa.Column("external_url", sa.Text(collation="C"), nullable=True),
        sa.Column("uploaded_by", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["attestation_id"], ["attestations.id"], name=op.f("evidence_attestation_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("evidence_pkey")),
    )
    op.create_index(op.f("evidence_digest_idx"), "evidence", ["digest"], unique=False)
    op.create_index(
        op.f("evidence_org_id_attestation_id_created_at_id_idx"),
        "evidence",
        ["org_id", "attestation_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        op.f("evidence_org_id_digest_created_at_id_idx"),
        "evidence",
        ["org_id", "digest", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        op.f("evidence_org_id_trail_id_created_at_id_idx"),
        "evidence",
        ["org_id", "trail_id", "created_at", "id"],
        unique=False,
    )
    op.create_table(
        "provenance",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("report_id", sa.Uuid(), nullable=False),
        sa.Column("trail_id", sa.Uuid(), nullable=False),
        sa.Column("digest", sa.Text(collation="C"), nullable=False),
        sa.Column("builder_id", sa.Text(collation="C"), nullable=False),
        sa.Column("builder_type", sa.Text(collation="C"), nullable=False),
        sa.Column("build_config_uri", sa.Text(collation="C"), nullable=True),
        sa.Column("source_repository_uri", sa.Text(collation="C"), nullable=True),
        sa.Column("source_commit_sha", sa.Text(collation="C"), nullable=True),
        sa.Column("build_started_on", sa.DateTime(timezone=True), nullable=True),
        sa.Column("build_finished_on", sa.DateTime(timezone=True), nullable=True),
        sa.Column("signature", sa.Text(), nullable=True),
        sa.Column("envelope", sa.Text(), nullable=True),
        sa.Column("slsa_level", sa.Text(collation="C"), nullable=False),
        sa.Column("recorded_by", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["report_id"], ["artifact_reports.id"], name=op.f("provenance_report_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("provenance_pkey")),
        sa.UniqueConstraint("report_id", name=op.f("provenance_report_id_key")),
    )
    op.create_index(
        op.f("provenance_org_id_digest_created_at_id_idx"),
        "provenance",
        ["org_id", "digest", "created_at", "id"],
        unique=False,
    )
    op.create_table(
        "provenance_checks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("provenance_id", sa.Uuid(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(collation="C"), nullable=False),
        sa.Column("key_id", sa.Uuid(), nullable=True),
        sa.Column("predicate_type", sa.Text(collation="C"), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("checked_by", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["provenance_id"], ["provenance.id"], name=op.f("provenance_checks_provenance_id_fkey")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("provenance_checks_pkey")),
        sa.UniqueConstraint("provenance_id", "n", name=op.f("provenance_checks_provenance_id_n_key")),
    )
    op.execute("SET LOCAL trailgate.retention = 'on'")
    op.add_column("attestation_results", sa.Column("id", sa.Uuid(), nullable=True))
    op.execute("UPDATE attestation_results SET id = attestation_id")
    op.alter_column("attestation_results", "id", nullable=False)
    op.add_column("attestation_results", sa.Column("details", sa.Text(), nullable=True))
    op.add_column("attestation_results", sa.Column("evidence_id", sa.Uuid(), nullable=True))
    op.create_index(op.f("attestation_results_id_idx"), "attestation_results", ["id"], unique=True)
    op.add_column("attestations", sa.Column("slot", sa.Text(collation="C"), nullable=True))
    op.add_column("attestations", sa.Column("git_commit", sa.Text(collation="C"), nullable=True))
    op.add_column("attestations", sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.add_column("flow_versions", sa.Column("name", sa.Text(collation="C"), nullable=True))
    op.execute("UPDATE flow_versions v SET name = f.name FROM flows f WHERE f.id = v.flow_id")
    op.alter_column("flow_versions", "name", nullable=False)
    op.execute("SET LOCAL trailgate.retention = 'off'")
    op.add_column("flow_versions", sa.Column("template_text", sa.Text(), nullable=True))
    op.add_column("flow_versions", sa.Column("template", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.add_column("slot_heads", sa.Column("result_n", sa.Integer(), nullable=False, server_default="1"))
    op.alter_column("slot_heads", "result_n", server_default=None)
    op.add_column("trails", sa.Column("template_text", sa.Text(), nullable=True))
    op.add_column("trails", sa.Column("template", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.create_index(
        op.f("audit_events_org_id_region_occurred_at_id_idx"),
        "audit_events",
        ["org_id", "region", "occurred_at", "id"],
        unique=False,
    )
    op.create_index(
        "trails_open_idx",
        "trails",
        ["org_id", "created_at", "id"],
        unique=False,
        postgresql_where=sa.text("status <> 'COMPLIANT'"),
    )
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION trailgate_refuse_change()"
        )
        op.execute(
            f"CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION trailgate_refuse_change()"
        )
