"""URLs that somebody else has written, read once and in one way.

Two parsers that disagree about where a host begins are a way past any check (F6). Here a URL is
taken apart, judged, and put together again from its parts: what is connected to is what was
judged. What a browser would mend is refused.
"""

from __future__ import annotations

import re
import unicodedata
from contextlib import suppress
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from urllib.parse import quote, urljoin

from msgspec import Struct

LONGEST = 8192

_ABSOLUTE = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<target>[^#]*)"
)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:]+)(?::(?P<port>[0-9]{1,5}))?")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PORTS = {"http": 80, "https": 443}
_VISIBLE = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
"""ASCII that ``quote`` leaves as it is; the letters and digits it leaves anyway."""


class Refused(Exception):  # noqa: N818 - it is a finding, which becomes the caller's error
    """A URL is not fetched: a code for programs, a reason for people."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Place(Struct, frozen=True):
    """Where a URL leads."""

    scheme: str
    host: str
    """Lower case and ASCII, without a dot at the end; IPv6 in brackets."""
    port: int
    target: str

    @property
    def origin(self) -> tuple[str, str, int]:
        """What decides who hears of a secret."""
        return self.scheme, self.host, self.port

    @property
    def url(self) -> str:
        """The URL in its one form."""
        usual = self.port == _PORTS[self.scheme]
        return f"{self.scheme}://{self.host}{'' if usual else f':{self.port}'}{self.target}"


class Rules(Struct, frozen=True):
    """Which URLs may be fetched at all, whatever their host resolves to."""

    protocols: tuple[str, ...] = ("http", "https")
    hosts: tuple[str, ...] = ()
    """``host``, ``host:port``, or ``.domain`` for all below it; empty: every host."""
    any_port: bool = False
    """Where private networks are open, so are the ports that are usual there."""


def read_url(text: str, rules: Rules) -> Place:
    """Where a URL leads, if it may be fetched.

    Raises:
        Refused: it is not a URL of the plain kind, or the rules exclude it.
    """
    if len(text) > LONGEST:
        raise Refused(
            "image_fetch_invalid_url", f"its address is longer than {LONGEST} characters"
        )
    if any(_is_odd(letter) for letter in text):
        raise Refused(
            "image_fetch_invalid_url",
            "its address holds a space, a backslash or a control character",
        )
    found = _ABSOLUTE.match(text)
    if found is None:
        raise Refused("image_fetch_invalid_url", "it is no address of the form https://host/path")
    scheme = found["scheme"].lower()
    if scheme not in _PORTS or scheme not in rules.protocols:
        raise Refused("image_fetch_blocked", f"{_listed(rules.protocols)} alone may be fetched")
    authority = found["authority"]
    if "@" in unicodedata.normalize("NFKC", authority):
        raise Refused("image_fetch_invalid_url", "its address holds a user name")
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None:
        raise Refused("image_fetch_invalid_url", "its address has no plain host")
    host = _host(parts["host"])
    port = int(parts["port"]) if parts["port"] else _PORTS[scheme]
    place = Place(scheme, host, port, _target(found["target"]))
    _judge(place, rules)
    return place


def redirected(place: Place, location: str, rules: Rules) -> Place:
    """Where a redirect leads.

    Raises:
        Refused: nowhere, to where no URL may lead, or out of TLS.
    """
    with suppress(UnicodeError):
        # A header's bytes come as Latin-1; what stands in them is UTF-8 nowadays.
        location = location.encode("latin-1").decode("utf-8")
    if not location or any(_is_odd(letter) for letter in location):
        raise Refused("image_fetch_blocked", "it redirects to no valid address")
    try:
        # What has a scheme stands for itself: joined, http:///a would lead to a's namesake here.
        joined = location if _SCHEME.match(location) else urljoin(place.url, location)
    except ValueError:
        raise Refused("image_fetch_blocked", "it redirects to no valid address") from None
    try:
        there = read_url(joined, rules)
    except Refused as refused:
        raise Refused("image_fetch_blocked", f"of a redirect, {refused.reason}") from None
    if place.scheme == "https" and there.scheme != "https":
        raise Refused("image_fetch_blocked", "it redirects from https to http")
    return there


def host_of(text: str) -> str:
    """What of a URL may be told to whoever reads errors or logs: its host, as far as there is one."""
    found = _ABSOLUTE.match(text)
    authority = found["authority"].rpartition("@")[2] if found is not None else ""
    shown = "".join(letter for letter in authority if letter.isprintable())
    return shown[:255] or "an unknown host"


def is_named(place: Place, hosts: tuple[str, ...]) -> bool:
    """Whether a list of hosts holds the host of a URL, at its port."""
    usual = place.port == _PORTS[place.scheme]
    for entry in hosts:
        name, port = _entry(entry)
        fits = usual if port is None else port == place.port
        if fits and (
            place.host == name
            if not name.startswith(".")
            else place.host.endswith(name) and not place.host.startswith("[")
        ):
            return True
    return False


def _entry(entry: str) -> tuple[str, int | None]:
    """The host, or the suffix with its dot, and the port of an entry in a list of hosts."""
    name = entry.strip().lower().removeprefix("*")
    head, colon, tail = name.rpartition(":")
    if colon and tail.isascii() and tail.isdecimal() and not (":" in head and head[-1:] != "]"):
        return head, int(tail)
    return name, None


def _judge(place: Place, rules: Rules) -> None:
    if not 0 < place.port < 65536:
        raise Refused("image_fetch_invalid_url", "its port is none")
    if rules.hosts:
        if not is_named(place, rules.hosts):
            raise Refused("image_fetch_blocked", "this host is not on the gateway's list")
    elif place.port != _PORTS[place.scheme] and not rules.any_port:
        raise Refused("image_fetch_blocked", f"port {place.port} is not open")


def _is_odd(letter: str) -> bool:
    """Whether a letter is white space, a control character, invisible, or read as a slash by some."""
    if letter.isascii():
        return not "!" <= letter <= "~" or letter == "\\"
    return letter.isspace() or not letter.isprintable()


def _host(text: str) -> str:
    """The one form of a host.

    Raises:
        Refused: it is no host name, or an address in a form that is not the usual one.
    """
    if text.startswith("["):
        try:
            return f"[{IPv6Address(text[1:-1]).compressed}]"
        except (AddressValueError, ValueError):
            raise Refused("image_fetch_invalid_url", "its IPv6 address is none") from None
    name = text
    if not name.isascii():
        try:
            name = unicodedata.normalize("NFKC", name).encode("idna").decode("ascii")
        except UnicodeError:
            raise Refused("image_fetch_invalid_url", "its host is no host name") from None
    name = name.lower().removesuffix(".")
    labels = name.split(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise Refused("image_fetch_invalid_url", "its host is no host name")
    if _NUMBER.fullmatch(labels[-1]):
        # Resolvers read 2130706433, 0x7f.1, 0177.0.0.1 and 127.1 as 127.0.0.1.
        try:
            return str(IPv4Address(name))
        except ValueError:
            raise Refused(
                "image_fetch_invalid_url", "its IPv4 address is not of the form 192.0.2.1"
            ) from None
    return name


def _target(text: str) -> str:
    target = text if text.startswith("/") else "/" + text
    return quote(target, safe=_VISIBLE)


def _listed(protocols: tuple[str, ...]) -> str:
    return " and ".join(f"{each}://" for each in protocols) or "nothing"
