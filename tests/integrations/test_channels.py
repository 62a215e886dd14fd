import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.notifications.rules import Channel
from domain.retries import ErrorClass
from integrations.channels import MAX_RESPONSE, ChannelTarget, SendFailed, config_of, details, readable, storable
from storage.services import Services
from tests.integrations.messages import ATTESTATION, TRAIL, message


def test_control_characters_are_marked_and_line_ends_and_tabs_stay() -> None:
    assert storable("a\x00b\x1b[31mc\x7f\x85\ud800\nd\te") == "a�b�[31mc���\nd\te"


def test_what_was_said_is_cut() -> None:
    assert len(storable("x" * (MAX_RESPONSE + 1))) == MAX_RESPONSE


@given(st.text(st.characters(), max_size=50))
def test_whatever_was_said_can_be_encoded(text: str) -> None:
    assert b"\x00" not in storable(text).encode()


async def test_postgres_keeps_what_is_storable(services: Services) -> None:
    said = storable("".join(chr(code) for code in range(0x300)) + "\udfff\U0001f680")
    async with services.database.transaction() as tx:
        assert await tx.value("SELECT $1::text", said) == said


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("GATE_BLOCKED", "Gate blocked"),
        ("TRAIL_NON_COMPLIANT", "Trail non compliant"),
        ("trailId", "Trail id"),
        ("flow", "Flow"),
        ("sha256Digest", "Sha256 digest"),
    ],
)
def test_names_of_the_wire_are_made_readable(name: str, text: str) -> None:
    assert readable(name) == text


def test_details_are_the_entity_and_the_data() -> None:
    told = message(data={"trailId": TRAIL, "attestation": "unit-tests", "failed": 3, "missing": ["é"], "why": None})
    assert list(details(told)) == [
        ("Attestation", ATTESTATION),
        ("Trail id", TRAIL),
        ("Attestation", "unit-tests"),
        ("Failed", "3"),
        ("Missing", '["é"]'),
    ]


def test_details_name_the_entity_once_and_may_be_none_at_all() -> None:
    trail = message(entityType="TRAIL", entityId=TRAIL, data={"trailId": TRAIL})
    assert list(details(trail)) == [("Trail", TRAIL)]
    assert not list(details(message(entityType=None, entityId=None, data=None)))


@pytest.mark.parametrize(
    ("channel", "config"),
    [
        (Channel.WEBHOOK, {}),
        (Channel.WEBHOOK, {"webhookUrl": 5}),
        (Channel.SLACK, {"webhookUrl": "ftp://example.org"}),
        (Channel.EMAIL, {"to": []}),
        (Channel.EMAIL, {"to": ["ada@example.org\r\nBcc: eve@example.org"]}),
    ],
)
def test_a_configuration_that_leads_nowhere_is_given_up(channel: Channel, config: dict[str, object]) -> None:
    with pytest.raises(SendFailed) as failed:
        config_of(channel, ChannelTarget(config))
    assert failed.value.error_class is ErrorClass.PERMANENT
    assert "Bcc" not in failed.value.reason
