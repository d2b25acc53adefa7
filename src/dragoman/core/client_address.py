"""Whose address a request came from, where proxies of ours stand in between (TRUSTED_PROXIES).

A proxy adds the address of whoever has called it to ``X-Forwarded-For``, behind what was there. So the list is
read from its end, and only as far as each address is a proxy of ours: what stands before that, anybody may have
written.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

from dragoman.core.call import Call

Networks: TypeAlias = tuple[IPv4Network | IPv6Network, ...]
FORWARDED_FOR = "x-forwarded-for"


def networks_of(said: Iterable[str]) -> Networks:
    """The networks of addresses and CIDRs.

    Raises:
        ValueError: one is neither; the message says which.
    """
    found = []
    for each in said:
        try:
            found.append(ip_network(each))
        except ValueError:
            raise ValueError(
                f"{each[:60]!r} is neither an IP address nor a network{_near(each)}"
            ) from None
    return tuple(found)


def _near(said: str) -> str:
    """What was meant by a network in whose address more is said than its length covers."""
    try:
        return f"; say {ip_network(said, strict=False)}"
    except ValueError:
        return ", as 10.0.0.7 and 10.0.0.0/8 are"


def address_of(call: Call, proxies: Networks) -> str | None:
    """The address that a call came from; None: the server does not know."""
    if call.client is None:
        return None
    peer = call.client[0]
    said = call.headers.get(FORWARDED_FOR) if proxies else None
    return peer if said is None else forwarded_for(peer, said, proxies)


def forwarded_for(peer: str, said: str, proxies: Networks) -> str:
    """The right-most address that is no proxy of ours; the left-most, where all of them are.

    The peer's own where it is no proxy of ours, or where what would have to be read is no address.
    """
    found = _read(peer.partition("%")[0])
    if found is None or not _is_in(found, proxies):
        return peer
    rest, more = said, ","
    while more and _is_in(found, proxies):
        rest, more, last = rest.rpartition(",")
        address = _read(last.strip(" \t"))
        if address is None:
            return peer
        found = address
    return str(found)


def _is_in(address: IPv4Address | IPv6Address, networks: Networks) -> bool:
    return any(address in network for network in networks)


def _read(text: str) -> IPv4Address | IPv6Address | None:
    """An address, with or without the port that some proxies write behind it."""
    if text.startswith("["):
        text, closed, port = text[1:].partition("]")
        if not closed or (port and not _is_port(port)):
            return None
    elif text.count(":") == 1:
        text, _, port = text.partition(":")
        if not _is_port(f":{port}"):
            return None
    if "%" in text:
        return None  # a zone means something on one machine alone, and holds any text
    try:
        address = ip_address(text)
    except ValueError:
        return None
    # A socket of both kinds tells of IPv4 in the words of IPv6.
    return address if address.version == 4 else address.ipv4_mapped or address


def _is_port(text: str) -> bool:
    return text.startswith(":") and text[1:].isascii() and text[1:].isdigit() and len(text) <= 6
