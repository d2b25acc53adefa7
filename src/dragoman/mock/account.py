"""What OpenRouter tells afterwards: what an answer came to, some time after it, and how the account stands.

Both are told from the truth log: what went out on the wire, whatever the answer's own usage said.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from decimal import Decimal

import msgspec

from dragoman.mock.ask import Refused
from dragoman.mock.reply import Reply, json_reply
from dragoman.mock.truth import Entry

__all__ = ["credits_of", "generation", "generation_id"]

_CREDITS = 100
_A_TOKEN = Decimal("0.000001")
"""The mock's own price, as its answers have it."""
_OURS = "chatcmpl-mock"


def generation_id(number: int) -> str:
    """What the answer to a request is called."""
    return f"{_OURS}{number:06d}"


def generation(wanted: str, entries: Iterable[Entry], delay_ms: float, factor: float) -> Reply:
    """What the answer of that id came to; it is 404 until ``delay_ms`` after the answer's end."""
    logged = f"req_mock{wanted.removeprefix(_OURS)}" if wanted.startswith(_OURS) else ""
    entry = next((each for each in reversed(list(entries)) if each.id == logged), None)
    known = entry is not None and entry.ended is not None and entry.status == 200
    if entry is None or not known or time.time() < (entry.ended or 0) + delay_ms / 1000:
        raise Refused(f"Generation {wanted} not found", status=404, code="404")
    cost = _cost(entry) * Decimal(str(factor))
    data = {
        "id": wanted,
        "model": entry.model,
        "total_cost": float(cost),
        "usage": float(cost),
        "is_byok": False,
        "upstream_inference_cost": None,
        "cancelled": entry.left is not None,
        "streamed": entry.stream,
        "provider_name": "Mock",
        "generation_time": round(((entry.ended or 0) - entry.time) * 1000),
        "latency": 1,
        "tokens_prompt": entry.input,
        "tokens_completion": entry.output,
        "native_tokens_prompt": entry.input,
        "native_tokens_completion": entry.output,
        "native_tokens_cached": entry.cached,
        "native_tokens_reasoning": None,
        "native_tokens_completion_images": None,
    }
    return json_reply(200, msgspec.json.encode({"data": data}))


def credits_of(entries: Iterable[Entry]) -> Reply:
    """What has been paid in, and what is used of it."""
    used = sum((_cost(each) for each in entries if "/openrouter/" in each.path), Decimal(0))
    return json_reply(
        200,
        msgspec.json.encode({"data": {"total_credits": _CREDITS, "total_usage": float(used)}}),
    )


def _cost(entry: Entry) -> Decimal:
    return (entry.input + entry.output) * _A_TOKEN
