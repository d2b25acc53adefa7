"""The names under which older programs know the library: ``from api.openrouter import get_response`` (R-ADD-002).

``stand_in_as("api")`` gives those imports something to find; nothing is registered unless somebody asks for it.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import msgspec

from dragoman import __version__
from dragoman.attempt.ports import UpstreamRequest
from dragoman.core.errors import UpstreamError
from dragoman.library import own
from dragoman.library.engines import own_folder, settings_now
from dragoman.library.failures import CallError
from dragoman.library.json_file import read_json
from dragoman.library.keys import get_api_key
from dragoman.library.messages import Message
from dragoman.library.response import get_response
from dragoman.library.templates import API_LOG, DEFAULT_CONFIG_TEMPLATE
from dragoman.transport import blocking
from dragoman.transport.http import open_transport

__all__ = [
    "DEFAULT_CONFIG_TEMPLATE",
    "APIConnect",
    "APIUsageTracker",
    "OpenRouterClient",
    "get_response",
    "stand_in_as",
]
_LARGEST = 1024 * 1024


class APIConnect:
    """Keys of providers."""

    @staticmethod
    def get_api_key(provider: str = "openrouter") -> str:
        """As ``dragoman.get_api_key``."""
        return get_api_key(provider)


class OpenRouterClient:
    """Calls of models."""

    @staticmethod
    def get_response(
        messages: Sequence[Message] | None = None,
        model: str | None = None,
        caller: str | None = None,
        **options: Any,
    ) -> str | None:
        """As ``dragoman.get_response``."""
        return get_response(messages, model, caller, **options)


class APIUsageTracker:
    """What generations took, by OpenRouter's own account."""

    @staticmethod
    def track_usage(caller: str, generation_id: str, model: str) -> dict[str, Any]:
        """Asks what a generation took, and adds it to the caller's usage unless its call was counted (R-USE-002).

        Returns:
            OpenRouter's ``data`` of the generation.

        Raises:
            GatewayError: there is no key, no such generation, or no answer.
        """
        if not generation_id.strip():
            raise CallError("generation_id is empty: say which one.", code="invalid_generation")
        settings = settings_now()
        folder = own_folder(settings)
        own.ensure(folder)
        infra = own.read_infrastructure(folder)
        data = blocking.run(_generation(infra.base_url, get_api_key(), generation_id))
        entries = (read_json(folder / API_LOG) or {}).get("logs") or ()
        if not any(entry.get("generation_id") == generation_id for entry in entries):
            own.note_call(folder, _told(caller, generation_id, model, data))
        return data


def _told(caller: str, generation_id: str, model: str, data: dict[str, Any]) -> own.Told:
    sent, made, cost = (data.get(n) for n in ("tokens_prompt", "tokens_completion", "total_cost"))
    known = isinstance(sent, int) and isinstance(made, int)
    return own.Told(
        caller=caller,
        model=model,
        succeeded=True,
        generation_id=generation_id,
        tokens=int(sent or 0) + int(made or 0) if known else None,
        cost=None if cost is None else Decimal(str(cost)),
        latency_ms=float(data.get("latency") or 0),
    )


async def _generation(base_url: str, key: str, generation_id: str) -> dict[str, Any]:
    transport = open_transport()
    request = UpstreamRequest(
        "GET",
        f"{base_url.rstrip('/')}/generation?id={quote(generation_id, safe='')}",
        {"authorization": f"Bearer {key}", "user-agent": f"dragoman/{__version__}"},
        first_byte_timeout_s=30,
    )
    try:
        reply = await transport.send(request)
        body = await reply.read(_LARGEST)
        await reply.close()
    finally:
        await transport.close()
    try:
        data = msgspec.json.decode(body)["data"]
        return dict(data)
    except (msgspec.DecodeError, KeyError, TypeError, ValueError):
        told = f"OpenRouter tells nothing of the generation {generation_id[:64]} ({reply.status})."
        raise UpstreamError("upstream", told, provider="openrouter") from None


def stand_in_as(name: str = "api") -> None:
    """Has ``NAME.openrouter``, ``NAME.api_connect`` and ``NAME.api_usage`` be these names for this process.

    Raises:
        ImportError: another package of that name was imported already.
    """
    there = sys.modules.get(name)
    if there is not None and not hasattr(there, "__dragoman__"):
        raise ImportError(f"a package {name!r} was imported already: choose another name")
    package = types.ModuleType(name, "Older names of dragoman.library.")
    package.__path__ = []
    package.__dict__["__dragoman__"] = True
    own_module = sys.modules[__name__]
    sys.modules[name] = package
    for each in ("openrouter", "api_connect", "api_usage"):
        sys.modules[f"{name}.{each}"] = own_module
        setattr(package, each, own_module)
