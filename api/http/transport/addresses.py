"""The address of a client: that of its connection, or behind a trusted proxy the one that the proxy names."""

from collections.abc import Iterator
from ipaddress import IPv6Address, ip_address

from aiohttp import web

from domain.addresses import Address, Network

FORWARDED_FOR = "X-Forwarded-For"
MAX_HOPS = 16
"""Proxies in a row that are looked at: the rest of the header may be as long as a client likes."""

PROXIES: web.AppKey[tuple[Network, ...]] = web.AppKey("proxies", tuple)
"""The networks of the trusted proxies."""


def client_address(request: web.BaseRequest) -> str:
    """Return the client's IP address; empty for a client that comes through a Unix socket and names none.

    While that is the address of a trusted proxy, the one before it in `X-Forwarded-For` counts, from the right: every
    proxy adds the address that it sees, so what stands further left may be anybody's invention. With trusted proxies, a
    Unix socket is one of them, as only local processes reach it. Other headers of proxies are not believed.
    """
    peer = request.remote or ""
    proxies: tuple[Network, ...] = request.app[PROXIES] if isinstance(request, web.Request) else ()
    if not proxies:
        return _plain(peer)
    client = _parsed(peer)
    for hop in _hops(request):
        if client is not None and not any(client in network for network in proxies):
            break
        found = _parsed(hop)
        if found is None:
            break
        client = found
    return str(client or "")


def network_of(address: str) -> str:
    """Return what one client has of addresses: of IPv6 its whole /64 network, of IPv4 the address."""
    if ":" not in address:
        return address
    found = IPv6Address(address.partition("%")[0])
    return str(found.ipv4_mapped or IPv6Address(int(found) >> 64 << 64))


def client_network(request: web.BaseRequest) -> str:
    """Return what limits by address count: `network_of` the client's address."""
    return network_of(client_address(request))


def _hops(request: web.BaseRequest) -> Iterator[str]:
    """Return the addresses that proxies added, the last one first."""
    listed = ",".join(request.headers.getall(FORWARDED_FOR, ()))
    return reversed(listed.rsplit(",", MAX_HOPS)[-MAX_HOPS:] if listed else [])


def _parsed(text: str) -> Address | None:
    """Return an address, without the port and the zone that some proxies and peers have behind it."""
    host = text.strip()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        found = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


def _plain(peer: str) -> str:
    return peer if ":" not in peer else str(_parsed(peer) or "")
