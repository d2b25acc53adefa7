"""What every noun's functions are given: the desk, the call, and a body that was read strictly."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.routing import APIRoute

from dragoman.admin.desk import Desk
from dragoman.admin.reading import read_body
from dragoman.core.call import Call

CALL = "dragoman.call"
DESK = "dragoman.desk"
ROUTE_OF = "dragoman.route"


class StrictRequest(Request):
    """A request whose JSON means one thing."""

    async def json(self) -> Any:
        """The body's value; a ``CallerError`` where it is none."""
        return read_body(await self.body(), self.headers.get("content-type", ""))


class StrictRoute(APIRoute):
    """A route that reads bodies strictly, and says which one it is."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's own handler, behind the strict request."""
        inner = super().get_route_handler()
        needs_body = self.body_field is not None and self.body_field.field_info.is_required()

        async def handler(request: Request) -> Response:
            request.scope[ROUTE_OF] = self.path
            strict = StrictRequest(request.scope, request.receive)
            if needs_body or await strict.body():
                # Read before FastAPI does, which takes another content type for another form.
                await strict.json()
            return await inner(strict)

        return handler


def room(tag: str) -> APIRouter:
    """A router for one noun."""
    return APIRouter(tags=[tag], route_class=StrictRoute)


def _desk(request: Request) -> Desk:
    desk: Desk = request.scope[DESK]
    return desk


def _call(request: Request) -> Call:
    call: Call = request.scope[CALL]
    return call


DeskOf = Annotated[Desk, Depends(_desk)]
CallOf = Annotated[Call, Depends(_call)]
