"""Asks providers what an answer or a day has cost, and how an account stands, each with its own key.

What to ask and how to read it is data of the provider's file (``catalog/lookups.py``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TypeVar

from dragoman import __version__
from dragoman.attempt.ports import Transport, UpstreamRequest
from dragoman.catalog.base_url import origin_of
from dragoman.catalog.lookups import (
    Account,
    Credits,
    Looked,
    Lookup,
    Report,
    UnreadableError,
    lookup_path,
    read_credits,
    read_lookup,
    read_report,
    report_path,
)
from dragoman.core.errors import UpstreamError
from dragoman.core.provider import Credential, Provider
from dragoman.core.secret import Secret
from dragoman.credentials.static import header_of

TIMEOUT_S = 15.0
_LIMIT = 8 * 1024 * 1024
_OK = 200
_MOST_PAGES = 50


async def ask_generation(
    provider: Provider,
    lookup: Lookup,
    credential: Credential | None,
    upstream_id: str,
    transport: Transport,
) -> Looked | None:
    """What the provider tells of an answer; None: it does not know of it yet.

    Raises:
        UpstreamError: it cannot be asked, refuses, or says something else than its file says.
    """
    path = lookup_path(lookup, upstream_id)
    answer = await _ask(provider, header_of(provider, credential), path, transport)
    if answer[0] in lookup.not_yet:
        return None
    return _read(read_lookup, lookup, answer, provider)


async def ask_credits(
    provider: Provider, credits_: Credits, credential: Credential | None, transport: Transport
) -> Account:
    """How the account of a key stands.

    Raises:
        UpstreamError: as ``ask_generation``.
    """
    headers = header_of(provider, credential)
    answer = await _ask(provider, headers, credits_.path, transport)
    return _read(read_credits, credits_, answer, provider)


async def ask_report(
    provider: Provider, report: Report, admin_key: Secret, day: int, transport: Transport
) -> dict[str, Decimal]:
    """What the provider charges for a UTC day, in USD by its own names of models.

    Raises:
        UpstreamError: as ``ask_generation``.
    """
    credential = Credential("admin", admin_key, origin_of(provider.base_url))
    headers = header_of(provider, credential)
    costs: dict[str, Decimal] = {}
    page: str | None = None
    for _ in range(_MOST_PAGES):
        answer = await _ask(provider, headers, report_path(report, day, page), transport)
        found = _read(read_report, report, answer, provider)
        for model, usd in found.costs.items():
            costs[model] = costs.get(model, Decimal(0)) + usd
        page = found.next
        if page is None:
            break
    return costs


async def _ask(
    provider: Provider, headers: Mapping[str, str], path: str, transport: Transport
) -> tuple[int, bytes]:
    sent = {
        "accept": "application/json",
        "user-agent": f"dragoman/{__version__}",
        **provider.headers,
        **headers,
    }
    question = UpstreamRequest("GET", provider.base_url + path, sent, None, TIMEOUT_S, TIMEOUT_S)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            reply = await transport.send(question)
            try:
                return reply.status, await reply.read(_LIMIT)
            finally:
                await reply.close()
    except TimeoutError:
        raise UpstreamError("timeout", f"{provider.name} did not answer in time.") from None


T = TypeVar("T")
Q = TypeVar("Q")


def _read(
    way: Callable[[Q, bytes], T], question: Q, answer: tuple[int, bytes], provider: Provider
) -> T:
    status, body = answer
    if status != _OK:
        raise UpstreamError(
            "upstream", f"{provider.name} answered {status}.", upstream_status=status
        )
    try:
        return way(question, body)
    except UnreadableError as error:
        raise UpstreamError(
            "upstream", f"{provider.name}'s answer cannot be read: {error}."
        ) from None
