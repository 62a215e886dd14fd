from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain import addresses
from domain.addresses import early_refusal, forbidden, networks, refusal

# First and last address of a range, its name, and what the addresses just before and after it are.
RANGES = [
    ("0.0.0.0", "0.255.255.255", "this network", None, None),
    ("10.0.0.0", "10.255.255.255", "private network", None, None),
    ("100.64.0.0", "100.127.255.255", "carrier-grade NAT", None, None),
    ("127.0.0.0", "127.255.255.255", "loopback", None, None),
    ("169.254.0.0", "169.254.255.255", "link-local", None, None),
    ("172.16.0.0", "172.31.255.255", "private network", None, None),
    ("192.0.0.0", "192.0.0.255", "IETF protocol assignments", None, None),
    ("192.0.2.0", "192.0.2.255", "documentation", None, None),
    ("192.88.99.0", "192.88.99.255", "6to4 relay", None, None),
    ("192.168.0.0", "192.168.255.255", "private network", None, None),
    ("198.18.0.0", "198.19.255.255", "benchmarking", None, None),
    ("198.51.100.0", "198.51.100.255", "documentation", None, None),
    ("203.0.113.0", "203.0.113.255", "documentation", None, None),
    ("224.0.0.0", "239.255.255.255", "multicast", None, "reserved"),
    ("240.0.0.0", "255.255.255.254", "reserved", "multicast", "broadcast"),
    ("255.255.255.255", "255.255.255.255", "broadcast", "reserved", None),
    ("::", "::", "unspecified", None, "loopback"),
    ("::1", "::1", "loopback", "unspecified", "IPv4-compatible"),
    ("::2", "::255.255.255.255", "IPv4-compatible", "loopback", "reserved"),
    ("64:ff9b::", "64:ff9b::255.255.255.255", "NAT64", "reserved", "reserved"),
    ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", "NAT64", "reserved", "reserved"),
    ("100::", "100::ffff:ffff:ffff:ffff", "discard-only", "reserved", "reserved"),
    ("2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff", "Teredo", None, "IETF protocol assignments"),
    ("2001:1::", "2001:1:ffff:ffff:ffff:ffff:ffff:ffff", "IETF protocol assignments", "Teredo", "benchmarking"),
    ("2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff", "benchmarking", *["IETF protocol assignments"] * 2),
    ("2001:2:1::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "IETF protocol assignments", "benchmarking", None),
    ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "documentation", None, None),
    ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "6to4", None, None),
    ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "documentation", None, None),
    ("4000::", "5eff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "reserved", None, "SRv6"),
    ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "SRv6", "reserved", "reserved"),
    ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "unique-local", "reserved", "reserved"),
    ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "link-local", "reserved", "site-local"),
    ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "site-local", "link-local", "multicast"),
    ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "multicast", "site-local", None),
]

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.215.14",
    "192.0.1.1",
    "223.255.255.255",
    "2606:4700::1111",
    "2a00:1450::8",
    "2000::",
]


@pytest.mark.parametrize(("first", "last", "name", "before", "after"), RANGES)
def test_a_range_is_forbidden_from_its_first_to_its_last_address(
    first: str, last: str, name: str, before: str | None, after: str | None
) -> None:
    low, high = ip_address(first), ip_address(last)
    middle = type(low)((int(low) + int(high)) // 2)
    assert [forbidden(str(address)) for address in (low, middle, high)] == [name] * 3
    if int(low) > 0:
        assert forbidden(str(low - 1)) == before
    if int(high) < int(type(high)(2**high.max_prefixlen - 1)):
        assert forbidden(str(high + 1)) == after


def test_no_range_goes_untested() -> None:
    tested = {ip_address(end) for first, last, *_ in RANGES for end in (first, last) if end}
    for network, _ in addresses._FORBIDDEN:
        ends = {network.network_address, network.broadcast_address}
        assert ends & tested, network


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_may_be_dialled(address: str) -> None:
    assert forbidden(address) is None
    assert refusal(address, 443, tls=True) is None
    assert refusal(address, 8443, tls=True) is None


@pytest.mark.parametrize("address", ["169.254.169.254", "fd00:ec2::254", "169.254.170.2", "100.100.100.200"])
def test_the_metadata_of_a_cloud_is_out_of_reach(address: str) -> None:
    assert forbidden(address)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:a9fe:a9fe", "link-local"),
        ("::ffff:0:10.0.0.1", "reserved"),  # IPv4-translated, RFC 2765
        ("::127.0.0.1", "IPv4-compatible"),
        ("64:ff9b::7f00:1", "NAT64"),
        ("2002:7f00:1::", "6to4"),
        ("::ffff:8.8.8.8", None),
        ("fe80::1%eth0", "link-local"),
        ("::1%1", "loopback"),
    ],
)
def test_another_spelling_is_judged_as_what_it_reaches(address: str, name: str | None) -> None:
    assert forbidden(address) == name


