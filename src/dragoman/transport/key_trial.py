"""Tries a key at its provider, by a request that costs nothing: its list of models, or what its file names.

Whether a key is good is the provider's to say; a provider that cannot be asked for nothing is not asked.
"""

from __future__ import annotations

import asyncio
from typing import Literal, TypeAlias

from msgspec import Struct

from dragoman import __version__
from dragoman.attempt.ports import Transport, UpstreamRequest
from dragoman.catalog.registry import Registry
from dragoman.catalog.schema import Definition
from dragoman.catalog.service import PREFIX
from dragoman.core.errors import HouseError, UpstreamError
from dragoman.core.provider import Credential, Provider
from dragoman.credentials.own import Opened
from dragoman.credentials.static import header_of

TIMEOUT_S = 10.0
_ENOUGH = 64 * 1024
_UNAUTHORIZED, _FORBIDDEN, _BAD, _LIMITED = 401, 403, 400, 429

Outcome: TypeAlias = Literal["good", "refused", "unclear", "not tried"]


class Trial(Struct, frozen=True):
    """What came of it."""

    outcome: Outcome
    said: str
    """One sentence, without anything of the key."""
    status: int | None = None
    """The provider's."""


async def try_key(
    provider: Provider, definition: Definition, credential: Credential, transport: Transport
) -> Trial:
    """Whether the provider takes the credential now."""
    path = definition.key_format.check_path or definition.paths.get("models", "")
    if not path:
        return Trial(
            "not tried", f"{provider.name} has nothing that can be asked for without paying."
        )
    try:
        headers = {
            "accept": "application/json",
            "user-agent": f"dragoman/{__version__}",
            **provider.headers,
            **header_of(provider, credential),
        }
    except HouseError:
        return Trial(
            "not tried", f"{provider.name} is at another address now than the key was stored for."
        )
    question = UpstreamRequest(
        "GET", provider.base_url + path, headers, None, TIMEOUT_S, TIMEOUT_S
    )
    try:
        async with asyncio.timeout(TIMEOUT_S):
            reply = await transport.send(question)
            try:
                status = reply.status
                if status < _BAD:
                    await reply.read(_ENOUGH)
            finally:
                await reply.close()
    except UpstreamError as error:
        if error.sent != "yes":
            return Trial("unclear", f"{provider.name} cannot be reached: {error.message}")
        status = reply.status
    except TimeoutError:
        return Trial("unclear", f"{provider.name} did not answer within {TIMEOUT_S:g} s.")
    return _judged(provider, status)


def _judged(provider: Provider, status: int) -> Trial:
    name = provider.name
    # Google says 400 of a key that it does not know.
    bad = {_UNAUTHORIZED, _FORBIDDEN, *({_BAD} if provider.family == "gemini" else ())}
    if status in bad:
        return Trial("refused", f"{name} refuses it (status {status}).", status)
    if status < _BAD:
        return Trial("good", f"{name} takes it.", status)
    if status == _LIMITED:
        return Trial("good", f"{name} knows it, and has had enough of it for now.", status)
    return Trial("unclear", f"{name} answered {status}, which says nothing of the key.", status)


async def try_own(opened: Opened, registry: Registry, transport: Transport) -> Trial:
    """Whether its provider takes a tenant's credential now; it is sent to its own address alone."""
    own = opened.credential
    if own.provider.startswith(PREFIX):
        return Trial("not tried", f"{own.provider} has nothing that is known to cost nothing.")
    provider = registry.reachable(own.provider)
    if provider is None:
        return Trial("not tried", f"There is no provider {own.provider} here any more.")
    credential = Credential(own.id, opened.secret, own.origin)
    return await try_key(provider, registry.definitions[own.provider], credential, transport)
