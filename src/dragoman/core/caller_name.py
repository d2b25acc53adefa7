"""Who of a program is calling, as it says itself: a label of the ledger and of the log of errors (R-USE-014)."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote

CALLER = "x-dragoman-caller"
"""The header by which a program says who of it is calling (R-USE-014); it may be percent-encoded."""
LONGEST_CALLER = 256


def caller_named(headers: Mapping[str, str], name: str) -> str:
    """Who is calling: whom the request names, else the key's own ``name``; a label and no proof of anything."""
    said = headers.get(CALLER)
    if said is None:
        return name
    if not said.isascii():
        # Headers are read as Latin-1, and most programs write UTF-8.
        said = said.encode("latin-1", "replace").decode("utf-8", "replace")
    if "%" in said:
        said = unquote(said)
    kept = "".join(sign for sign in said[:LONGEST_CALLER] if sign.isprintable())
    return kept.strip() or name
