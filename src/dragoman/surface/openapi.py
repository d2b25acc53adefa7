"""The interface described as OpenAPI 3.1, made from the table of routes: it cannot forget one."""

from __future__ import annotations

from typing import Any

import msgspec

from dragoman import __version__
from dragoman.core.provider import Family, Operation
from dragoman.dialects.registry import DIALECTS
from dragoman.surface.route import Route
from dragoman.surface.table import ROUTES
from dragoman.surface.usage_queries import USAGE_QUERIES

_TEXT = {"type": "string"}
_SHEETS = ("usage", "calls", "all_calls")
"""Pages that may be asked for as a table or as lines."""
_ERROR: dict[str, dict[str, Any]] = {
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
_ERROR["gemini"] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "status"],
            "properties": {
                "code": {"type": "integer"},
                "message": _TEXT,
                "status": _TEXT,
                "details": {"type": "array"},
            },
        }
    },
}
_ERROR["ollama"] = _ERROR["generate"] = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": _TEXT},
}
_OPENROUTERS = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "integer"},
                "message": _TEXT,
                "metadata": {"type": "object"},
                "dragoman": {"type": "object"},
            },
        }
    },
}
_MESSAGES = {"type": "array", "items": {"type": "object"}, "minItems": 1}
_NAMED: dict[str, Any] = {"type": "string", "examples": ["openai/gpt-4o-mini"]}
_STREAM = {"type": ["boolean", "null"]}


def _body(required: str, **properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": required.split(), "properties": properties}


_BODIES: dict[tuple[Family, Operation], dict[str, Any]] = {
    ("chat", "chat"): _body(
        "model messages",
        model=_NAMED,
        messages=_MESSAGES,
        stream=_STREAM,
        routing={"type": "object"},
    ),
    ("chat", "embeddings"): _body(
        "model input", model=_NAMED, input={"type": ["string", "array"]}
    ),
    ("anthropic", "chat"): _body(
        "model messages max_tokens",
        model=_NAMED,
        messages=_MESSAGES,
        max_tokens={"type": "integer", "minimum": 0},
        stream=_STREAM,
    ),
    ("anthropic", "count_tokens"): _body("model messages", model=_NAMED, messages=_MESSAGES),
    ("responses", "chat"): _body("model", model=_NAMED, stream=_STREAM),
    ("responses", "count_tokens"): _body("model", model=_NAMED),
    ("completions", "chat"): _body("model", model=_NAMED, stream=_STREAM),
    ("ollama", "chat"): _body("model", model=_NAMED, messages={"type": "array"}, stream=_STREAM),
    ("ollama", "embeddings"): _body("model", model=_NAMED),
    ("generate", "chat"): _body("model", model=_NAMED, prompt=_TEXT, stream=_STREAM),
    ("gemini", "chat"): _body("contents", contents=_MESSAGES),
    ("gemini", "count_tokens"): {"type": "object"},
    ("gemini", "embeddings"): {"type": "object"},
}
_QUERIES: dict[str, list[dict[str, Any]]] = {
    **USAGE_QUERIES,
    "generation": [
        {
            "name": "id",
            "in": "query",
            "required": True,
            "schema": _TEXT,
            "description": "x-dragoman-call-id, x-request-id, or the answer's own id",
        }
    ],
}


def _header(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "schema": _TEXT, "description": description}


_LAST_EVENT = _header("last-event-id", "The last event of the stream that came: CALL_ID:NUMBER")
_HEADERS = [
    _header("idempotency-key", "Of any number of equal requests with it one call, for 24 hours"),
    _header("x-dragoman-resumable", "true: every event has an id, and the stream can be resumed"),
    _header("x-dragoman-cache", "true or false: whether an answer of the cache will do"),
    _header("x-dragoman-max-attempts", "Tries of all candidates together, 1 to 10"),
    _header("cache-control", "To the cache: no-cache, no-store, max-age=SECONDS, only-if-cached"),
]
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
_NO_SOCKET = {"426": "This is a WebSocket: open it with a WebSocket client"}
_SCHEMES = ("bearer", "apiKey", "azureStyle", "googleStyle", "googleQuery")
_MANAGED_FAILURES = (
    "400",
    "401",
    "403",
    "404",
    "408",
    "409",
    "413",
    "415",
    "421",
    "429",
    "500",
    "503",
)
_PAGE_FAILURES = ("400", "401", "403", "404", "421", "429", "500", "503")


_KEPT: dict[bool, bytes] = {}


def document(managed: dict[str, Any] | None = None) -> bytes:
    """The description as JSON.

    ``managed`` is the admin room's part, ``paths`` and ``schemas``; without it, its rows are left out.
    """
    kept = _KEPT.get(managed is not None)
    if kept is None:
        kept = _KEPT[managed is not None] = _made(managed or {"paths": {}, "schemas": {}})
    return kept


def _made(managed: dict[str, Any]) -> bytes:
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        if route.page == "managed":
            shown = route.path.replace(":path}", "}")
            row = managed["paths"].get(shown, {})
            if route.method.lower() in row:
                operation = dict(row[route.method.lower()])
                paths.setdefault(shown, {})[route.method.lower()] = _managed(route, operation)
            continue
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
            "schemas": {**managed["schemas"], "Failure": _ERROR["chat"]},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
                "azureStyle": {"type": "apiKey", "in": "header", "name": "api-key"},
                "googleStyle": {"type": "apiKey", "in": "header", "name": "x-goog-api-key"},
                "googleQuery": {"type": "apiKey", "in": "query", "name": "key"},
            },
        },
    }
    return msgspec.json.encode(described)


