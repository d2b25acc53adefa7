"""The providers' own routers: each provider's paths and dialect under a prefix, whoever serves.

An SDK of the provider works with the prefix as its base URL, with the paths that it adds itself:
Anthropic's adds ``/v1``, Groq's ``/openai/v1``, Google's ``/v1beta`` (R-ADD-019). A router's model strings are
looked for at its provider first (D12); its switch turns all of it into 404.
"""

from __future__ import annotations

from msgspec.structs import replace

from dragoman.surface.route import Page, Route, Switch

ROUTERS: dict[str, tuple[str, Switch]] = {
    "/v2": ("google", "enable_gemini_routes"),
    "/v3": ("anthropic", "enable_anthropic_routes"),
    "/v4": ("groq", "enable_groq_routes"),
    "/v5": ("ollama", "enable_ollama_routes"),
    "/v6": ("openrouter", "enable_openrouter_routes"),
}
"""Prefix → whose router it is, and what switches it."""


def router_at(path: str) -> tuple[str, Switch] | None:
    """Whose router a path is on, and what switches it."""
    return ROUTERS.get(path[:3]) if path[3:4] == "/" else None


def homed(row: Route) -> Route:
    """The row with what holds for all of its router; one under no router's prefix stays as it is."""
    found = router_at(row.path)
    if found is None:
        return row
    home, switch = found
    own = home == "openrouter" and row.dialect == "chat"
    return replace(row, home=home, switch=switch, flavour=home if own else "")


def _data(path: str, like: Route) -> Route:
    return replace(like, path=path, method="POST", permission="completions", page=None)


def _lists(base: str, summary: str, like: Route) -> list[Route]:
    return [
        replace(
            like, method="GET", path=base, permission="models", summary=summary, page="models"
        ),
        replace(
            like,
            method="GET",
            path=f"{base}/{{id:path}}",
            permission="models",
            summary="One model; the id may hold slashes",
            page="model",
        ),
    ]


def kept_rows(base: str) -> list[Route]:
    """What can be asked about a response by its id, wherever responses are made."""
    about: tuple[tuple[str, str, Page, str], ...] = (
        ("GET", "", "response", "A response that is kept, whole or as the stream that it was"),
        ("DELETE", "", "response_delete", "Removes a response that is kept"),
        ("GET", "/input_items", "response_items", "What was said before a response, in pages"),
        ("POST", "/cancel", "response_cancel", "Cancels a response made in the background"),
    )
    return [
        Route(
            method,
            f"{base}/{{id}}{rest}",
            "completions",
            summary,
            dialect="responses",
            page=page,
        )
        for method, rest, page, summary in about
    ]


_CHAT = Route(
    "POST",
    "",
    "completions",
    "A chat completion, whole or streamed, in the dialect of OpenAI's and its kin",
    operation="chat",
)
_EMBEDDINGS = replace(_CHAT, operation="embeddings", summary="Vectors for texts", streams="never")
_RESPONSES = replace(_CHAT, dialect="responses", summary="A response, whole or streamed")
_RESPONSES_COUNT = replace(
    _RESPONSES,
    operation="count_tokens",
    summary="The input tokens of a response's request, counted or as a labelled estimate",
    streams="never",
)
_COMPLETIONS = replace(_CHAT, dialect="completions", summary="A completion of a text")
_MESSAGES = replace(_CHAT, dialect="anthropic", summary="A message, whole or streamed")
_COUNT = replace(
    _MESSAGES,
    operation="count_tokens",
    summary="The input tokens of a message, by the provider's own counter or as a labelled estimate",
    streams="never",
)
_PAGE = Route("GET", "", "models", "", page="models")

_ANTHROPIC = [
    row
    for base in ("/v3", "/v3/v1")
    for row in (
        _data(f"{base}/messages", _MESSAGES),
        _data(f"{base}/messages/count_tokens", _COUNT),
        *_lists(
            f"{base}/models",
            "The models that can be asked for, as Anthropic lists its own",
            replace(_PAGE, dialect="anthropic"),
        ),
    )
]


def _openai(base: str, listing: str) -> list[Route]:
    """What OpenAI's clients ask for, of a provider that speaks as it does."""
    return [
        _data(f"{base}/chat/completions", _CHAT),
        _data(f"{base}/embeddings", _EMBEDDINGS),
        _data(f"{base}/responses", _RESPONSES),
        _data(f"{base}/responses/input_tokens", _RESPONSES_COUNT),
        *kept_rows(f"{base}/responses"),
        *_lists(f"{base}/models", listing, _PAGE),
    ]


_GROQ = [
    row
    for base in ("/v4", "/v4/openai/v1")
    for row in _openai(base, "The models that can be asked for")
]
_OPENROUTER = [
    row
    for base in ("/v6", "/v6/api/v1")
    for row in (
        *_openai(
            base,
            "The models that can be asked for, with prices and sizes as OpenRouter lists its own",
        ),
        _data(f"{base}/completions", _COMPLETIONS),
        _data(f"{base}/messages", _MESSAGES),
        Route(
            "GET",
            f"{base}/generation",
            "usage",
            "What one call consumed, by its id in the query",
            page="generation",
        ),
        Route(
            "GET",
            f"{base}/credits",
            "usage",
            "What the presented key has spent",
            page="credits",
        ),
        *(
            Route("GET", base + path, "usage", "The presented key and its usage", page="key")
            for path in ("/key", "/auth/key")
        ),
    )
]
_GEMINI = [
    row
    for base in ("/v1beta", "/v2", "/v2/v1beta", "/v2/v1")
    for row in _lists(
        f"{base}/models",
        "The models that can be asked for, as Gemini lists its own",
        replace(_PAGE, dialect="gemini", switch="enable_gemini_routes"),
    )
]
_OLLAMA = [
    replace(row, path=base + row.path, dialect="ollama", switch="enable_ollama_routes")
    for base in ("", "/v5")
    for row in (
        Route("GET", "/api/tags", "models", "The models that can be asked for", page="models"),
        Route("POST", "/api/show", "models", "What is known of one model", page="show"),
        Route("GET", "/api/version", "models", "The gateway's version", page="version"),
        Route("GET", "/api/ps", "models", "Models held in memory: none", page="loaded"),
    )
]
_OLLAMA_KIN = [
    *_openai("/v5/v1", "The models that can be asked for"),
    _data("/v5/v1/completions", _COMPLETIONS),
    _data("/v5/v1/messages", _MESSAGES),
]
"""The dialects of others that Ollama speaks beside its own."""

ROWS: tuple[Route, ...] = (
    *_GEMINI,
    *_ANTHROPIC,
    *_GROQ,
    *_OLLAMA,
    *_OLLAMA_KIN,
    *_OPENROUTER,
)
"""The routers' rows, and the lists of the dialects that have paths of their own."""
