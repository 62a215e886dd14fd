"""All settings: `TRAILGATE_<NAME>` in the environment, read once at start-up.

`trailgate settings` prints them as a table, and `make settings` writes that table to docs/settings.md.
"""

import os
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from domain.addresses import Network, networks
from domain.authorities import Authority, authority_of, authority_of_url
from domain.identity.quotas import DEFAULTS, MAX_LIMIT, Quota, Quotas
from domain.identity.rates import RATE_TERMS, RateLimit, Rates

MAIL_SCHEMES = ("smtp", "smtp+starttls", "smtps")
MAX_RATE = 10_000_000

_ADDRESS = r"[A-Za-z0-9_%+-]+(\.[A-Za-z0-9_%+-]+)*@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*"
_MAILBOX = rf"\A({_ADDRESS}|[^\x00-\x1f<>@]*<{_ADDRESS}>)\z"


_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:\d+)?|https?://\[[0-9a-f:]+\](:\d+)?")
"""As browsers send it: lower case, no path."""


def _listed(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip()]


def default_data_dir() -> Path:
    """Return the data directory if none is set: outside root's home, whose embedded servers run as another user."""
    if os.geteuid() == 0:
        return Path("/var/lib/trailgate")
    return Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser() / "trailgate"


def _quota(quota: Quota, description: str) -> Any:
    """Return the field of a quota of organisations that have none of their own."""
    return Field(DEFAULTS[quota], ge=0, le=MAX_LIMIT, description=description)


def _rate(limit: RateLimit) -> Any:
    """Return the field of a rate limit: so many per minute, of all processes together."""
    terms = RATE_TERMS[limit]
    return Field(terms.standard, ge=0, le=MAX_RATE, description=f"{terms.description}, per minute; 0 = no limit")


