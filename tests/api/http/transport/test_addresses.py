"""Whose address a request has: what a client invents in a header never counts."""

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from api.http.transport.addresses import PROXIES, client_address, client_network, network_of
from domain.addresses import networks

PEER = "198.51.100.7"


def request(peer: str, *forwarded: str, proxies: str = "", **more: str) -> web.Request:
    app = web.Application()
    app[PROXIES] = networks(proxies)
    headers = CIMultiDict(more)
    headers.extend([("X-Forwarded-For", one) for one in forwarded])
    return make_mocked_request("GET", "/", headers=headers, app=app).clone(remote=peer)


def test_without_trusted_proxies_the_peer_counts() -> None:
    assert client_address(request(PEER, "203.0.113.9")) == PEER
    assert client_address(request("::ffff:198.51.100.7", "203.0.113.9")) == PEER
    assert client_address(request("", "203.0.113.9")) == ""


PROXY = "10.0.0.1"
TRUSTED = "10.0.0.0/8, fd00::/8"


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        (["203.0.113.9"], "203.0.113.9"),
        (["1.1.1.1, 203.0.113.9"], "203.0.113.9"),
        (["1.1.1.1", "203.0.113.9"], "203.0.113.9"),
        (["203.0.113.9, 10.2.3.4, fd00::2"], "203.0.113.9"),
        (["10.9.9.9, 203.0.113.9, 10.2.3.4"], "203.0.113.9"),
        (["203.0.113.9:4711"], "203.0.113.9"),
        (["[2001:db8::9]:4711"], "2001:db8::9"),
        (["2001:DB8:0::9"], "2001:db8::9"),
        (["::ffff:203.0.113.9"], "203.0.113.9"),
        (["10.2.3.4, 10.2.3.5"], "10.2.3.4"),
        ([], PROXY),
        ([""], PROXY),
        (["unknown"], PROXY),
        (["203.0.113.9, _hidden"], PROXY),
        (["203.0.113.9, "], PROXY),
        (["203.0.113.9,999.1.1.1"], PROXY),
        (["203.0.113.9, \ufffd"], PROXY),
        ([", ".join(["203.0.113.9"] + ["10.0.0.1"] * 3000)], "10.0.0.1"),
    ],
)
def test_behind_trusted_proxies_the_last_address_that_is_none_of_theirs_counts(
    forwarded: list[str], address: str
) -> None:
    assert client_address(request(PROXY, *forwarded, proxies=TRUSTED)) == address


def test_a_client_that_comes_past_the_proxy_names_nobody_else() -> None:
    assert client_address(request(PEER, "203.0.113.9", proxies=TRUSTED)) == PEER


def test_a_proxy_behind_a_unix_socket_is_trusted_like_the_others() -> None:
    assert client_address(request("", "1.1.1.1, 203.0.113.9", proxies=TRUSTED)) == "203.0.113.9"
    assert client_address(request("", proxies=TRUSTED)) == ""


def test_other_headers_are_not_believed() -> None:
    more = {"Forwarded": "for=203.0.113.9", "X-Real-Ip": "203.0.113.9", "X-Client-Ip": "203.0.113.9"}
    assert client_address(request(PROXY, proxies=TRUSTED, **more)) == PROXY


def test_a_client_has_a_whole_ipv6_network() -> None:
    assert network_of("2001:db8:0:1:2:3:4:5") == network_of("2001:db8:0:1::%eth0") == "2001:db8:0:1::"
    assert network_of("203.0.113.9") == network_of("::ffff:203.0.113.9") == "203.0.113.9"
    assert client_network(request("2001:db8:0:1:2:3:4:5")) == "2001:db8:0:1::"
