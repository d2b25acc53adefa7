"""Every route in one table: what it is, in which dialect it speaks, and who may use it.

A route without a permission stops the start (A4); authorisation is decided on the matched
row of this table, never on a URL (`reliability.md` §3.6 A3).
"""

from __future__ import annotations

from msgspec.structs import replace

from dragoman.core.ask import Streams
from dragoman.core.provider import Family, Operation
from dragoman.dialects.registry import DIALECTS, EMBEDDERS, UNARY
from dragoman.identity.permissions import PERMISSIONS
from dragoman.surface.managed_rows import MANAGED
from dragoman.surface.route import Page, Route, Switch
from dragoman.surface.routers import ROWS, homed, kept_rows
from dragoman.surface.socket_scope import CHAT

__all__ = ["ROUTES", "Page", "Route", "Switch", "check_table"]


def _gemini(method: str, operation: Operation, streams: Streams, summary: str) -> list[Route]:
    """One of Gemini's methods, under the versions that its clients ask for (D40), and on its router."""
    return [
        Route(
            "POST",
            f"{version}/models/{{model:path}}:{method}",
            "completions",
            summary,
            dialect="gemini",
            operation=operation,
            switch="enable_gemini_routes",
            streams=streams,
        )
        for version in ("/v1beta", "/v1", "/v2", "/v2/v1beta", "/v2/v1")
    ]


def _ollama(path: str, family: Family, operation: Operation, summary: str) -> list[Route]:
    """One of Ollama's paths."""
    return [
        Route(
            "POST",
            f"{prefix}/api/{path}",
            "completions",
            summary,
            dialect=family,
            operation=operation,
            switch="enable_ollama_routes",
            streams="unless_said" if operation == "chat" else "never",
        )
        for prefix in ("", "/v5")
    ]


