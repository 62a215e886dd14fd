"""The page to which the link of an invitation leads, as far as a browser is not needed to see it."""

import re
from base64 import b64encode
from hashlib import sha256
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from yarl import URL

from api.identity.handlers.invitations import accept_invitation
from domain.identity.invitations import PAGE, invitation_link
from domain.identity.slugs import RESERVED
from tests.api.caller import Caller, unique
from tests.api.table import ENDPOINTS

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def page_of(http: TestClient[Any, Any]) -> tuple[str, str]:
    """The text, and its Content-Security-Policy."""
    async with http.get(PAGE) as answer:
        assert (answer.status, answer.content_type) == (200, "text/html")
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        return await answer.text(), answer.headers["Content-Security-Policy"]


async def test_only_the_pages_own_script_and_style_run(http: TestClient[Any, Any]) -> None:
    page, policy = await page_of(http)
    directives = dict(one.strip().partition(" ")[::2] for one in policy.split(";"))
    for element, directive in (("script", "script-src"), ("style", "style-src")):
        [text] = re.findall(rf"<{element}>(.*?)</{element}>", page, re.DOTALL)
        digest = b64encode(sha256(text.encode()).digest()).decode()
        assert directives[directive] == f"'sha256-{digest}'"
    assert (directives["default-src"], directives["connect-src"]) == ("'none'", "'self'")
    assert (directives["frame-ancestors"], directives["form-action"]) == ("'none'", "'none'")
    assert re.findall(r"\son\w+=|javascript:|innerHTML|style=", page) == []


async def test_it_loads_and_asks_nothing_but_this_server(http: TestClient[Any, Any]) -> None:
    """Also below a path of a proxy."""
    page, _ = await page_of(http)
    assert set(re.findall(r'(?:src|href)="([^"]+)"', page)) == {"../favicon.ico"}
    [asked] = re.findall(r'fetch\("([^"]+)"', page)
    [endpoint] = [one for one in ENDPOINTS if one.route.handler is accept_invitation]
    for address in ("https://trailgate.example.com", "https://example.com/below/a/path"):
        link = URL(invitation_link(address, "tgi_0"))
        assert str(link.join(URL(asked))) == address + endpoint.route.path


async def test_no_organisation_takes_the_path() -> None:
    assert PAGE.split("/")[1] in RESERVED


async def test_it_says_to_what_the_person_agrees(http: TestClient[Any, Any], api: Caller) -> None:
    """By a dry run, which leaves the link as it is."""
    page, _ = await page_of(http)
    assert 'ask("?dryRun=true", show)' in page
    body = {"email": f"{unique('ada')}@example.com", "role": "AUDITOR", "sendEmail": False}
    token = (await api.post("/invitations", body)).json["link"].partition("#")[2]
    person = Caller(http, None)
    for _ in range(2):
        shown = (await person.post("/invitations/accept?dryRun=true", {"token": token}, 200)).json["wouldCreate"]
        assert (shown["organisation"], shown["role"]) == (api.tenant.org_slug, "AUDITOR")
    await person.post("/invitations/accept", {"token": token}, 200)
