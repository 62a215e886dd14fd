from ipaddress import ip_network

import pytest
from pydantic import ValidationError

from storage.settings import Settings, default_data_dir


def test_networks_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().outbound_networks == ()
    monkeypatch.setenv("TRAILGATE_OUTBOUND_ALLOW", "10.0.0.0/8, fd00::/8")
    assert Settings().outbound_networks == (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


@pytest.mark.parametrize("text", ["10.0.0.1/8", "internal.example", "10.0.0.0/8;::1"])
def test_a_network_that_is_none_ends_the_start(text: str) -> None:
    with pytest.raises(ValidationError, match="outbound_allow"):
        Settings(outbound_allow=text)


@pytest.mark.parametrize(
    "url",
    ["smtp://mail.example", "smtps://u:p@mail.example:1465", "smtp+starttls://a%40b:p@[fd00::1]", "smtp://[::1]:25"],
)
def test_a_mail_server_is_named_by_a_url(url: str) -> None:
    settings = Settings(smtp_url=url)
    assert settings.smtp_url is not None
    assert settings.smtp_url.get_secret_value() == url


@pytest.mark.parametrize(
    "url", ["", "mail.example:25", "http://u:hush@mail.example", "smtp://u:hush@", "smtp://u:hush@m:99999"]
)
def test_a_mail_server_that_is_none_ends_the_start_without_showing_the_password(url: str) -> None:
    with pytest.raises(ValidationError, match="smtp_url") as refused:
        Settings(smtp_url=url)
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize("sender", ["ops@example.org", "Trailgate <a.b+c@mail.example>", "Doe, Jané <j@x>"])
def test_a_sender_is_an_address_with_or_without_a_name(sender: str) -> None:
    assert Settings(smtp_from=sender).smtp_from == sender


@pytest.mark.parametrize(
    "sender", ["", "ops", "a@b@c", "a..b@c", "a@b\n", "X\r\nBcc: y@z <a@b>", "<a@b", "a@b>", "A <B <a@b>", "jané@b"]
)
def test_a_sender_that_is_none_ends_the_start(sender: str) -> None:
    with pytest.raises(ValidationError, match="smtp_from"):
        Settings(smtp_from=sender)


def test_an_empty_variable_is_an_unset_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ADMIN_KEY", "DATA_DIR", "PORT"):
        monkeypatch.setenv(f"TRAILGATE_{name}", "")
    settings = Settings()
    assert (settings.admin_key, settings.port, settings.data_dir) == (None, 8080, default_data_dir())


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cors_origins", "*"),
        ("cors_origins", "https://app.example.com/"),
        ("allowed_hosts", "*.example.com"),
        ("trusted_proxies", "proxy.example"),
        ("trusted_proxies", "*"),
        ("rate_requests_per_key", "-1"),
    ],
)
def test_what_would_open_the_server_to_everybody_ends_the_start(name: str, text: str) -> None:
    with pytest.raises(ValidationError, match=name):
        Settings.model_validate({name: text})