class Settings(BaseSettings):
    """Typed settings, each with its default and a description that names the unit."""

    model_config = SettingsConfigDict(
        env_prefix="TRAILGATE_",
        env_ignore_empty=True,  # an empty variable is an unset one: no empty key, no data in the working directory
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
    )

    database_url: str | None = Field(None, description="PostgreSQL (16 or newer) as a libpq URL; unset = embedded")
    redis_url: str | None = Field(None, description="Valkey or Redis as redis:// or unix:// URL; unset = embedded")
    data_dir: Path = Field(
        default_factory=default_data_dir,
        description="Directory of embedded servers, keys and blobs: keep it and back it up; "
        "unset = /var/lib/trailgate for root, else ~/.local/share/trailgate",
    )
    host: str = Field("127.0.0.1", description="Address the API listens on")
    port: int = Field(8080, ge=0, le=65535, description="Port the API listens on; 0 picks a free one")
    worker_metrics_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="Port of a worker's metrics on TRAILGATE_HOST, or the next free one of 16 from there on; "
        "0 = none, except under `trailgate up` on a loopback address: the API's port plus 1000",
    )
    public_url: str | None = Field(None, description="Address at which clients reach the API; unset = http://host:port")
    allowed_hosts: str = Field(
        "",
        description="Hosts that requests may name beside TRAILGATE_PUBLIC_URL and loopback addresses, comma-separated "
        "(host or host:port); without TRAILGATE_PUBLIC_URL any may be named",
    )
    cors_origins: str = Field(
        "",
        description="Origins whose pages may use the API from a browser, with the session's cookie as well, "
        "comma-separated (https://app.example.com)",
    )
    trusted_proxies: str = Field(
        "",
        description="Networks of the proxies before the API, comma-separated: the client's address is then taken from "
        "X-Forwarded-For",
    )
    auth: Literal["required", "off"] = Field(
        "required", description="off = every caller is admin of `default`; then only loopback addresses may be bound"
    )
    admin_key: SecretStr | None = Field(
        None, description="Sets the first admin key (any text); unset = a random one is shown at the first start"
    )
    master_key: SecretStr | None = Field(
        None,
        description="32 bytes, base64: encrypts secrets at rest; during a rotation the new key, a comma, the old one; "
        "unset = keys/master.key in the data directory",
    )
    signing_key: SecretStr | None = Field(
        None, description="Ed25519 seed, base64: signs checkpoints; unset = keys/signing.key in the data directory"
    )
    trusted_keys: str = Field(
        "",
        description="Public keys (base64, separated by commas) of earlier signing keys, whose checkpoints stay valid; "
        "beside those in keys/trusted.keys in the data directory",
    )
    checkpoint_dir: Path | None = Field(
        None, description="Directory where checkpoints are published; unset = <data directory>-checkpoints"
    )
    region: str = Field("us-east-1", description="Region written into audit events and responses")
    api_processes: int = Field(
        1, ge=1, le=64, description="API processes that share the address: one for each core to use for requests"
    )
    database_pool: int = Field(
        16, ge=2, le=200, description="Database connections per process; each API process has one more, for LISTEN"
    )
    webhook_max_body: int = Field(25 * 2**20, ge=1024, description="Largest webhook body, bytes (GitHub sends 25 MiB)")
    evidence_max_size: int = Field(2 * 2**30, ge=1, description="Largest evidence file in bytes")
    evidence_max_files: int = Field(100, ge=1, description="Evidence files that one attestation may have")
    inbox_capacity: int = Field(2048, ge=1, description="Deliveries that may wait for their commit, per API process")
    inbox_capacity_bytes: int = Field(
        128 * 2**20, ge=2**20, description="Bytes of the deliveries that may wait for their commit, per API process"
    )
    streams_per_key: int = Field(50, ge=1, description="Event streams that one API key may hold open, per API process")
    streams_per_organisation: int = Field(
        250, ge=1, description="Event streams that one organisation may hold open, per API process, which serves 1,000"
    )
    drain_batch: int = Field(400, ge=1, le=2000, description="Maximum number of deliveries in one claim")
    drain_lease: int = Field(60, ge=5, description="Seconds after which a claimed delivery may be claimed again")
    sweep_interval: int = Field(5, ge=1, le=60, description="Seconds between sweeps, which wake workers for due work")
    checkpoint_interval: float = Field(
        1.0, ge=0, description="Minimum seconds between two checkpoints of a busy ledger"
    )
    reconcile_interval: int = Field(
        300, ge=30, description="Seconds between two comparisons with a sender's own list of its deliveries"
    )
    inbox_retention_days: int = Field(90, ge=1, description="Days to keep the bodies of deliveries")
    attempts_retention_days: int = Field(
        90, ge=1, description="Days to keep outgoing messages and the attempts to send them"
    )
    gate_default_decision: Literal["ALLOWED", "BLOCKED"] = Field(
        "ALLOWED", description="What the gate decides where no policy applies; it says so in the reason"
    )
    notifications_retention_days: int = Field(180, ge=1, description="Days to keep in-app notifications")
    quota_evidence_bytes: int = _quota(
        Quota.EVIDENCE_BYTES,
        "Bytes of evidence files that an organisation may store; this and the other quotas are for "
        "organisations without limits of their own (`trailgate organisations limits`)",
    )
    quota_trails_per_day: int = _quota(Quota.TRAILS_PER_DAY, "Trails that an organisation may open per day")
    quota_messages_per_hour: int = _quota(
        Quota.MESSAGES_PER_HOUR, "Messages that an organisation's notification rules may send per hour"
    )
    quota_webhook_configs: int = _quota(Quota.WEBHOOK_CONFIGS, "Webhook configs of an organisation")
    quota_notification_rules: int = _quota(Quota.NOTIFICATION_RULES, "Notification rules of an organisation")
    quota_api_keys: int = _quota(Quota.API_KEYS, "API keys of an organisation that are not revoked")
    session_idle_minutes: int = Field(
        60, ge=5, le=60 * 24 * 30, description="Minutes without a request after which a session ends"
    )
    session_hours: int = Field(
        12, ge=1, le=24 * 90, description="Hours after which a session ends, however much it is used"
    )
    quota_users: int = _quota(Quota.USERS, "Users that an organisation manages")
    quota_members: int = _quota(Quota.MEMBERS, "Members of an organisation")
    quota_service_accounts: int = _quota(Quota.SERVICE_ACCOUNTS, "Service accounts of an organisation")
    rate_requests_per_key: int = _rate(RateLimit.KEY)
    rate_requests_per_organisation: int = _rate(RateLimit.ORGANISATION)
    rate_requests_per_address: int = _rate(RateLimit.ADDRESS)
    rate_failed_keys_per_address: int = _rate(RateLimit.FAILED_KEYS)
    rate_failed_signatures_per_address: int = _rate(RateLimit.FAILED_SIGNATURES)
    rate_sign_ins_per_address: int = _rate(RateLimit.SIGN_IN)
    rate_sign_ins_per_organisation: int = _rate(RateLimit.SIGN_IN_ORGANISATION)
    quota_workload_identities: int = _quota(Quota.WORKLOAD_IDENTITIES, "Workload identities of an organisation")
    quota_invitations: int = _quota(Quota.INVITATIONS, "Unanswered invitations of an organisation")
    quota_invitation_mails_per_hour: int = _quota(
        Quota.INVITATION_MAILS_PER_HOUR, "Invitations that an organisation may send by e-mail per hour"
    )
    invitation_days: int = Field(
        7, ge=1, le=90, description="Days for which an invitation is valid, unless it asks for fewer"
    )
    shutdown_grace: float = Field(
        8.0, gt=0, le=60, description="Seconds that requests and jobs get to finish at shutdown"
    )
    outbound_allow: str | None = Field(
        None,
        description="Private networks that outgoing requests may reach, comma-separated; "
        "http and any port are allowed there too",
    )
    outbound_timeout: float = Field(15.0, gt=0, le=60, description="Timeout of an outgoing request in seconds")
    smtp_url: SecretStr | None = Field(
        None,
        description="Mail server: smtps://user:password@host (TLS), smtp+starttls://user:password@host (STARTTLS "
        "required) or smtp://host (unencrypted); default ports 465, 587 and 25; unset = no e-mail is sent",
    )
    smtp_from: str = Field(
        "Trailgate <trailgate@localhost>",
        pattern=_MAILBOX,
        description="Sender of e-mail: an address, or Name <address>",
    )
    unproven_bytes: int = Field(
        128 * 2**20,
        ge=2**20,
        description="Bytes of all deliveries together whose signature is not verified yet, per API process; further "
        "ones get 503 meanwhile. A form takes up to three times its payload",
    )
    max_connections: int = Field(
        4096, ge=16, description="Connections per API process; fewer if the limit of open files (ulimit -n) is low"
    )
    connections_per_address: int | None = Field(
        None,
        ge=0,
        description="Connections of one address (IPv6: one /64 network) per API process; unset = half of all; "
        "0 = no limit, for a proxy, whose address all connections have",
    )
    client_timeout: float = Field(
        30.0,
        gt=0,
        description="Seconds that a client may keep the server waiting: for its first request, for a body (one more "
        "per KiB; none for an unverified delivery), or by not reading an answer",
    )
    keepalive_timeout: float = Field(
        75.0,
        gt=0,
        description="Seconds that a connection may be idle between two requests; more than a proxy keeps it",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Lowest level that is logged")
    log_file_size: int = Field(
        16 * 2**20, ge=2**16, description="Bytes at which `trailgate up` begins a new log file of a process"
    )
    log_files: int = Field(
        4, ge=0, le=100, description="Older log files that `trailgate up` keeps of each process beside the current one"
    )

    disk_reserve: int = Field(
        64 * 2**20,
        ge=0,
        description="Bytes to leave free on the disk of the data directory: below that, uploads are refused, "
        "and `trailgate up` makes its database read-only",
    )
    run_as: str | None = Field(
        None,
        description="User the embedded servers run as when started by root; unset = the owner of their data, "
        "else postgres, else nobody",
    )
    postgres_bin: Path | None = Field(
        None, description="Directory of the PostgreSQL programs to use instead of those in the Python package"
    )

    @field_validator("outbound_allow", "trusted_proxies")
    @classmethod
    def _networks(cls, value: str | None) -> str | None:
        networks(value or "")
        return value

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, value: str) -> str:
        for origin in _listed(value):
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin[:100]!r} must be an origin such as https://app.example.com, not *")
        return value

    @field_validator("allowed_hosts")
    @classmethod
    def _hosts(cls, value: str) -> str:
        for host in _listed(value):
            if authority_of(host) is None or "/" in host or "*" in host:
                raise ValueError(f"{host[:100]!r} is not a host such as trailgate.example.com:8443")
        return value

    @field_validator("smtp_url")
    @classmethod
    def _mail_server(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            url = urlsplit(value.get_secret_value())
            if url.scheme not in MAIL_SCHEMES or not url.hostname or url.port == 0:
                raise ValueError(f"not a URL of a mail server: {', '.join(MAIL_SCHEMES)}://[user:password@]host[:port]")
        return value

    @model_validator(mode="after")
    def _largest_delivery_fits(self) -> Self:
        if self.unproven_bytes < self.webhook_max_body:
            raise ValueError("TRAILGATE_UNPROVEN_BYTES must be at least TRAILGATE_WEBHOOK_MAX_BODY")
        return self

    @property
    def hosts(self) -> frozenset[Authority] | None:
        """The hosts that requests may name, beside loopback addresses; None = any."""
        if self.public_url is None and self.auth == "required":
            return None
        named = (authority_of_url(self.public_url or ""), *map(authority_of, _listed(self.allowed_hosts)))
        return frozenset(one for one in named if one is not None)

    @property
    def cors(self) -> frozenset[str]:
        """The origins whose pages may use the API."""
        return frozenset(_listed(self.cors_origins))

    @property
    def outbound_networks(self) -> tuple[Network, ...]:
        """The private networks that outgoing requests may reach."""
        return networks(self.outbound_allow or "")

    @property
    def session_idle(self) -> timedelta:
        """How long a session lives without a request."""
        return timedelta(minutes=self.session_idle_minutes)

    @property
    def session_lifetime(self) -> timedelta:
        """How long a session lives at most."""
        return timedelta(hours=self.session_hours)

    @property
    def outbound_http(self) -> bool:
        """Whether outgoing requests may use http: only to such networks."""
        return bool(self.outbound_networks)

    @property
    def quotas(self) -> Quotas:
        """The limits of organisations without limits of their own."""
        return {quota: getattr(self, f"quota_{quota}") for quota in Quota}

    @property
    def rates(self) -> Rates:
        """The rate limits."""
        return {limit: getattr(self, f"rate_{limit}") for limit in RateLimit}

    @property
    def proxies(self) -> tuple[Network, ...]:
        """The networks of the proxies whose X-Forwarded-For is believed."""
        return networks(self.trusted_proxies)

    @property
    def keys_dir(self) -> Path:
        """The directory of the key files."""
        return self.data_dir / "keys"

    @property
    def blobs(self) -> Path:
        """The directory where the content of evidence is stored and staged."""
        return self.data_dir / "blobs"

    @property
    def checkpoints(self) -> Path:
        """The directory of published checkpoints: beside the data directory, so that losing one does not lose both."""
        return self.checkpoint_dir or self.data_dir.with_name(self.data_dir.name + "-checkpoints")

    @property
    def has_tls(self) -> bool:
        """Whether clients reach the API by https."""
        return self.address.startswith("https://")

    @property
    def address(self) -> str:
        """The base URL for links in responses and messages."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")


def environment() -> Mapping[str, str]:
    """Return the environment, for variables that are not Trailgate settings, such as those of a CI run.

    All other code reads the environment through this function.
    """
    return os.environ
