"""Which addresses may be connected to for a URL that somebody else has written.

Whoever writes a URL into a prompt chooses where the gateway connects to, from inside its operator's
network: at the address decides what can be harmed, whatever the name before it. What
``ipaddress`` calls global differs from one Python to the next and holds ways back inside (NAT64,
6to4, IPv4 in IPv6), so the list here is our own, and the library's opinion comes on top of it.
"""

from __future__ import annotations

from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

PRIVATE: tuple[Network, ...] = tuple(
    ip_network(each)
    for each in (
        "127.0.0.0/8",  # loopback
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "::1/128",  # loopback
        "fc00::/7",  # unique local
    )
)
"""One's own machine and network: what an operator may open (``IMAGE_FETCH_ALLOW_PRIVATE``)."""

DENIED: tuple[Network, ...] = tuple(
    ip_network(each)
    for each in (
        "0.0.0.0/8",  # this network; 0.0.0.0 is loopback to a connecting socket
        "100.64.0.0/10",  # carriers' NAT, and Alibaba's metadata (100.100.100.200)
        "168.63.129.16/32",  # Azure's wire server
        "169.254.0.0/16",  # link-local, and most clouds' metadata (169.254.169.254)
        "192.0.0.0/24",  # protocol assignments, and Oracle's metadata (192.0.0.192)
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # 6to4 relays
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarking
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
        "::/96",  # unspecified, and IPv4-compatible
        "::ffff:0:0/96",  # IPv4-mapped
        "::ffff:0:0:0/96",  # IPv4-translated
        "64:ff9b::/96",  # NAT64
        "64:ff9b:1::/48",  # NAT64 of one's own network
        "100::/64",  # discard
        "2001::/23",  # protocol assignments: Teredo, benchmarking, ORCHID, AMT
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
        "5f00::/16",  # segment routing
        "fd00:ec2::254/128",  # Amazon's metadata
        "fd20:ce::254/128",  # Google's metadata
        "fe80::/10",  # link-local
        "fec0::/10",  # site-local
        "ff00::/8",  # multicast
    )
)
"""What nobody may open: no server of pictures stands there."""

_UNICAST = IPv6Network("2000::/3")
"""All of IPv6 that is handed out to the public."""


def may_connect(address: str, *, allow_private: bool = False) -> bool:
    """Whether an address that a name resolved to may be connected to.

    Args:
        address: as ``getaddrinfo`` gives it.
        allow_private: whether the operator's own networks are open.
    """
    try:
        found = ip_address(address)
    except ValueError:
        return False
    if isinstance(found, IPv6Address) and found.scope_id is not None:
        return False
    if any(_within(found, each) for each in DENIED) and found != IPv6Address("::1"):
        return False
    if any(_within(found, each) for each in PRIVATE):
        return allow_private
    if isinstance(found, IPv6Address) and found not in _UNICAST:
        return False
    return found.is_global and not found.is_multicast


def _within(address: Address, network: Network) -> bool:
    return address.version == network.version and address in network
