"""One answer looked up by a command: in the ledger, at its provider, and kept where it was made elsewhere."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from dragoman.accounting.entry import Consumed, Entry, RequestRow
from dragoman.accounting.ports import Line, Scope
from dragoman.accounting.price import settle
from dragoman.accounting.reconcile import decided
from dragoman.asking import generation
from dragoman.assembly.registry import open_registry
from dragoman.catalog.lookups import Looked
from dragoman.config.settings import Settings
from dragoman.core.errors import GatewayError
from dragoman.core.ids import uuid7
from dragoman.core.money import to_pico
from dragoman.stores import open_views

if TYPE_CHECKING:
    from dragoman.store.sql.settling import SqlSettling

USUAL = "openrouter"
MANUAL_KEY = "manual"
"""In the place of a key's id: no key of this gateway has made such a call."""


class Tracked(NamedTuple):
    """What was found of an answer."""

    line: Line | None
    told: Looked | None
    trouble: str
    """Why the provider has told nothing, where the ledger knows the answer."""
    kept: bool
    settled: bool = False
    """The ledger has now what it did not know of it, or had estimated."""


async def track(
    settings: Settings,
    env: Mapping[str, str],
    name: str,
    caller: str,
    tenant: str,
    provider: str | None,
) -> Tracked:
    """What ledger and provider know of an answer; one that only the provider knows is written down.

    Raises:
        GatewayError: the database cannot be read, or, where the ledger does not know it, the provider.
    """
    async with open_views(settings) as views:
        line = await views.ledger.find(Scope(None), name)
        asked = provider or (line.provider if line is not None else None) or USUAL
        upstream_id = (line.upstream_id if line is not None else None) or name
        try:
            told = await generation(settings, env, asked, upstream_id)
        except GatewayError as error:
            if line is None:
                raise
            return Tracked(line, None, error.message, kept=False)
        if line is not None:
            if told is None:
                return Tracked(line, None, f"{asked} does not know it.", kept=False)
            if not await _settle(views.settling, settings, env, line, asked, told):
                return Tracked(line, told, "", kept=False)
            line = await views.ledger.find(Scope(None), name)
            return Tracked(line, told, "", kept=False, settled=True)
        if told is None:
            return Tracked(None, None, "", kept=False)
        await views.ledger.write([entry_of(told, asked, name, caller, tenant, time.time())])
        return Tracked(await views.ledger.find(Scope(tenant), name), told, "", kept=True)


async def _settle(
    settling: SqlSettling,
    settings: Settings,
    env: Mapping[str, str],
    line: Line,
    provider: str,
    told: Looked,
) -> bool:
    """Settles an answer whose figures are open, as reconciliation does; whether something has changed."""
    if line.upstream_id is None:
        return False
    now = time.time()
    question = await settling.reopened(line.call_id, provider, line.upstream_id, int(now * 1000))
    if question is None:
        return False
    price = open_registry(settings, env).price(provider, question.model, question.created_us / 1e6)
    decide = partial(decided, question, told.usage, price, int(now * 1e6))
    return await settling.settle(question, decide) is not None


def entry_of(
    told: Looked, provider: str, upstream_id: str, caller: str, tenant: str, wall: float
) -> Entry:
    """The row of an answer that was made elsewhere: its tokens and its cost are the provider's own."""
    usage, call = told.usage, uuid7(wall, os.urandom)
    cost, _ = settle(usage, None)  # a number that no answer can cost is none, as everywhere
    pico = None if cost is None else to_pico(cost)
    used = Consumed(
        usage.input,
        usage.output,
        usage.cache_read,
        None,
        None,
        usage.reasoning,
        None,
        None,
        None,
        "none" if usage.input is None and usage.output is None else "reconciled",
        pico,
        "none" if pico is None else "provider",
    )
    model = str(told.facts.get("model") or "unknown")[:256]
    row = RequestRow(
        call_id=call,
        request_id=f"req_{call.replace('-', '')}",
        trace_id=call.replace("-", ""),
        tenant=tenant,
        key_id=MANUAL_KEY,
        caller=caller[:256],
        dialect="chat",
        operation="chat",
        requested_model=model,
        provider=provider,
        model=model,
        status="complete",
        http_status=200,
        stream=told.facts.get("streamed") is True,
        attempts=0,
        consumed=used,
        upstream_id=upstream_id,
        first_event_s=None,
        duration_s=None,
        created_us=int(wall * 1_000_000),
        error_code=None,
        losses="",
        adjusted="",
        choice="",
        charged_pico=pico,
    )
    return Entry(row, ())
