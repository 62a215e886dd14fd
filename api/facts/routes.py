"""The path table of the facts surface: the only place that knows its paths and the right each one needs.

Hot routes stand first: below a variable the router tries its patterns in order (prototypes.md A5.2).
"""

from api import health
from api.calls import Route, tagged
from api.facts.handlers import attestations, audit, flows, ledger, organisations, trails
from api.webhooks import front_door
from api.webhooks import handlers as webhooks
from domain.permissions import Permission

V1 = "/api/v1"
P = Permission


def routes(webhook_max_body: int) -> tuple[Route, ...]:
    """Every route of the surface. `webhook_max_body` in bytes."""
    return (
        *tagged(
            "Inbound webhooks",
            Route(
                "POST",
                f"{V1}/webhooks/{{source}}/{{config_id}}",
                front_door.receive_config_webhook,
                None,
                status=202,
                max_body=webhook_max_body,
                errors=(401, 413, 503),
            ),
            Route(
                "POST",
                f"{V1}/webhooks/{{source}}",
                front_door.receive_webhook,
                None,
                status=202,
                max_body=webhook_max_body,
                errors=(401, 413, 503),
            ),
            Route("GET", f"{V1}/receipts/{{receipt_id}}", webhooks.get_receipt, P.FACTS_READ),
        ),
        *tagged(
            "Attestations",
            Route(
                "POST",
                f"{V1}/trails/{{trail_id}}/attestations",
                attestations.record_attestation,
                P.FACTS_REPORT,
                status=201,
                errors=(503,),
            ),
            Route("GET", f"{V1}/trails/{{trail_id}}/attestations", attestations.list_attestations, P.FACTS_READ),
        ),
        *tagged(
            "Trails",
            Route("POST", f"{V1}/trails", trails.create_trail, P.FACTS_REPORT, status=201, errors=(404, 409)),
            Route("GET", f"{V1}/trails", trails.list_trails, P.FACTS_READ),
            Route("GET", f"{V1}/trails/{{trail_id}}", trails.get_trail, P.FACTS_READ),
            Route("GET", f"{V1}/flows/{{flow_id}}/trails", trails.list_flow_trails, P.FACTS_READ),
        ),
        *tagged(
            "Flows",
            Route("POST", f"{V1}/flows", flows.create_flow, P.FACTS_MANAGE, status=201, errors=(404, 409, 422)),
            Route("GET", f"{V1}/flows", flows.list_flows, P.FACTS_READ),
            Route("GET", f"{V1}/flows/{{flow_id}}", flows.get_flow, P.FACTS_READ),
        ),
        *tagged(
            "Webhook configs",
            Route(
                "POST",
                f"{V1}/webhook-configs",
                webhooks.create_webhook_config,
                P.INTEGRATIONS_MANAGE,
                status=201,
                errors=(404, 409),
            ),
            Route("GET", f"{V1}/webhook-configs", webhooks.list_webhook_configs, P.INTEGRATIONS_MANAGE),
            Route(
                "POST",
                f"{V1}/webhook-configs/{{config_id}}/rotate",
                webhooks.rotate_webhook_secret,
                P.INTEGRATIONS_MANAGE,
            ),
            Route(
                "DELETE",
                f"{V1}/webhook-configs/{{config_id}}",
                webhooks.delete_webhook_config,
                P.INTEGRATIONS_MANAGE,
            ),
            Route(
                "GET",
                f"{V1}/webhook-configs/{{config_id}}/deliveries",
                webhooks.list_webhook_deliveries,
                P.INTEGRATIONS_MANAGE,
            ),
        ),
        *tagged(
            "Ledger",
            Route("GET", f"{V1}/ledger/entries", ledger.list_ledger_entries, P.LEDGER_READ),
            Route("GET", f"{V1}/ledger/entries/{{record_id}}", ledger.get_ledger_entry, P.LEDGER_READ),
            Route("POST", f"{V1}/ledger/verify/{{record_id}}", ledger.verify_ledger_record, P.LEDGER_READ),
            Route("POST", f"{V1}/ledger/verify-chain", ledger.verify_ledger_chain, P.LEDGER_READ),
            Route("GET", f"{V1}/ledger/status", ledger.get_ledger_status, P.LEDGER_READ),
        ),
        *tagged(
            "Audit",
            Route("GET", f"{V1}/audit", audit.list_audit_events, P.AUDIT_READ),
            Route("GET", f"{V1}/audit/{{event_id}}", audit.get_audit_event, P.AUDIT_READ),
        ),
        *tagged(
            "Organisations",
            Route(
                "POST",
                f"{V1}/organisations",
                organisations.create_organisation,
                P.PLATFORM_MANAGE,
                status=201,
                errors=(409,),
            ),
            Route("GET", f"{V1}/organisations", organisations.list_organisations, P.FACTS_READ),
            Route("GET", f"{V1}/organisations/{{organisation}}", organisations.get_organisation, P.FACTS_READ),
        ),
        *tagged(
            "Operations",
            Route("GET", "/health/live", health.live, None),
            Route("GET", "/health/ready", health.ready, None, errors=(503,)),
            Route("GET", "/ready", health.kosli_ready, None, errors=(503,)),
            Route("GET", "/actuator/health", health.actuator_health, None, errors=(503,)),
            Route("GET", "/metrics", health.prometheus, None, produces="text/plain"),
        ),
    )  # fmt: skip - a table reads as one


EXEMPT = frozenset(
    {
        "receive_config_webhook",  # proves itself by its signature
        "receive_webhook",
        "live",
        "ready",
        "kosli_ready",
        "actuator_health",
        "prometheus",
    }
)
"""Handlers that need no credential (ARCHITECTURE.md 4.2)."""
