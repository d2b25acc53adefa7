"""Base addresses, as people write them: with a slash too many, without a scheme, with a path too much.

What is appended is fixed (D15); here the base is brought into the one form that it is appended to.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import SplitResult, urlsplit

from dragoman.catalog.schema import CatalogError

OLLAMA_PORT = 11434
"""Where an ``OLLAMA_HOST`` without a port listens; Ollama's own default."""
_VERSION = re.compile(r"/v\d\w*$")


def clean_base(text: str, paths: tuple[str, ...], where: str) -> str:
    """The base without a slash at its end and without what every path repeats.

    ``https://api.anthropic.com/v1`` is what many write for a base to which ``/v1/messages`` is
    appended; both spellings mean one address.

    Raises:
        CatalogError: it is no absolute http(s) URL, or holds a user, a query or a fragment.
    """
    base = text.strip().rstrip("/")
    parts = _split(base, where)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise CatalogError(
            f"{where} must be an absolute http or https URL such as https://api.example.com/v1."
        )
    if parts.username is not None or parts.query or parts.fragment:
        raise CatalogError(f"{where} must not hold a user, a query or a fragment.")
    overlap = _overlap(parts.path, paths)
    return base[: len(base) - len(overlap)] if overlap else base


def host_as_base(text: str) -> str:
    """An ``OLLAMA_HOST`` (``127.0.0.1``, ``:11434``, ``box:8080``) as a base URL.

    The address that a server binds to in order to be reached from everywhere is reached locally.
    """
    text = text.strip().rstrip("/")
    if "://" in text:
        return text
    host, _, path = text.partition("/")
    if host.startswith("["):
        name, _, port = host.partition("]")
        name, port = name + "]", port.removeprefix(":")
    else:
        name, _, port = host.partition(":")
    if name in {"", "0.0.0.0", "[::]"}:  # noqa: S104 - it is replaced, not bound to
        name = "127.0.0.1"
    suffix = f"/{path}" if path else ""
    return f"http://{name}:{port or OLLAMA_PORT}{suffix}"


@lru_cache(maxsize=256)
def origin_of(url: str) -> str:
    """Scheme, host and port of a base URL: the place that a credential is bound to (F12)."""
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{port}"


def _split(base: str, where: str) -> SplitResult:
    try:
        parts = urlsplit(base)
        _ = parts.port
    except ValueError:
        raise CatalogError(f"{where} is not a valid URL.") from None
    if any(sign <= " " or sign == "\x7f" for sign in base):
        raise CatalogError(f"{where} must not hold blanks or control characters.")
    return parts


def _overlap(path: str, appended: tuple[str, ...]) -> str:
    """The longest end of ``path`` that is a version and with which every appended path begins."""
    if not appended or not _VERSION.search(path):
        return ""
    segments = path.split("/")[1:]
    for start in range(len(segments)):
        tail = "/" + "/".join(segments[start:])
        if all(item.startswith(tail + "/") for item in appended):
            return tail
    return ""
