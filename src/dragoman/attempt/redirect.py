"""A provider that sends us elsewhere: nearly always a base URL that is wrong.

Redirects are not followed, for a key goes to the origin of its provider's base alone. What is
told is where it would have gone: the host, never what else an address may hold.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from dragoman.core.errors import UpstreamError

_HOST = re.compile(r"[A-Za-z0-9._:\-]{1,253}")


def redirected(status: int, headers: dict[str, str]) -> UpstreamError:
    """The error of a 3xx answer; it would come again, and says nothing of the provider's health."""
    return UpstreamError(
        "upstream",
        f"The provider answered with status {status}, a redirect {_whither(headers)}, which is "
        "not followed; check the provider's base URL.",
        upstream_status=status,
        code="upstream_redirect",
        provider_request_id=headers.get("x-request-id") or headers.get("request-id"),
    )


def _whither(headers: dict[str, str]) -> str:
    location = headers.get("location")
    if not location:
        return "without saying where to"
    try:
        address = urlsplit(location)
        host, port = address.hostname, address.port
    except ValueError:
        return "to an address that cannot be read"
    if host is None:
        return "to another path of the same host"
    if not _HOST.fullmatch(host):
        return "to an address that cannot be read"
    return f"to {host}" if port is None else f"to {host}:{port}"
