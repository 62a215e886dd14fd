"""Which rule wants which notice, and what a rule's test says."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from domain.notifications.rules import Channel, Listener, NotificationRule, trial_notice
from domain.notifications.triggers import Severity, Trigger, attestation_failed, trail_non_compliant

FLOW, ENVIRONMENT = uuid4(), uuid4()
NOTICE = attestation_failed(uuid4(), uuid4(), FLOW, "unit-tests", None)


def listener(
    trigger: Trigger = Trigger.ATTESTATION_FAILED, flow: UUID | None = None, environment: UUID | None = None
) -> Listener:
    return Listener(uuid4(), trigger.value, Channel.WEBHOOK.value, uuid4(), flow, environment)


@pytest.mark.parametrize(
    ("one", "wanted"),
    [
        (listener(), True),
        (listener(flow=FLOW), True),
        (listener(flow=uuid4()), False),
        (listener(environment=ENVIRONMENT), False),
        (listener(flow=FLOW, environment=ENVIRONMENT), False),
        (listener(Trigger.TRAIL_NON_COMPLIANT), False),
    ],
)
def test_a_filter_that_is_set_must_match(one: Listener, wanted: bool) -> None:
    assert one.wants(NOTICE) is wanted


def test_a_trigger_is_told_from_the_other() -> None:
    notice = trail_non_compliant(uuid4(), FLOW, "payments")
    assert listener(Trigger.TRAIL_NON_COMPLIANT, FLOW).wants(notice)
    assert not listener(Trigger.ATTESTATION_FAILED, FLOW).wants(notice)


def test_a_test_is_the_rules_own() -> None:
    now = datetime(2026, 1, 31, 12, tzinfo=UTC)
    rule = NotificationRule(
        id=uuid4(),
        org_id=uuid4(),
        name="to the chat",
        is_active=False,
        trigger="GATE_BLOCKED",
        channel="SLACK",
        config_shown={},
        title_template=None,
        message_template=None,
        filter_flow_id=FLOW,
        filter_environment_id=ENVIRONMENT,
        previous_until=None,
        destination_id=uuid4(),
        created_by=uuid4(),
        version=1,
        created_at=now,
        updated_at=now,
    )
    notice = trial_notice(rule)
    assert (notice.trigger, notice.severity) == (Trigger.GATE_BLOCKED, Severity.INFO)
    assert notice.title == "Test notification"
    assert "to the chat" in notice.message
    assert notice.subject == f"rule:{rule.id}"
    assert (notice.flow_id, notice.environment_id) == (FLOW, ENVIRONMENT)
    assert notice.data == {"test": True, "ruleId": str(rule.id)}
