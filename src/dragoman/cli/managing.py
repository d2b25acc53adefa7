"""What commands ask of the admin API of a running gateway: an answer, or all pages of a list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from dragoman.cli.output import fail, say, say_json

__all__ = ["answered", "asked", "listed", "managed", "named", "removed"]

_PAGE = 1000
_TIMEOUT_S = 30


def managed(
    method: str, path: str, body: Any, base_url: str, key: str, *, as_json: bool
) -> dict[str, Any]:
    """What the gateway answers an administrator; it ends the program where ``answered`` does, or without a key."""
    if not key:
        fail(
            "An administrator's key is needed: say --key, or set DRAGOMAN_API_KEY. "
            "`dragoman keys create --name me --role admin` makes one.",
            as_json=as_json,
        )
    return answered(method, path, body, base_url, key, as_json=as_json)


def answered(
    method: str, path: str, body: Any, base_url: str, key: str, *, as_json: bool
) -> dict[str, Any]:
    """What the gateway answers; it ends the program where there is none, or it refuses."""
    from dragoman.cli.gateway import Gateway, GatewayRefusal

    try:
        return Gateway(base_url, key, timeout_s=_TIMEOUT_S).manage(method, path, body)
    except GatewayRefusal as refusal:
        fail(refusal.message, as_json=as_json)


def listed(
    path: str,
    base_url: str,
    key: str,
    *,
    as_json: bool,
    query: Mapping[str, str | None] | None = None,
    most: int | None = None,
) -> list[dict[str, Any]]:
    """All that a list holds by this query, page by page, or its first rows."""
    found: list[dict[str, Any]] = []
    said = dict(query or {})
    while True:
        said["limit"] = str(_PAGE if most is None else min(_PAGE, most - len(found)))
        page = managed("GET", asked(path, said), None, base_url, key, as_json=as_json)
        found += page["data"]
        if not page["has_more"] or len(found) == most:
            return found
        said["cursor"] = page["next_cursor"]


def asked(path: str, query: Mapping[str, str | None]) -> str:
    """The path with what is said of the query."""
    said = urlencode({name: value for name, value in query.items() if value is not None})
    return f"{path}?{said}" if said else path


def named(path: str, name: str) -> str:
    """The path of one of a list, whatever its name holds."""
    return f"{path}/{quote(name, safe='')}"


def removed(path: str, name: str, done: str, base_url: str, key: str, *, as_json: bool) -> None:
    """Has one of a list removed, and tells that it is done."""
    managed("DELETE", named(path, name), None, base_url, key, as_json=as_json)
    if as_json:
        say_json({"removed": name})
    else:
        say(done)
