"""Errors as each service writes them: status, body, headers (`dialects.md` §1.1, §1.3, §1.7, §1.8)."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct

from dragoman.mock.persona import Persona
from dragoman.mock.reply import Headers

__all__ = ["Dialect", "Fault", "error_body", "error_headers"]

Dialect: TypeAlias = Literal["chat", "anthropic", "ollama", "gemini"]

_quoted = msgspec.json.Encoder().encode

_CHAT_TYPES: dict[int, tuple[str, str | None]] = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("permission_error", None),
    404: ("invalid_request_error", "model_not_found"),
    413: ("invalid_request_error", "request_too_large"),
    429: ("requests", "rate_limit_exceeded"),
    503: ("server_error", "overloaded"),
}
_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_GOOGLE = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_MESSAGES = {
    400: "The mock does not like this request.",
    401: "Incorrect API key provided.",
    402: "The mock's balance is used up.",
    403: "The mock does not let you.",
    404: "The model does not exist or you do not have access to it.",
    429: "Rate limit reached. Please try again later.",
    500: "The server had an error while processing your request.",
    503: "The engine is currently overloaded, please try again later.",
    529: "Overloaded",
}


class Fault(Struct, frozen=True):
    """One failure; what is left out is what the service usually says for the status."""

    status: int
    message: str | None = None
    type: str | None = None
    code: str | None = None
    param: str | None = None
    retry_after: str | None = None

    @property
    def text(self) -> str:
        """The message, or the usual one."""
        return self.message or _MESSAGES.get(self.status, f"The mock fails with {self.status}.")


def error_body(fault: Fault, dialect: Dialect, as_: Persona, number: int) -> bytes:
    """The body of an error reply; in a stream the same stands in its error frame."""
    if dialect == "anthropic":
        kind = fault.type or _ANTHROPIC_TYPES.get(fault.status, "api_error")
        return b'{"type":"error","error":{"type":%b,"message":%b},"request_id":"req_mock%06d"}' % (
            _quoted(kind),
            _quoted(fault.text),
            number,
        )
    if dialect == "ollama":
        return b'{"error":%b}' % _quoted(fault.text)
    if dialect == "gemini":
        return _quoted({"error": _google(fault)})
    usual_type, usual_code = _CHAT_TYPES.get(fault.status, ("server_error", None))
    kind, code = fault.type or usual_type, fault.code or usual_code
    match as_.name:
        case "openrouter":
            # The code is the HTTP status, as a number; there is no type.
            return b'{"error":{"message":%b,"code":%d},"user_id":"user_mock"}' % (
                _quoted(fault.text),
                fault.status,
            )
        case "mistral":
            return b'{"object":"error","message":%b,"type":%b,"param":%b,"code":%b}' % (
                _quoted(fault.text),
                _quoted(kind),
                _quoted(fault.param),
                _quoted(code),
            )
        case _:
            return b'{"error":{"message":%b,"type":%b,"param":%b,"code":%b}}' % (
                _quoted(fault.text),
                _quoted(kind),
                _quoted(fault.param),
                _quoted(code),
            )


def _google(fault: Fault) -> dict[str, object]:
    """Google's error; what the code says elsewhere is the reason among its details."""
    told: dict[str, object] = {
        "code": fault.status,
        "message": fault.text,
        "status": fault.type or _GOOGLE.get(fault.status, "INTERNAL"),
    }
    details: list[dict[str, object]] = []
    if fault.code is not None:
        details.append({**_info("ErrorInfo"), "reason": fault.code, "domain": "googleapis.com"})
    if fault.retry_after is not None and fault.retry_after.isdecimal():
        details.append({**_info("RetryInfo"), "retryDelay": f"{fault.retry_after}s"})
    return {**told, "details": details} if details else told


def _info(name: str) -> dict[str, object]:
    return {"@type": f"type.googleapis.com/google.rpc.{name}"}


def error_headers(fault: Fault, dialect: Dialect, number: int) -> Headers:
    """The request's id in the dialect's header, and when to come back: after 1 s, if 429."""
    name = "request-id" if dialect == "anthropic" else "x-request-id"
    headers = ((name, f"req_mock{number:06d}"),)
    after = fault.retry_after or ("1" if fault.status == 429 else "none")
    return headers if after == "none" else (*headers, ("retry-after", after))
