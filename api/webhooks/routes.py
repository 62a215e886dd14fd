"""Routes of the webhook receiver."""

from api.http.calls import Route, tagged
from api.http.paths import V1
from api.webhooks import receiver

ERRORS = (401, 408, 413, 415, 429, 503)


def routes(webhook_max_body: int) -> tuple[Route, ...]:
    """Return the routes. `webhook_max_body` is in bytes."""
    return tagged(
        "Inbound webhooks",
        *(
            Route(
                "POST",
                path,
                handler,
                None,
                status=202,
                max_body=webhook_max_body,
                errors=ERRORS,
                examples={"source": "github", "config_id": "0198c0de-0000-7000-8000-000000000000"},
            )
            for path, handler in (
                (f"{V1}/webhooks/{{source}}/{{config_id}}", receiver.receive_config_webhook),
                (f"{V1}/webhooks/{{source}}", receiver.receive_webhook),
            )
        ),
    )
