"""The interface described as OpenAPI 3.1, made from the table of routes: it cannot forget one."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from dragoman import __version__
from dragoman.surface.table import ROUTES, Route

_TEXT = {"type": "string"}
_ERROR = {
    "chat": {
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["message", "type"],
                "properties": {
                    "message": _TEXT,
                    "type": _TEXT,
                    "param": {"type": ["string", "null"]},
                    "code": {"type": ["string", "null"]},
                    "dragoman": {"type": "object"},
                },
            }
        },
    },
    "anthropic": {
        "type": "object",
        "required": ["type", "error"],
        "properties": {
            "type": {"const": "error"},
            "error": {
                "type": "object",
                "required": ["type", "message"],
                "properties": {"type": _TEXT, "message": _TEXT, "dragoman": {"type": "object"}},
            },
            "request_id": _TEXT,
        },
    },
}
_MESSAGES = {"type": "array", "items": {"type": "object"}, "minItems": 1}
_BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {
        "type": "object",
        "required": ["model", "messages"],
        "properties": {
            "model": {"type": "string", "examples": ["openai/gpt-4o-mini"]},
            "messages": _MESSAGES,
            "stream": {"type": ["boolean", "null"]},
            "routing": {"type": "object"},
        },
    },
    "/v1/embeddings": {
        "type": "object",
        "required": ["model", "input"],
        "properties": {"model": _TEXT, "input": {"type": ["string", "array"]}},
    },
    "/v1/messages": {
        "type": "object",
        "required": ["model", "messages", "max_tokens"],
        "properties": {
            "model": _TEXT,
            "messages": _MESSAGES,
            "max_tokens": {"type": "integer", "minimum": 0},
            "stream": {"type": ["boolean", "null"]},
        },
    },
    "/v1/messages/count_tokens": {
        "type": "object",
        "required": ["model", "messages"],
        "properties": {"model": _TEXT, "messages": _MESSAGES},
    },
}
_QUERIES: dict[str, list[dict[str, Any]]] = {
    "usage": [
        {
            "name": "group",
            "in": "query",
            "schema": {"enum": ["request", "day", "month", "model"]},
            "description": "A row for each; without it, totals alone",
        },
        {
            "name": "limit",
            "in": "query",
            "schema": {"type": "integer", "minimum": 1, "maximum": 100_000, "default": 1000},
        },
        {
            "name": "since",
            "in": "query",
            "schema": {"type": "number"},
            "description": "Unix seconds",
        },
        {
            "name": "until",
            "in": "query",
            "schema": {"type": "number"},
            "description": "Unix seconds",
        },
    ]
}
_FAILURES = {
    "400": "The request is wrong; the message names the member",
    "401": "No key, or one that is not valid",
    "402": "Budget used up",
    "403": "The key may not do this",
    "404": "No such thing",
    "405": "Another method is needed",
    "408": "The body came too slowly",
    "409": "In conflict with another request",
    "413": "The body is too large",
    "415": "The body is compressed or no JSON",
    "421": "The Host is not this machine",
    "422": "The provider cannot process the request",
    "429": "A limit; retry-after says when to come back",
    "500": "The gateway failed",
    "502": "The provider failed",
    "503": "Overloaded, or not ready",
    "504": "The provider took too long",
    "529": "The provider is overloaded",
}
_PAGE_FAILURES = ("400", "401", "403", "404", "421", "429", "500", "503")


@cache
def document() -> bytes:
    """The description as JSON."""
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        shown = route.path.replace(":path}", "}")
        paths.setdefault(shown, {})[route.method.lower()] = _operation(route)
    described = {
        "openapi": "3.1.0",
        "info": {
            "title": "Dragoman",
            "version": __version__,
            "description": "One gateway between every program that uses AI and every provider "
            "that serves it.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
                "azureStyle": {"type": "apiKey", "in": "header", "name": "api-key"},
            }
        },
    }
    return msgspec.json.encode(described)


def _operation(route: Route) -> dict[str, Any]:
    name = f"{route.method.lower()}{route.path.replace('{id:path}', 'by_id').replace('{model:path}:', '')}"
    found: dict[str, Any] = {
        "summary": route.summary,
        "operationId": name.replace("/", "_").replace(".", "_"),
        "tags": [route.operation or str(route.page)],
        "responses": _responses(route),
    }
    if route.permission != "public":
        found["security"] = [{"bearer": []}, {"apiKey": []}, {"azureStyle": []}]
    body = _BODIES.get(route.path)
    if body is not None:
        found["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": body}},
        }
    parameters: list[dict[str, Any]] = list(_QUERIES.get(str(route.page), []))
    parameters += [
        {"name": name, "in": "path", "required": True, "schema": _TEXT}
        for name in ("id", "model")
        if f"{{{name}:path}}" in route.path
    ]
    if parameters:
        found["parameters"] = parameters
    return found


def _responses(route: Route) -> dict[str, Any]:
    content: dict[str, Any] = {"application/json": {"schema": {"type": "object"}}}
    if route.operation == "chat":
        content["text/event-stream"] = {"schema": _TEXT}
    if route.page == "metrics":
        content = {"text/plain": {"schema": _TEXT}}
    schema = _ERROR["anthropic" if route.dialect == "anthropic" else "chat"]
    failures = _FAILURES if route.operation else dict.fromkeys(_PAGE_FAILURES, "")
    return {
        "200": {"description": "As asked", "content": content},
        **{
            status: {
                "description": _FAILURES[status],
                "content": {"application/json": {"schema": schema}},
            }
            for status in failures
        },
    }
