"""What comes back of a call: the words, and what it took; read from a chat completion, wherever it was made."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Struct

from dragoman.core.errors import UpstreamError


class Reply(Struct, frozen=True):
    """An answer. A number that nobody has told is None, never a guess."""

    text: str
    """The assistant's words; empty where it only calls tools."""
    message: dict[str, Any]
    """The whole message as it came, tool calls included."""
    model: str | None
    """As the provider wrote it."""
    served_by: str | None
    """``provider/model``."""
    caller: str
    generation_id: str | None
    """What the provider calls the answer."""
    finish_reason: str | None
    usage: dict[str, Any] | None
    """As it was reported."""
    tokens: int | None
    cost_usd: Decimal | None
    call_id: str | None
    """For ``dragoman explain``."""
    latency_ms: float = 0.0

    @property
    def tool_calls(self) -> list[dict[str, Any]]:
        """The tools that it calls; ``parallel`` runs them."""
        return list(self.message.get("tool_calls") or ())


class Came(Struct, frozen=True):
    """What an engine brings home."""

    body: bytes
    served_by: str | None
    cost_usd: Decimal | None
    call_id: str | None
    generation_id: str | None = None


_DECODER = msgspec.json.Decoder(dict[str, Any])


def read_reply(came: Came, caller: str) -> Reply:
    """The answer in a chat completion.

    Raises:
        UpstreamError: it is none.
    """
    try:
        body = _DECODER.decode(came.body)
        choice = body["choices"][0]
        message = choice["message"]
        text = _spoken(message.get("content"))
    except (msgspec.DecodeError, KeyError, IndexError, TypeError, AttributeError):
        raise UpstreamError("upstream", "The answer is no chat completion.") from None
    usage = body.get("usage")
    usage = usage if isinstance(usage, dict) else None
    return Reply(
        text=text,
        message=message,
        model=body.get("model"),
        served_by=came.served_by,
        caller=caller,
        generation_id=came.generation_id or body.get("id"),
        finish_reason=choice.get("finish_reason"),
        usage=usage,
        tokens=_tokens(usage),
        cost_usd=came.cost_usd,
        call_id=came.call_id,
    )


def _spoken(content: Any) -> str:
    """Words of a message's content; some services send them in parts, beside their thoughts."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text", "")) for part in content if part.get("type") == "text")


def _tokens(usage: dict[str, Any] | None) -> int | None:
    if usage is None:
        return None
    if isinstance(total := usage.get("total_tokens"), int):
        return total
    parts = [usage.get("prompt_tokens"), usage.get("completion_tokens")]
    return None if None in parts else sum(int(part) for part in parts if part is not None)
