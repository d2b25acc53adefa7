"""What the library raises: one kind of exception, with the sentence that its caller reads."""

from __future__ import annotations

from dragoman.core.errors import GatewayError, Kind


class CallError(GatewayError):
    """A call of the library that gives no answer; ``code`` is for programs, the text for people."""

    def __init__(
        self,
        message: str,
        *,
        code: str,
        kind: Kind = "invalid_request",
        status: int | None = None,
        provider: str | None = None,
    ) -> None:
        super().__init__(kind, message, code=code, status=status, provider=provider)

    def __str__(self) -> str:
        return self.message


NO_MODEL = "Caller '{caller}' must specify a model from their config"
"""Word for word (R-CFG-011)."""
PROVISIONED = NO_MODEL + (
    ". Config was created at {path}: reload it, pass its ai_model as model, and retry."
)
"""What the call is told that found no config (R-CFG-007)."""
NOT_PROVISIONED = (
    "Caller '{caller}' has no API config at {path}, and auto_provision is false in {own}: "
    "create the file, or set auto_provision to true."
)
CALLER_OFF = "Caller '{caller}' is disabled: enabled is false in {path}"
HOUSE_OFF = "The API is disabled: enabled is false in {path}"
EMPTY = 'No messages were given: say messages=[…] or prompt="…"'
BOTH = "messages and prompt were both given: say one of them"
