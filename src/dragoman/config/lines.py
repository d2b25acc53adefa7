"""The line of a ``dragoman.toml`` that a complaint is about: TOML's own reader keeps no places.

The text has been read as TOML before, so a scan of headers and keys is enough. A complaint names what
it is about in its first words; where it does not, no line is told, and none is guessed.
"""

from __future__ import annotations

import re
import tomllib
from typing import TypeAlias

Place: TypeAlias = tuple[str, ...]
"""``("providers", "corp", "base_url")``: a section, its entry, a member."""

_SPEAKS_OF: tuple[tuple[re.Pattern[str], Place], ...] = (
    (re.compile(r"\[\[providers\]\] (?P<entry>[^:]+?)(?: \w+)?: "), ("providers",)),
    (re.compile(r"\[\[providers\]\]: the name '(?P<entry>[^']*)'"), ("providers",)),
    (re.compile(r"\[routes\.(?P<entry>.+?)\](?: candidate \d+)?(?::| must| names)"), ("routes",)),
    (re.compile(r"\[prices\.'(?P<entry>[^']+)'\]"), ("prices",)),
    (re.compile(r"\[tiers\.(?P<entry>.+?)\](?::| must)"), ("tiers",)),
    (re.compile(r"\[quality\]: the rank of (?P<entry>.+?) must"), ("quality",)),
    (re.compile(r"The alias '(?P<entry>[^']+)'"), ("aliases",)),
    (re.compile(r"Aliases go in a circle: (?P<entry>.+?) →"), ("aliases",)),
    (re.compile(r"provider_order "), ("provider_order",)),
    (re.compile(r"format must be"), ("format",)),
    (re.compile(r"(?P<entry>HOST|PORT|WORKERS): "), ("server",)),
    (re.compile(r"(?P<section>[A-Z_]+): "), ()),
    (re.compile(r"(?P<section>[a-z_]+)\.(?P<entry>[^.:\s]+)[^:\s]*: "), ()),
    (re.compile(r"\[server\]: "), ("server",)),
)
_UNKNOWN = re.compile(r"unknown member '(?P<member>[^']+)'")
_AT = re.compile(r"at `\$\.(?P<member>\w+)")
_REFERENCE = re.compile(r"refers to \$\{(?P<name>[^}]+)\}")
_OWN_LINE = re.compile(r"\(at line (\d+)")
_HEADER = re.compile(r"^\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*[^=\s]+)*)\s*=""")


def place_of(message: str) -> Place:
    """What a complaint speaks of; empty where it does not tell."""
    for pattern, section in _SPEAKS_OF:
        found = pattern.match(message)
        if found is None:
            continue
        named = found.groupdict()
        place = section or (named["section"].lower(),)
        if named.get("entry"):
            place = (*place, named["entry"].lower() if place == ("server",) else named["entry"])
        member = _UNKNOWN.search(message) or _AT.search(message)
        return (*place, member["member"]) if member is not None else place
    member = _UNKNOWN.search(message)
    return (member["member"],) if member is not None else ()


def located(message: str, text: str, where: str) -> str:
    """The complaint with its line, where it can be told: ``dragoman.toml, line 7: …``."""
    line = line_of(message, text, where)
    if line is None:
        return message
    return f"{where}, line {line}: {without_place(message, where)}"


def without_place(message: str, where: str) -> str:
    """The complaint without the file's name at its head."""
    message = message.removeprefix("The configuration is wrong: ")
    if not message.startswith(where):
        return message
    rest = message[len(where) :]
    return rest.removeprefix(":").strip() if rest[:1] in {":", " "} else message


def line_of(message: str, text: str, where: str = "") -> int | None:
    """The line that a complaint about this text is about, counted from 1; None: it cannot be told."""
    if where:
        message = without_place(message, where)
    own = _OWN_LINE.search(message)
    if own is not None:
        return int(own[1])
    if "(at end of document)" in message:
        return max(1, len(text.splitlines()))
    unset = _REFERENCE.search(message)
    if unset is not None:
        mark = "${" + unset["name"] + "}"
        lines = enumerate(text.splitlines(), 1)
        return next((number for number, line in lines if mark in line), None)
    place = place_of(message)
    known = _places(text)
    while place:
        if place in known:
            return known[place]
        place = place[:-1]
    return None


def _places(text: str) -> dict[Place, int]:
    """Every header and key with its line; the entries of an array of tables go by their names."""
    found: dict[Place, int] = {}
    here: Place = ()
    start = 0
    array = False
    quoted = ""
    for number, line in enumerate(text.splitlines(), 1):
        if quoted:
            quoted = "" if quoted in line else quoted
            continue
        header = _HEADER.match(line)
        if header is not None:
            here, start, array = _path(header[2]), number, header[1] == "[["
            found.setdefault(here, number)
            continue
        key = _KEY.match(line)
        if key is None:
            continue
        path = _path(key[1])
        if array and path == ("name",) and (name := _text(line)):
            here, array = (*here, name), False
            found.setdefault(here, start)
        found.setdefault((*here, *path), number)
        rest = line[key.end() :]
        opened = [mark for mark in ('"""', "'''") if rest.count(mark) == 1]
        quoted = opened[0] if opened else ""
    return found


def _path(key: str) -> Place:
    """A dotted key as its parts."""
    try:
        table = tomllib.loads(f"{key} = 0")
    except tomllib.TOMLDecodeError:
        return (key,)
    parts: list[str] = []
    value: object = table
    while isinstance(value, dict):
        ((name, value),) = value.items()
        parts.append(name)
    return tuple(parts)


def _text(line: str) -> str:
    try:
        value = next(iter(tomllib.loads(line).values()))
    except tomllib.TOMLDecodeError:
        return ""
    return value if isinstance(value, str) else ""