@pytest.mark.parametrize(
    "text", ["", "localhost", "127.1", "2130706433", "0x7f000001", "010.0.0.1", "8.8.8.8 ", "[::1]"]
)
def test_what_is_no_address_is_never_dialled(text: str) -> None:
    assert forbidden(text) == "not an IP address"


@given(st.ip_addresses())
@example(IPv6Address("64:ff9b::1"))
def test_nothing_that_python_calls_private_gets_through(address: IPv4Address | IPv6Address) -> None:
    reached = getattr(address, "ipv4_mapped", None) or address
    if not reached.is_global or reached.is_multicast or reached.is_reserved:
        assert forbidden(str(address))


@given(st.ip_addresses(v=4))
def test_a_mapped_address_is_its_ipv4_address(address: IPv4Address) -> None:
    assert forbidden(f"::ffff:{address}") == forbidden(str(address))


@pytest.mark.parametrize(
    ("port", "tls", "reason"),
    [
        (443, True, None),
        (443, False, "only https is allowed"),
        (80, False, "only https is allowed"),
        (22, True, "only the ports 443 and 8443 are allowed"),
        (0, True, "only the ports 443 and 8443 are allowed"),
    ],
)
def test_a_public_address_is_spoken_to_by_tls_at_two_ports(port: int, tls: bool, reason: str | None) -> None:
    assert refusal("8.8.8.8", port, tls=tls) == reason


def test_an_allowed_network_takes_http_and_every_port_and_its_neighbours_do_not() -> None:
    allowed = networks("10.1.0.0/16, fd00:1::/64")
    for inside in ("10.1.0.0", "10.1.255.255", "::ffff:10.1.2.3", "fd00:1::9"):
        assert refusal(inside, 9000, tls=False, allowed=allowed) is None
    for outside in ("10.0.255.255", "10.2.0.0", "fd00:1:0:1::", "127.0.0.1"):
        assert refusal(outside, 443, tls=True, allowed=allowed)


def test_a_list_of_networks_may_be_empty_and_must_be_exact() -> None:
    assert networks("") == networks(" , ") == ()
    assert networks("10.0.0.0/8,::1") == (ip_network("10.0.0.0/8"), ip_network("::1/128"))
    for wrong in ("10.0.0.1/8", "10.0.0.0/33", "localhost", "10.0.0.0-10.0.0.9"):
        with pytest.raises(ValueError):
            networks(wrong)


@pytest.mark.parametrize(
    ("host", "port", "tls", "allowed", "reason"),
    [
        ("hooks.example.com", 443, True, "", None),
        ("hooks.example.com", 80, False, "", "only https is allowed"),
        ("hooks.example.com", 9000, True, "", "only the ports 443 and 8443 are allowed"),
        ("hooks.example.com", 9000, False, "10.0.0.0/8", None),  # the name may resolve to a permitted address
        ("10.1.2.3", 443, True, "", "private network"),
        ("10.1.2.3", 80, False, "10.0.0.0/8", None),
        ("192.168.1.1", 443, True, "10.0.0.0/8", "private network"),
        ("::1", 443, True, "", "loopback"),
        ("localhost", 443, True, "10.0.0.0/8", "loopback"),
        ("LocalHost.", 443, True, "", "loopback"),
        ("localhost", 8090, False, "::1/128", None),
        ("localhost", 8090, False, "127.0.0.0/8", None),
    ],
)
def test_what_will_be_refused_is_known_early_if_it_can_be(host, port, tls, allowed, reason) -> None:
    assert early_refusal(host, port, tls=tls, allowed=networks(allowed)) == reason
