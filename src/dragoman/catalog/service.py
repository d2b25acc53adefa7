"""Other APIs that are called with a credential of ours, as data: the shipped files and ``[[services]]``.

A row of the name of a shipped file adjusts it, member by member; any other describes a service of the operator's
own. The address is fixed by whoever wrote the row: callers say a path below it and nothing else.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import unquote

from msgspec import Struct
from msgspec.structs import replace

from dragoman.catalog.base_url import clean_base
from dragoman.catalog.nearest import nearest
from dragoman.catalog.schema import CatalogError, read_strictly
from dragoman.core.errors import CallerError, invalid
from dragoman.core.provider import Auth

EVERYBODY = "*"
"""As the tenant of a credential: whoever has none of its own."""
PREFIX = "services/"
"""Before a service's name wherever services are named beside providers."""
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_PATH = re.compile(r"[A-Za-z0-9\-._~%!$&'()*+,;=:@/]*")
_QUERY = re.compile(r"[A-Za-z0-9\-._~%!$&'()*+,;=:@/?\[\]|]*")
_LONGEST = 8192


class ServiceKey(Struct, frozen=True, forbid_unknown_fields=True):
    """A credential of a service, and the tenant whose calls are made with it."""

    tenant: str
    """``*``: every tenant that has none of its own."""
    key: str = ""
    login: str = ""
    """Instead of a key: a login by OAuth, which is kept fresh."""

    def __repr__(self) -> str:
        return f"ServiceKey(tenant={self.tenant!r})"


class Service(Struct, frozen=True, forbid_unknown_fields=True):
    """One service."""

    name: str
    base_url: str = ""
    auth: Auth = Auth()
    env: tuple[str, ...] = ()
    """Environment variables of a program's own key; a gateway's callers never get to it."""
    login: str = ""
    """The login by OAuth of a program's own calls, where no variable is set."""
    headers: dict[str, str] = {}
    """Sent with every call, unless the caller says another."""
    methods: tuple[str, ...] = METHODS
    """What may be done through the gateway."""
    paths: tuple[str, ...] = ()
    """Beginnings of paths that may be reached through the gateway; empty: all."""
    pass_headers: tuple[str, ...] = ()
    """Headers of the gateway's callers that go on, beside the ordinary ones."""
    timeout_s: float = 60.0
    """Until the head of the answer, and between two pieces of it."""
    bring: bool = False
    """Whether tenants may bring credentials of their own; an administrator may always store one for them."""
    credentials: tuple[ServiceKey, ...] = ()
    """Whose calls through the gateway are made with what."""


@cache
def shipped() -> dict[str, dict[str, Any]]:
    """The tables of the shipped files, by name."""
    found: dict[str, dict[str, Any]] = {}
    for item in sorted(files("dragoman.catalog.services").iterdir(), key=lambda each: each.name):
        if item.name.endswith(".toml"):
            table = tomllib.loads(item.read_text(encoding="utf-8"))
            found[table["name"]] = table
    return found


def read_services(rows: Iterable[Mapping[str, Any]]) -> dict[str, Service]:
    """The services that the operator has named, by name.

    Raises:
        CatalogError: a row is wrong; the message names it.
    """
    found: dict[str, Service] = {}
    for row in rows:
        service = _service(row)
        if service.name in found:
            raise CatalogError(f"[[services]]: the name {service.name!r} is given twice.")
        found[service.name] = service
    return found


def one_service(rows: Iterable[Mapping[str, Any]], name: str) -> Service:
    """A service that the operator or a shipped file describes.

    Raises:
        CatalogError: nobody does; the nearest name is told.
    """
    named = read_services(rows)
    if name in named:
        return named[name]
    if name in shipped():
        return _service({"name": name})
    known = sorted({*named, *shipped()})
    near = nearest(name, known, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}."
    raise CatalogError(f"There is no service {name[:64]!r}; {hint}")


def target_of(service: Service, path: str, query: str = "") -> str:
    """The URL of a path below the service's address.

    Args:
        service: with its base.
        path: percent-encoded, as it goes out.
        query: the same, without its question mark.

    Raises:
        CallerError: the path would leave the address, or holds what no path may.
    """
    path = path.lstrip("/")
    if len(path) + len(query) > _LONGEST:
        raise invalid("The path and query of a service's call are too long.", "path")
    if not _PATH.fullmatch(path) or not _QUERY.fullmatch(query):
        raise invalid("The path or query holds signs that must be percent-encoded.", "path")
    for text in (path, unquote(path), unquote(unquote(path))):
        # Encoded once or twice, a dot or a backslash may be one for whoever reads it next.
        # What follows a semicolon is no part of the step to some servers: "..;x" is ".." to them.
        steps = [step.partition(";")[0] for step in text.replace("\\", "/").split("/")]
        if ".." in steps or "." in steps or any(sign < " " or sign == "\x7f" for sign in text):
            raise invalid("The path must not hold . or .. as a step, nor control signs.", "path")
    if service.paths and not any(_is_below(path, start) for start in service.paths):
        raise CallerError(
            "permission",
            f"{service.name} may not be reached at this path here; there are: "
            f"{', '.join(service.paths)}.",
            code="path_not_allowed",
        )
    return f"{service.base_url}/{path}" + (f"?{query}" if query else "")


def _is_below(path: str, start: str) -> bool:
    start = start.strip("/")
    return path == start or path.startswith(start + "/")


def _service(row: Mapping[str, Any]) -> Service:
    name = row.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise CatalogError(
            "[[services]]: a name must be of small letters, digits, dots, hyphens and underscores."
        )
    where = f"[[services]] {name}"
    service = read_strictly(Service, {**shipped().get(name, {}), **row}, where)
    if not service.base_url:
        raise CatalogError(f"{where}: base_url is missing.")
    for method in service.methods:
        if method not in METHODS:
            raise CatalogError(f"{where}: methods must be of {', '.join(METHODS)}.")
    if service.timeout_s <= 0:
        raise CatalogError(f"{where}: timeout_s must be above 0.")
    for key in service.credentials:
        if bool(key.key) == bool(key.login) or not key.tenant:
            raise CatalogError(
                f'{where}: a credential has a tenant ("*" for every one) and either key or login.'
            )
    tenants = [key.tenant for key in service.credentials]
    if len(set(tenants)) != len(tenants):
        raise CatalogError(f"{where}: a tenant has one credential, not several.")
    return replace(
        service,
        base_url=clean_base(service.base_url, (), f"{where}: base_url"),
        headers={key.lower(): value for key, value in service.headers.items()},
        pass_headers=tuple(each.lower() for each in service.pass_headers),
        auth=replace(service.auth, header=service.auth.header.lower()),
    )
