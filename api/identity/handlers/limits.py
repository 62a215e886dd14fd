"""The handler of limits."""

from api.http.calls import MEBIBYTE, Call
from api.http.paging import MAX_SIZE
from api.http.reading import MAX_DEPTH
from api.identity.schemas.limits import FixedLimitOut, LimitsOut, QuotaOut, RateLimitOut
from domain.environments.allow_list import MAX_ENTRIES
from domain.facts.provenance import MAX_KEYS
from domain.facts.webhook_configs import MAX_DEFAULT_CONFIGS
from domain.identity.permissions import DEFAULT_ORGANISATION
from domain.identity.quotas import FixedLimit
from domain.identity.rates import RATE_TERMS
from storage.counters import SUPPRESSED, total
from storage.identity.queries.quotas import quota_uses
from storage.settings import Settings


async def get_limits(call: Call) -> LimitsOut:
    """Get the limits of the caller's organisation, and what is used of them."""
    tenant, services = call.tenant, call.services
    async with call.read() as reader:
        uses = await quota_uses(reader, tenant, services.settings.quotas, services.clock.now())
        suppressed = await total(reader, tenant, SUPPRESSED)
    fixed = _fixed(services.settings)
    if tenant.org_slug == DEFAULT_ORGANISATION:
        fixed.append(_of_the_default_organisation())
    return LimitsOut(
        organisation=tenant.org_slug,
        quotas=[QuotaOut.of(use, call) for use in uses],
        fixed=fixed,
        rates=[
            RateLimitOut(name=limit, description=RATE_TERMS[limit].description, limit=per_minute)
            for limit, per_minute in services.settings.rates.items()
            if per_minute
        ],
        suppressed_messages=suppressed,
    )


def _fixed(settings: Settings) -> list[FixedLimitOut]:
    limits = (
        (FixedLimit.REQUEST_BODY_BYTES, "bytes", MEBIBYTE, "A JSON body, unless the operation says otherwise"),
        (FixedLimit.WEBHOOK_BODY_BYTES, "bytes", settings.webhook_max_body, "The body of a webhook"),
        (FixedLimit.EVIDENCE_FILE_BYTES, "bytes", settings.evidence_max_size, "An evidence file, decompressed"),
        (
            FixedLimit.EVIDENCE_FILES_PER_ATTESTATION,
            "files",
            settings.evidence_max_files,
            "Evidence files of one attestation",
        ),
        (FixedLimit.PROVENANCE_KEYS, "keys", MAX_KEYS, "Provenance keys of an organisation"),
        (FixedLimit.ALLOWLIST_ENTRIES, "entries", MAX_ENTRIES, "Effective entries of an environment's allow-list"),
        (
            FixedLimit.STREAMS_PER_KEY,
            "streams",
            settings.streams_per_key,
            "Event streams that one API key may hold open, per API process",
        ),
        (
            FixedLimit.STREAMS_PER_ORGANISATION,
            "streams",
            settings.streams_per_organisation,
            "Event streams that an organisation may hold open, per API process",
        ),
        (FixedLimit.PAGE_SIZE, "rows", MAX_SIZE, "Rows of one page of a list"),
        (FixedLimit.JSON_DEPTH, "levels", MAX_DEPTH, "Nesting of a JSON body"),
    )
    return [FixedLimitOut(name=n, description=text, unit=unit, limit=number) for n, unit, number, text in limits]


def _of_the_default_organisation() -> FixedLimitOut:
    return FixedLimitOut(
        name=FixedLimit.WEBHOOK_CONFIGS_PER_SOURCE,
        description=f"Webhook configs of one source in the organisation `{DEFAULT_ORGANISATION}`",
        unit="webhook configs",
        limit=MAX_DEFAULT_CONFIGS,
    )
