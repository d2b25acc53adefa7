"""The admin room as an ASGI application, made by FastAPI when it is first asked for (D32).

The surface has matched the row, knows the caller and has read the body under its cap; what is left for here is to
read what was said, to do it and to describe it. A failure is raised, and told by the surface in the one shape
that all of them have.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope

from dragoman.admin import (
    accounts,
    audits,
    budgets,
    calls,
    credentials,
    ingest,
    keys,
    metrics,
    models,
    names,
    ob1,
    own,
    places,
    policies,
    providers,
    tiers,
    usage,
)
from dragoman.admin.bench import CALL, DESK, ROUTE_OF
from dragoman.admin.desk import Desk
from dragoman.admin.paging import said_wrong
from dragoman.core.call import Call
from dragoman.core.errors import CallerError, GatewayError, HouseError

ROUTERS = tuple(
    noun.router
    for noun in (
        providers,
        accounts,
        ob1,
        models,
        names,
        places,
        keys,
        own,
        policies,
        tiers,
        budgets,
        credentials,
        metrics,
        calls,
        audits,
        ingest,
        usage,
    )
)


class Reply:
    """An answer, as it is caught from the application."""

    __slots__ = ("body", "content_type", "headers", "status")

    def __init__(self) -> None:
        self.status = 500
        self.body = b""
        self.headers: dict[str, str] = {}
        self.content_type = "application/json"

    async def catch(self, message: Message) -> None:
        """Takes a piece of it."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            for name, value in message["headers"]:
                if name == b"content-type":
                    self.content_type = value.decode("latin-1")
                elif name != b"content-length":
                    self.headers[name.decode("latin-1")] = value.decode("latin-1")
        else:
            self.body += message.get("body", b"")


class Room:
    """All nouns, behind one desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.app = FastAPI(
            title="Dragoman",
            openapi_url=None,
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
            exception_handlers={RequestValidationError: _wrong, HTTPException: _nothing},
        )
        for router in ROUTERS:
            self.app.include_router(router)

    def rows(self) -> dict[tuple[str, str], APIRoute]:
        """Every route by method and path, as the surface's table writes them."""
        return {
            (method, route.path): route
            for router in ROUTERS
            for route in router.routes
            if isinstance(route, APIRoute)
            for method in route.methods or ()
        }

    async def answer(self, call: Call, scope: Scope, body: bytes) -> Reply:
        """The answer to a call whose row the surface has matched.

        Raises:
            GatewayError: it was refused, or failed.
        """
        inner: Scope = {
            "type": "http",
            "asgi": scope["asgi"],
            "http_version": scope["http_version"],
            "method": "GET" if scope["method"] == "HEAD" else scope["method"],
            "scheme": scope.get("scheme", "http"),
            "path": scope["path"],
            "raw_path": None,
            "root_path": "",
            "query_string": _without_key(scope["query_string"]),
            "headers": scope["headers"],
            "client": scope.get("client"),
            "server": scope.get("server"),
            "state": {},
            CALL: call,
            DESK: self._desk,
        }
        reply = Reply()
        await self.app(inner, _said(body), reply.catch)
        if inner.get(ROUTE_OF) != call.route:
            # Two readings of one path: neither is trusted (A3).
            raise HouseError("server", "The route was read in two ways.", code="router_error")
        return reply


def _without_key(query: bytes) -> bytes:
    """The query without the credential that it may carry."""
    return b"&".join(part for part in query.split(b"&") if not part.startswith(b"key="))


def _said(body: bytes) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _wrong(request: Request, error: Exception) -> NoReturn:
    del request
    assert isinstance(error, RequestValidationError)
    raise said_wrong(error.errors()) from None


async def _nothing(request: Request, error: Exception) -> NoReturn:
    del request
    assert isinstance(error, HTTPException)
    cause = error.__cause__
    if isinstance(cause, GatewayError):
        raise cause
    raise CallerError(
        "not_found",
        "There is nothing here; GET /openapi.json lists what there is.",
        code="not_found",
    )


def check_rows(room: Room, permissions: Mapping[tuple[str, str], str]) -> None:
    """Refuses a route that the surface's table does not have, and a row that nobody answers (A4).

    Raises:
        ValueError: names them.
    """
    odd = room.rows().keys() ^ permissions.keys()
    if odd:
        listed = ", ".join(sorted(f"{method} {path}" for method, path in odd))
        raise ValueError(f"These stand in one of the two tables alone: {listed}.")
