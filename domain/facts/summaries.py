"""Verification summaries as they are read elsewhere, and what somebody who relies on one may demand of it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from domain.facts.digests import normalise_digest
from domain.facts.vsa import LEVEL, PASSED, VERDICTS

CLOCK_SKEW = timedelta(minutes=5)
"""How far in the future a summary may be by the clock of its reader."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a verification summary says. `policies` are the names by which its policy may be asked for."""

    digests: frozenset[str]
    verifier: str
    resource: str
    policies: frozenset[str]
    result: str
    levels: tuple[str, ...]
    verified_at: datetime | None
    verdict: str | None


@dataclass(frozen=True, slots=True)
class Expected:
    """What a verification summary must say to be accepted; None accepts anything.

    `environment` and `flow` are ids, `resource` and `verifier` whole URIs.
    """

    digest: str | None = None
    verifier: str | None = None
    resource: str | None = None
    environment: str | None = None
    flow: str | None = None
    policy: str | None = None
    level: int | None = None
    max_age: timedelta | None = None

    def refusals(self, summary: Summary, now: datetime) -> list[str]:
        """Return the reasons not to accept a summary; none if it is accepted."""
        reasons = [
            None if summary.result == PASSED else _failed(summary),
            self._refused_digest(summary),
            _refused("verifier", summary.verifier, self.verifier),
            _refused("resource", summary.resource, self.resource),
            _refused_end("environment", summary.resource, "environments", self.environment),
            _refused_end("flow", summary.resource, "flows", self.flow),
            None
            if self.policy is None or self.policy in summary.policies
            else f"it does not name the policy {self.policy}",
            self._refused_level(summary),
            self._refused_age(summary, now),
        ]
        return [reason for reason in reasons if reason]

    def _refused_digest(self, summary: Summary) -> str | None:
        if self.digest is None or normalise_digest(self.digest) in summary.digests:
            return None
        return f"it is about {', '.join(sorted(summary.digests))}, not about {normalise_digest(self.digest)}"

    def _refused_level(self, summary: Summary) -> str | None:
        if self.level is None:
            return None
        enough = {f"{LEVEL}{n}" for n in range(self.level, 10)}
        return (
            None
            if enough & set(summary.levels)
            else f"it verifies {', '.join(summary.levels)}, not {LEVEL}{self.level}"
        )

    def _refused_age(self, summary: Summary, now: datetime) -> str | None:
        if self.max_age is None:
            return None
        if summary.verified_at is None:
            return "it does not say when the verdict was given"
        if summary.verified_at > now + CLOCK_SKEW:
            return f"it is from the future: {summary.verified_at.isoformat()}"
        return (
            None if now - summary.verified_at <= self.max_age else f"it is too old: {summary.verified_at.isoformat()}"
        )


def _failed(summary: Summary) -> str:
    where = f"; {VERDICTS}/{summary.verdict} has the reasons" if summary.verdict else ""
    return f"the verdict is {summary.result}, not {PASSED}{where}"


def _refused(what: str, found: str, wanted: str | None) -> str | None:
    return None if wanted in (None, found) else f"its {what} is {found}, not {wanted}"


def _refused_end(what: str, resource: str, collection: str, wanted: str | None) -> str | None:
    if wanted is None or resource.endswith(f"/api/v1/{collection}/{wanted.lower()}"):
        return None
    return f"it is for {resource}, not for the {what} {wanted}"