def _managed(route: Route, operation: dict[str, Any]) -> dict[str, Any]:
    """An operation of the admin room, with what all of them have in common."""
    if route.permission != "public":
        operation["security"] = [{scheme: []} for scheme in _SCHEMES]
    failure = {"application/json": {"schema": {"$ref": "#/components/schemas/Failure"}}}
    operation["responses"] = {
        **operation["responses"],
        **{
            status: {"description": _FAILURES[status], "content": failure}
            for status in _MANAGED_FAILURES
            if route.permission != "public" or status != "401"
        },
    }
    return operation


def _operation(route: Route) -> dict[str, Any]:
    path = route.path.replace("{id:path}", "by_id").replace("{id}", "by_id")
    path = path.replace("/{name}/{path:path}", "")
    name = f"{route.method.lower()}{path}"
    name = name.replace("{model:path}:", "")
    found: dict[str, Any] = {
        "summary": route.summary,
        "operationId": name.replace("/", "_").replace(".", "_"),
        "tags": [route.operation or str(route.page)],
        "responses": _responses(route),
    }
    if route.permission != "public":
        found["security"] = [{scheme: []} for scheme in _SCHEMES]
    body = _body_of(route)
    if body is not None:
        found["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": body}},
        }
    parameters: list[dict[str, Any]] = list(_QUERIES.get(str(route.page), []))
    if route.operation is not None:
        parameters += _HEADERS
    if route.page == "stream":
        parameters.append(_LAST_EVENT)
    parameters += [
        {"name": name, "in": "path", "required": True, "schema": _TEXT}
        for name in ("id", "model", "name", "path")
        if f"{{{name}:path}}" in route.path or f"{{{name}}}" in route.path
    ]
    if parameters:
        found["parameters"] = parameters
    return found


def _body_of(route: Route) -> dict[str, Any] | None:
    if route.page == "show":
        return _body("model", model=_NAMED)
    if route.operation is None:
        return None
    return _BODIES.get((route.dialect, route.operation), {"type": "object"})


def _responses(route: Route) -> dict[str, Any]:
    content: dict[str, Any] = {"application/json": {"schema": {"type": "object"}}}
    if route.operation == "chat" and route.streams != "never":
        content[DIALECTS[route.dialect].stream_content_type.partition(";")[0]] = {"schema": _TEXT}
    if route.page in _SHEETS:
        content |= {"text/csv": {"schema": _TEXT}, "application/jsonl": {"schema": _TEXT}}
    if route.page == "stream":
        content = {"text/event-stream": {"schema": _TEXT}}
    if route.page == "service":
        # Whatever the service answers, with its own status.
        return {"default": {"description": "As the service answers, or a failure of ours"}}
    if route.page == "metrics":
        content = {"text/plain": {"schema": _TEXT}}
    schema = _ERROR.get(route.dialect, _ERROR["chat"])
    if route.page is not None and route.dialect == "chat" and route.home is None:
        # A page speaks as whoever asks does, by its own headers.
        schema = {"anyOf": [_ERROR[family] for family in ("chat", "anthropic", "gemini")]}
    if route.flavour == "openrouter":
        schema = _OPENROUTERS
    done: dict[str, Any] = {"200": {"description": "As asked", "content": content}}
    failures = {status: _FAILURES[status] for status in _PAGE_FAILURES}
    if route.operation is not None:
        failures = _FAILURES
    elif route.page == "socket":
        done = {"101": {"description": "A WebSocket, of which OpenAPI can say no more"}}
        failures |= _NO_SOCKET
    return {
        **done,
        **{
            status: {
                "description": description,
                "content": {"application/json": {"schema": schema}},
            }
            for status, description in failures.items()
        },
    }
