"""Security scans and the thresholds of flows."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    _thresholds()
    _scans()
    _days()
    for timing, scope in (("UPDATE OR DELETE", "ROW"), ("TRUNCATE", "STATEMENT")):
        name = "append_only" if scope == "ROW" else "append_only_truncate"
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {timing} ON security_scans "
            f"FOR EACH {scope} EXECUTE FUNCTION trailgate_refuse_change()"
        )


def _thresholds() -> None:
    op.create_table(
        "security_thresholds",
        _uuid("id"),
        _uuid("org_id"),
        _uuid("flow_id"),
        _number("version"),
        _time("created_at"),
        _time("updated_at"),
        _time("archived_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("security_thresholds_pkey")),
    )
    op.create_index(
        "security_thresholds_flow_key",
        "security_thresholds",
        ["org_id", "flow_id"],
        unique=True,
        postgresql_where=sa.text("archived_at IS NULL"),
    )
    op.create_table(
        "security_threshold_versions",
        _uuid("security_threshold_id"),
        _uuid("org_id"),
        _number("version"),
        _uuid("flow_id"),
        _time("archived_at", nullable=True),
        *(_number(f"max_{severity}") for severity in ("critical", "high", "medium", "low")),
        _uuid("created_by"),
        _time("created_at"),
        sa.PrimaryKeyConstraint("security_threshold_id", "version", name=op.f("security_threshold_versions_pkey")),
        sa.ForeignKeyConstraint(
            ["security_threshold_id"],
            ["security_thresholds.id"],
            name=op.f("security_threshold_versions_security_threshold_id_fkey"),
        ),
    )


def _scans() -> None:
    op.create_table(
        "security_scans",
        _uuid("id"),
        _uuid("org_id"),
        _uuid("trail_id"),
        _uuid("flow_id"),
        _uuid("attestation_id"),
        _name("tool", nullable=False),
        sa.Column("tool_version", sa.Text()),
        _name("scan_type"),
        sa.Column("target", sa.Text()),
        _name("digest"),
        *(_number(severity) for severity in ("critical", "high", "medium", "low", "informational")),
        sa.Column("duration_seconds", sa.BigInteger()),
        sa.Column("report_url", sa.Text()),
        sa.Column("report", JSONB()),
        sa.Column("thresholds", JSONB(), nullable=False),
        _uuid("threshold_id", nullable=True),
        _number("threshold_version", nullable=True),
        sa.Column("passed", sa.Boolean(), nullable=False),
        sa.Column("breach_details", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("reason", sa.Text()),
        _name("source_ref"),
        _uuid("recorded_by"),
        _time("created_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("security_scans_pkey")),
        sa.ForeignKeyConstraint(["trail_id"], ["trails.id"], name=op.f("security_scans_trail_id_fkey")),
        sa.ForeignKeyConstraint(
            ["attestation_id"], ["attestations.id"], name=op.f("security_scans_attestation_id_fkey")
        ),
    )
    for columns in (
        ["attestation_id"],
        ["org_id", "trail_id", "created_at", "id"],
        ["org_id", "flow_id", "created_at", "id"],
        ["org_id", "created_at", "id"],
    ):
        op.create_index(op.f(f"security_scans_{'_'.join(columns)}_idx"), "security_scans", columns)
    op.create_index(
        "security_scans_failed_idx",
        "security_scans",
        ["org_id", "created_at", "id"],
        postgresql_where=sa.text("NOT passed"),
    )


def _days() -> None:
    sums = ("scans", "critical", "high", "medium", "low", "with_critical")
    op.create_table(
        "security_scan_days",
        _uuid("org_id"),
        _uuid("flow_id"),
        _time("day"),
        _name("tool", nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in sums),
        sa.PrimaryKeyConstraint("org_id", "flow_id", "day", "tool", name=op.f("security_scan_days_pkey")),
    )
    op.create_index(op.f("security_scan_days_org_id_day_idx"), "security_scan_days", ["org_id", "day"])


def _uuid(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.Uuid(), nullable=nullable)


def _name(name: str, *, nullable: bool = True) -> sa.Column[object]:
    return sa.Column(name, sa.Text(collation="C"), nullable=nullable)


def _number(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.Integer(), nullable=nullable)


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)
