"""Whether what stands in CORS_ALLOW_ORIGINS can ever be what a browser says, told before anybody waits for it."""

from __future__ import annotations

import re
from collections.abc import Iterable

_AS_SENT = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#@\s\\A-Z]+")
"""Browsers send scheme, host and port, in small letters, and nothing behind them."""

_NOT_SET = (
    "CORS_ALLOW_ORIGINS is not set. List the web origins that may call, for example\n"
    "    export CORS_ALLOW_ORIGINS=https://app.example.com"
)


def wrong_origins(origins: Iterable[str]) -> list[str]:
    """A sentence for each thing in the list that production cannot serve by."""
    said = list(origins)
    if not said:
        return [_NOT_SET]
    if any("*" in origin for origin in said):
        return ["CORS_ALLOW_ORIGINS holds a wildcard. Name each origin instead of *."]
    return [
        f"CORS_ALLOW_ORIGINS holds {origin!r}, which no browser says. Write it as scheme, host and "
        "port, in small letters and with nothing behind: https://app.example.com"
        for origin in said
        if not _AS_SENT.fullmatch(origin)
    ]
