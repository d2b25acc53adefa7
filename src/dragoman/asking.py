"""Providers asked by a command what an answer has cost and how an account stands, without any server.

``transport/lookups.py`` asks; here it meets the settings, the catalogue and the keys, as ``afterwards`` has the
server's own reconciliation meet them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

from dragoman.assembly.registry import open_registry
from dragoman.catalog.lookups import Account, Looked
from dragoman.catalog.registry import Registry
from dragoman.config.settings import Settings
from dragoman.core.errors import CallerError, UpstreamError
from dragoman.transport.http import open_transport
from dragoman.transport.lookups import ask_credits, ask_generation

T = TypeVar("T")


class Standing(NamedTuple):
    """How the account of one key stands; the key as it is safe to show."""

    provider: str
    credential: str
    account: Account


def answering(registry: Registry) -> tuple[str, ...]:
    """The configured providers that can be asked about an answer."""
    return tuple(name for name in registry.providers if registry.definitions[name].lookup)


async def generation(
    settings: Settings, env: Mapping[str, str], provider: str, upstream_id: str
) -> Looked | None:
    """What a provider tells of an answer, asked with each of its keys; None: none of them knows it.

    Raises:
        CallerError: the provider is not configured, or cannot be asked.
        UpstreamError: it refuses, or cannot be reached.
    """
    registry = open_registry(settings, env)
    lookup = _said(
        registry,
        provider,
        registry.definitions[provider].lookup if _has(registry, provider) else None,
    )
    transport = open_transport(settings.upstream_client, tls_ca=settings.upstream_ca_file)
    try:
        refusal: UpstreamError | None = None
        for key in registry.credentials.get(provider, ()):
            try:
                found = await ask_generation(
                    registry.providers[provider], lookup, key.credential, upstream_id, transport
                )
            except UpstreamError as error:
                refusal = error
                continue
            if found is not None:
                return found
        if refusal is not None:
            raise refusal
        return None
    finally:
        await transport.close()


async def standings(settings: Settings, env: Mapping[str, str], provider: str) -> list[Standing]:
    """How the accounts of all keys for a provider stand (R-USE-003).

    Raises:
        CallerError, UpstreamError: as ``generation``.
    """
    registry = open_registry(settings, env)
    way = _said(
        registry,
        provider,
        registry.definitions[provider].credits if _has(registry, provider) else None,
    )
    transport = open_transport(settings.upstream_client, tls_ca=settings.upstream_ca_file)
    try:
        return [
            Standing(
                provider,
                key.credential.id,
                await ask_credits(registry.providers[provider], way, key.credential, transport),
            )
            for key in registry.credentials.get(provider, ())
        ]
    finally:
        await transport.close()


def _has(registry: Registry, provider: str) -> bool:
    return provider in registry.providers and provider in registry.definitions


def _said(registry: Registry, provider: str, way: T | None) -> T:
    """How it is asked, if it is there and can be."""
    if not _has(registry, provider):
        raise CallerError(
            "invalid_request",
            f"{provider} is not configured: set its key first, {provider.upper().replace('-', '_')}_API_KEY.",
            code="configuration_error",
        )
    if way is None:
        raise CallerError(
            "invalid_request",
            f"{provider} cannot be asked for this: its provider file names no way.",
            code="configuration_error",
        )
    return way
