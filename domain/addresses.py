"""Which addresses a request on behalf of a user may reach: public ones only, to prevent server-side request forgery.

Python's `is_global` is not enough: it calls NAT64, 6to4, SRv6 and multicast addresses global.
"""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

PORTS = (443, 8443)
"""The ports that may be dialled on public addresses."""

REMEDY = "TRAILGATE_OUTBOUND_ALLOW permits private networks, with http and any port"
"""What to tell whoever runs into a refusal."""

_FORBIDDEN: tuple[tuple[Network, str], ...] = tuple(
    (ip_network(network), name)
    for network, name in (
        ("0.0.0.0/8", "this network"),  # RFC 791
        ("10.0.0.0/8", "private network"),  # RFC 1918
        ("100.64.0.0/10", "carrier-grade NAT"),  # RFC 6598
        ("127.0.0.0/8", "loopback"),  # RFC 1122
        ("169.254.0.0/16", "link-local"),  # RFC 3927; metadata services of clouds
        ("172.16.0.0/12", "private network"),
        ("192.0.0.0/24", "IETF protocol assignments"),  # RFC 6890
        ("192.0.2.0/24", "documentation"),  # RFC 5737
        ("192.88.99.0/24", "6to4 relay"),  # RFC 7526
        ("192.168.0.0/16", "private network"),
        ("198.18.0.0/15", "benchmarking"),  # RFC 2544
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),  # RFC 5771
        ("255.255.255.255/32", "broadcast"),  # RFC 919
        ("240.0.0.0/4", "reserved"),  # RFC 1112
        ("::/128", "unspecified"),  # RFC 4291, as the next two
        ("::1/128", "loopback"),
        ("::/96", "IPv4-compatible"),
        ("64:ff9b::/96", "NAT64"),  # RFC 6052
        ("64:ff9b:1::/48", "NAT64"),  # RFC 8215
        ("100::/64", "discard-only"),  # RFC 6666
        ("2001::/32", "Teredo"),  # RFC 4380
        ("2001:2::/48", "benchmarking"),  # RFC 5180
        ("2001::/23", "IETF protocol assignments"),  # RFC 2928
        ("2001:db8::/32", "documentation"),  # RFC 3849
        ("2002::/16", "6to4"),  # RFC 3056
        ("3fff::/20", "documentation"),  # RFC 9637
        ("5f00::/16", "SRv6"),  # RFC 9602
        ("fc00::/7", "unique-local"),  # RFC 4193
        ("fe80::/10", "link-local"),  # RFC 4291
        ("fec0::/10", "site-local"),  # RFC 3879
        ("ff00::/8", "multicast"),  # RFC 4291
    )
)
"""(network, name). The first network that contains an address names it, so narrow ranges precede wider ones."""

_GLOBAL_UNICAST = IPv6Network("2000::/3")
"""The IPv6 space that IANA has allocated so far; addresses outside it are unassigned."""


def networks(text: str) -> tuple[Network, ...]:
    """Parse a comma-separated list of networks such as `10.1.0.0/16, fd00:1::/64`. Raises ValueError."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def forbidden(address: str) -> str | None:
    """Return the name of the range that forbids a literal address; None if the address is public."""
    found = _canonical(address)
    if found is None:
        return "not an IP address"
    name = next((name for network, name in _FORBIDDEN if found in network), None)
    if name is None and isinstance(found, IPv6Address) and found not in _GLOBAL_UNICAST:
        return "reserved"
    return name


def is_loopback(host: str) -> bool:
    """Return whether a host is `localhost` or a loopback address."""
    found = _canonical(host)
    return host == "localhost" if found is None else found.is_loopback


def refusal(address: str, port: int, *, tls: bool, allowed: Sequence[Network] = ()) -> str | None:
    """Return why a connection is refused; None if it is permitted. Within `allowed`, http and every port are fine."""
    if _within(address, allowed):
        return None
    return forbidden(address) or _public_refusal(port, tls=tls)


def early_refusal(host: str, port: int, *, tls: bool, allowed: Sequence[Network] = ()) -> str | None:
    """Return why every connection to the host of a URL will be refused, as far as that is known without resolving it.

    None promises nothing: a name may resolve to an address that is refused.
    """
    name = host.removesuffix(".").lower()
    if name == "localhost":
        reasons = [refusal(address, port, tls=tls, allowed=allowed) for address in ("127.0.0.1", "::1")]
        return reasons[0] if all(reasons) else None
    if _canonical(name) is not None:
        return refusal(name, port, tls=tls, allowed=allowed)
    return None if allowed else _public_refusal(port, tls=tls)


def _public_refusal(port: int, *, tls: bool) -> str | None:
    if not tls:
        return "only https is allowed"
    if port not in PORTS:
        return f"only the ports {' and '.join(map(str, PORTS))} are allowed"
    return None


def _within(address: str, allowed: Iterable[Network]) -> bool:
    found = _canonical(address)
    return found is not None and any(found in network for network in allowed)


def _canonical(address: str) -> Address | None:
    """Parse an address without its zone; an IPv4-mapped IPv6 address becomes IPv4 (RFC 4291, 2.5.5.2)."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found
