"""Whose address a request came from: nobody but a trusted proxy has a say in it."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dragoman.core.client_address import forwarded_for, networks_of

OURS = networks_of(["10.0.0.0/8", "fd00::/8", "192.0.2.7"])
PROXIES = st.one_of(
    st.ip_addresses(network="10.0.0.0/8"),
    st.ip_addresses(network="fd00::/8"),
    st.just(ip_address("192.0.2.7")),
)
OTHERS = st.ip_addresses().filter(
    lambda found: (
        not any(found in network for network in OURS)
        and getattr(found, "ipv4_mapped", None) is None
    )
)
TEXTS = st.text(st.characters(max_codepoint=255), max_size=40)
PADS = st.sampled_from(["", " ", "\t", "  "])


@st.composite
def written(draw, addresses):
    """An address as one proxy or another writes it."""
    address = draw(addresses)
    bare = str(address)
    if address.version == 6:
        bare = draw(st.sampled_from([bare, f"[{bare}]", f"[{bare}]:443", address.exploded]))
    else:
        bare = draw(st.sampled_from([bare, f"{bare}:51234", f"::ffff:{bare}"]))
    return address, draw(PADS) + bare + draw(PADS)


@given(peer=OTHERS, said=TEXTS)
def test_who_is_no_proxy_of_ours_is_who_it_is_whatever_it_says(peer, said):
    assert forwarded_for(str(peer), said, OURS) == str(peer)


@given(
    peer=PROXIES,
    forged=st.lists(TEXTS, max_size=3),
    client=written(OTHERS),
    between=st.lists(written(PROXIES), max_size=3),
)
def test_behind_proxies_it_is_the_last_that_is_none_of_them(peer, forged, client, between):
    said = ",".join([*forged, client[1], *(text for _, text in between)])
    assert forwarded_for(str(peer), said, OURS) == str(client[0])


@given(peer=PROXIES, chain=st.lists(written(PROXIES), min_size=1, max_size=4))
def test_where_all_are_proxies_it_is_the_first(peer, chain):
    said = ",".join(text for _, text in chain)
    assert forwarded_for(str(peer), said, OURS) == str(chain[0][0])


@given(peer=PROXIES, said=TEXTS)
@example(peer=ip_address("10.0.0.1"), said="")
def test_what_is_said_is_an_address_or_the_peers_counts(peer, said):
    found = forwarded_for(str(peer), said, OURS)
    assert str(ip_address(found)) == found


@pytest.mark.parametrize(
    "said",
    [
        *("", " ", ",", "unknown", "_hidden", "198.51.100.1 198.51.100.2", "198.51.100.256"),
        *(
            "198.51.100.1:",
            "198.51.100.1:x",
            "198.51.100.1:1234567",
            "[2001:db8::1",
            "[2001:db8::1]x",
        ),
        *(
            "fe80::1%eth0",
            "2001:db8::1:zz",
            "0x7f000001",
            "198.51.100.01",
            "198.51.100.1, unknown",
        ),
        *("198.51.100.1,", "198.51.100.1, bad, 10.0.0.9", '"198.51.100.1"', "for=198.51.100.1"),
    ],
)
def test_garbage_leaves_the_peers_address(said):
    assert forwarded_for("10.0.0.1", said, OURS) == "10.0.0.1"


def test_a_peer_may_be_told_in_the_words_of_ipv6_or_with_its_zone():
    assert forwarded_for("::ffff:10.0.0.1", "198.51.100.1", OURS) == "198.51.100.1"
    assert forwarded_for("fd00::1%eth0", "198.51.100.1", OURS) == "198.51.100.1"
    assert forwarded_for("not an address", "198.51.100.1", OURS) == "not an address"
