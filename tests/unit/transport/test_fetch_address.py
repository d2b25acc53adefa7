"""Addresses that may be connected to, and those that nobody may have connected to."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.transport.fetch_address import DENIED, PRIVATE, may_connect
from sampling import examples

pytestmark = pytest.mark.req("R-IMG-004")

PUBLIC = [
    "8.8.8.8",
    "93.184.215.14",
    "172.15.255.255",
    "172.32.0.1",
    "100.63.255.255",
    "100.128.0.1",
    "192.0.1.1",
    "198.17.255.255",
    "223.255.255.255",
    "2606:4700::6810:1",
    "2a00:1450:4001:80b::200e",
    "2001:4860:4860::8888",
]

INSIDE = st.sampled_from([*DENIED, *PRIVATE]).flatmap(
    lambda network: st.integers(int(network.network_address), int(network.broadcast_address)).map(
        IPv4Address if network.version == 4 else IPv6Address
    )
)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_open(address):
    assert may_connect(address)
    assert may_connect(address, allow_private=True)


@given(INSIDE)
@settings(max_examples=examples(300))
def test_every_address_of_a_denied_network_is_denied(address):
    assert not may_connect(str(address))
    if address.version == 6:
        assert not may_connect(address.exploded)
        assert not may_connect(f"{address}%lo")


@given(st.integers(0, 2**32 - 1).map(IPv4Address))
@settings(max_examples=examples(200))
def test_no_ipv4_address_hides_in_an_ipv6_one(address):
    number = int(address)
    hidden = [
        f"::ffff:{address}",
        f"::{address}",
        f"::ffff:0:{address}",
        f"64:ff9b::{address}",
        f"64:ff9b:1::{address}",
        f"2002:{number >> 16:x}:{number & 0xFFFF:x}::1",
        f"2001:0:0:0:0:0:{number >> 16 ^ 0xFFFF:x}:{number & 0xFFFF ^ 0xFFFF:x}",
    ]
    for spelling in hidden:
        if ip_address(spelling) != IPv6Address("::1"):
            assert not may_connect(spelling, allow_private=True), spelling


@given(INSIDE)
@settings(max_examples=examples(200))
def test_an_operator_opens_private_networks_and_no_others(address):
    private = any(address in network for network in PRIVATE if network.version == address.version)
    opened = may_connect(str(address), allow_private=True)
    metadata = {IPv6Address("fd00:ec2::254"), IPv6Address("fd20:ce::254")}
    assert opened == (private and address not in metadata)


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254"],
)
def test_metadata_services_stay_closed_whatever_is_opened(address):
    assert not may_connect(address, allow_private=True)


@pytest.mark.parametrize("text", ["", "x", "127.1", "2130706433", "::1%lo", "fe80::1%1", "\0"])
def test_what_is_no_plain_address_is_denied(text):
    assert not may_connect(text, allow_private=True)


def test_the_lists_are_networks_of_both_kinds():
    assert {network.version for network in DENIED} == {4, 6}
    assert ip_network("127.0.0.0/8") in PRIVATE
