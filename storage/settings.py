"""Every setting there is: `TRAILGATE_<NAME>` in the environment, read once at start-up.

`trailgate settings` prints this page's table; docs/settings.md is that output.
"""

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


def _default_data_dir() -> Path:
    """Root's servers run as another user, who could not enter root's home."""
    if os.geteuid() == 0:
        return Path("/var/lib/trailgate")
    return Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser() / "trailgate"


class Settings(BaseSettings):
    """Typed settings with default, unit and meaning."""

    model_config = SettingsConfigDict(env_prefix="TRAILGATE_", frozen=True, extra="ignore")

    database_url: str | None = Field(None, description="PostgreSQL (16 or newer) as a libpq URL; unset = embedded")
    redis_url: str | None = Field(None, description="Valkey or Redis as redis:// or unix:// URL; unset = embedded")
    data_dir: Path = Field(
        default_factory=_default_data_dir,
        description="Directory of embedded servers, keys and blobs: keep it and back it up; "
        "unset = /var/lib/trailgate for root, else ~/.local/share/trailgate",
    )
    host: str = Field("127.0.0.1", description="Address the API listens on")
    port: int = Field(8080, ge=0, le=65535, description="Port the API listens on; 0 picks a free one")
    public_url: str | None = Field(None, description="Address at which clients reach the API; unset = http://host:port")
    auth: Literal["required", "off"] = Field(
        "required", description="off = everybody is admin of `default`; then only loopback addresses may be bound"
    )
    admin_key: SecretStr | None = Field(
        None, description="Fixes the first admin key (any text); unset = one is made and shown at the first start"
    )
    master_key: SecretStr | None = Field(
        None, description="32 bytes, base64: wraps the secrets at rest; unset = keys/master.key in the data directory"
    )
    signing_key: SecretStr | None = Field(
        None, description="Ed25519 seed, base64: signs checkpoints; unset = keys/signing.key in the data directory"
    )
    checkpoint_dir: Path | None = Field(
        None, description="Where checkpoints are published; unset = <data directory>-checkpoints"
    )
    region: str = Field("us-east-1", description="Region written into audit events and answers")
    database_pool: int = Field(16, ge=2, le=200, description="Connections per process")
    webhook_max_body: int = Field(25 * 2**20, ge=1024, description="Largest webhook body, bytes (GitHub sends 25 MiB)")
    evidence_max_size: int = Field(2 * 2**30, ge=1, description="Largest evidence file, bytes")
    evidence_max_files: int = Field(100, ge=1, description="Evidence files of one attestation")
    inbox_capacity: int = Field(2048, ge=1, description="Deliveries waiting for their commit, per API process")
    inbox_capacity_bytes: int = Field(
        128 * 2**20, ge=2**20, description="Bytes of deliveries waiting for their commit, per API process"
    )
    drain_batch: int = Field(400, ge=1, le=2000, description="Deliveries claimed at once")
    drain_lease: int = Field(60, ge=5, description="Seconds after which a claimed delivery is free again")
    sweep_interval: int = Field(5, ge=1, le=60, description="Seconds between the sweeps that ring again")
    checkpoint_interval: float = Field(
        1.0, ge=0, description="Seconds at least between two checkpoints of a busy ledger"
    )
    shutdown_grace: float = Field(8.0, gt=0, le=60, description="Seconds that requests and jobs have to finish")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe line logged")

    run_as: str | None = Field(
        None,
        description="User the embedded servers run as when started by root; unset = who owns their data, "
        "else postgres, else nobody",
    )
    postgres_bin: Path | None = Field(
        None, description="Folder of PostgreSQL programs to use instead of those of the wheel"
    )

    @property
    def keys_dir(self) -> Path:
        """Where the key files lie."""
        return self.data_dir / "keys"

    @property
    def blobs(self) -> Path:
        """Where the content of evidence lies, and is staged."""
        return self.data_dir / "blobs"

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints are published: beside the data directory, so that losing one does not lose both."""
        return self.checkpoint_dir or self.data_dir.with_name(self.data_dir.name + "-checkpoints")

    @property
    def address(self) -> str:
        """The base URL that answers and messages name."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")