_ALL: tuple[Route, ...] = (
    Route(
        "POST",
        "/v1/chat/completions",
        "completions",
        "A chat completion, whole or streamed, in OpenAI's dialect",
        operation="chat",
        switch="enable_openai_routes",
    ),
    Route(
        "POST",
        "/v1/embeddings",
        "completions",
        "Vectors for texts, in OpenAI's dialect",
        operation="embeddings",
        switch="enable_openai_routes",
    ),
    Route(
        "POST",
        "/v1/messages",
        "completions",
        "A message, whole or streamed, in Anthropic's dialect",
        dialect="anthropic",
        operation="chat",
        switch="enable_anthropic_routes",
    ),
    Route(
        "POST",
        "/v1/messages/count_tokens",
        "completions",
        "The input tokens of a message, by the provider's own counter or as a labelled estimate",
        dialect="anthropic",
        operation="count_tokens",
        switch="enable_anthropic_routes",
    ),
    Route(
        "POST",
        "/v1/responses",
        "completions",
        "A response, whole or streamed, in the dialect of OpenAI's Responses",
        dialect="responses",
        operation="chat",
        switch="enable_openai_routes",
    ),
    *(replace(row, switch="enable_openai_routes") for row in kept_rows("/v1/responses")),
    Route(
        "POST",
        "/v1/responses/input_tokens",
        "completions",
        "The input tokens of a response's request, counted or as a labelled estimate",
        dialect="responses",
        operation="count_tokens",
        switch="enable_openai_routes",
        streams="never",
    ),
    Route(
        "POST",
        "/v1/completions",
        "completions",
        "A completion of a text, in OpenAI's legacy dialect",
        dialect="completions",
        operation="chat",
        switch="enable_openai_routes",
    ),
    *_gemini("generateContent", "chat", "never", "Content, in Gemini's dialect"),
    *_gemini("streamGenerateContent", "chat", "always", "Streamed content, in Gemini's dialect"),
    *_gemini("countTokens", "count_tokens", "never", "Gemini's count of a request's tokens"),
    *_gemini("embedContent", "embeddings", "never", "A vector, in Gemini's dialect"),
    *_gemini("batchEmbedContents", "embeddings", "never", "Vectors, in Gemini's dialect"),
    *_ollama("chat", "ollama", "chat", "A chat, in Ollama's dialect"),
    *_ollama("generate", "generate", "chat", "A generated text, in Ollama's dialect"),
    *_ollama("embed", "ollama", "embeddings", "Vectors, in Ollama's dialect"),
    *_ollama("embeddings", "ollama", "embeddings", "A vector, in Ollama's older form"),
    *(
        Route(
            "GET",
            path,
            "models",
            "The models that can be asked for",
            page="models",
            switch="enable_models_routes",
        )
        for path in (
            "/v1/models",
            "/v1/chat/completions/models",
            "/v1/chat/completion/models",
        )
    ),
    Route(
        "GET",
        "/v1/models/{id:path}",
        "models",
        "One model; the id may hold slashes",
        page="model",
        switch="enable_models_routes",
    ),
    *ROWS,
    Route(
        "GET",
        "/v1/streams/{id}",
        "completions",
        "The rest of a recorded stream, from behind the event that Last-Event-ID names",
        page="stream",
    ),
    Route(
        "GET",
        CHAT,
        "completions",
        "Chat completions over a WebSocket: `docs/websocket.md`",
        page="socket",
        switch="enable_openai_routes",
    ),
    Route("GET", "/v1/usage", "usage", "What the presented key has used", page="usage"),
    Route(
        "GET",
        "/v1/recommend",
        "models",
        "Which models suit a task, and why",
        page="recommend",
        switch="enable_models_routes",
    ),
    Route(
        "GET",
        "/v1/admin/usage/export",
        "tenant",
        "Every call of the caller's tenant, as a file",
        page="calls",
        switch="enable_admin_routes",
    ),
    Route(
        "GET",
        "/api/admin/usage/export",
        "admin",
        "Every call of all tenants, as a file",
        page="all_calls",
        switch="enable_admin_routes",
    ),
    *(
        Route(
            "POST",
            f"{prefix}/admin/config/reload",
            "admin",
            "Reads the configuration file again; a bad one changes nothing",
            page="reload",
            switch="enable_admin_routes",
        )
        for prefix in ("", "/api")
    ),
    *(
        Route(
            "POST",
            f"{prefix}/admin/models/refresh-provider-counts",
            "admin",
            "Has every provider's list of models fetched anew",
            page="refresh",
            switch="enable_admin_routes",
        )
        for prefix in ("", "/api")
    ),
    Route(
        "GET",
        "/v1/requests/{id}/explain",
        "usage",
        "What became of one call: candidates, attempts, times, losses and cost",
        page="explain",
    ),
    Route(
        "GET",
        "/v1/requests/{id}/bodies",
        "tenant",
        "What was asked and answered, where it is kept for the tenant",
        page="bodies",
        switch="enable_admin_routes",
    ),
    Route(
        "DELETE",
        "/v1/requests/{id}/bodies",
        "tenant",
        "Removes what is kept of a call's request and answer",
        page="bodies_delete",
        switch="enable_admin_routes",
    ),
    Route(
        "GET", "/services", "services", "Other services of the caller's tenant", page="services"
    ),
    *(
        Route(
            method,
            "/services/{name}/{path:path}",
            "services",
            "Passes a call on to another service, with the tenant's credential",
            page="service",
        )
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
    ),
    *MANAGED,
    Route("GET", "/health", "public", "Whether the process lives", page="health"),
    Route("GET", "/ready", "public", "Whether requests can be served", page="ready"),
    Route("GET", "/metrics", "public", "Prometheus metrics", page="metrics"),
    Route("GET", "/openapi.json", "public", "This interface as OpenAPI", page="openapi"),
    Route("GET", "/api/openapi.json", "public", "This interface as OpenAPI", page="openapi"),
)


def is_served(row: Route) -> bool:
    """Whether the row's dialect is there, and can say the row's operation."""
    embeds = row.dialect in EMBEDDERS or ("embeddings", row.dialect) in UNARY
    return row.dialect in DIALECTS and (row.operation != "embeddings" or embeds)


ROUTES: tuple[Route, ...] = tuple(homed(row) for row in _ALL if is_served(row))


def check_table(routes: tuple[Route, ...] = ROUTES) -> None:
    """Refuses a table with a row that says nothing of permission, or is neither data nor page.

    Raises:
        ValueError: names the row.
    """
    for route in routes:
        if route.permission not in PERMISSIONS:
            raise ValueError(f"{route.method} {route.path} declares no permission that there is.")
        if (route.operation is None) == (route.page is None):
            raise ValueError(f"{route.method} {route.path} must be a data route or a page.")
