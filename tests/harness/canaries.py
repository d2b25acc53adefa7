"""Marks in everything that is secret, and the search for them in everything that is left lying about.

A mark is a random word that stands nowhere else. What is searched for is the mark itself and what encodings make of
it: hexadecimal, base64 at each of its three offsets, percent signs, JSON's escapes.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Hit:
    """A mark where it must not be."""

    what: str
    where: str
    around: bytes


def mark() -> str:
    """A word that nobody else has."""
    return "Canary" + secrets.token_hex(12)


def spellings(secret: bytes) -> set[bytes]:
    """What a secret may look like; short pieces of base64 are left out, as their ends depend on what is beside."""
    found = {secret, secret.hex().encode(), secret.hex().upper().encode()}
    for offset in range(3):
        text = base64.b64encode(b"\0" * offset + secret)[4 if offset else 0 : -4]
        found |= {text, text.replace(b"+", b"-").replace(b"/", b"_")}
    if secret.isascii():
        plain = secret.decode()
        found |= {quote(plain, safe="").encode(), json.dumps(plain)[1:-1].encode()}
    return found


def search(named: dict[str, bytes], places: Iterable[tuple[str, bytes]]) -> list[Hit]:
    """Every mark in every place."""
    wanted = [(name, each) for name, secret in named.items() for each in spellings(secret)]
    hits = []
    for where, data in places:
        for name, spelled in wanted:
            at = data.find(spelled)
            if at >= 0:
                hits.append(Hit(name, where, data[max(0, at - 40) : at + len(spelled) + 40]))
    return hits


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Everything below a folder."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield str(path.relative_to(folder)), path.read_bytes()
