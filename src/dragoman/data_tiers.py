"""Stored tiers in ``tiers.json``, which is the operator's own file besides (D29).

A row that mirrors a stored tier says when that was stored (``stored_ms``), and what the operator's row of that
name says, which it hides (``hides``). So what of the file is whose is known from the file alone, which is
replaced whole. A row that somebody has changed since it was written is not written over while the stored tier
is the one that it was made of: a start stores it then. Where the stored tier is another meanwhile, it is newer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from dragoman.audit.chain import Deed
from dragoman.audit.noting import noted
from dragoman.catalog.stored import StoredTier
from dragoman.config.data_files import data_file, write_data_file
from dragoman.config.tiers import HIDES, STORED_MS, is_mirrored, limits_of, tier_rows
from dragoman.core.call import said_limits
from dragoman.services import Services


async def mirror_tiers(services: Services) -> None:
    """Has the file tell the tiers that are stored now.

    Raises:
        GatewayError, OSError: the database or the file cannot be read, or the file not be written.
    """
    assert services.stored is not None, "serving has opened it"
    stored = await services.stored.tiers.all()
    await asyncio.to_thread(_write, data_file(services.settings, "tiers.json"), stored)


def _write(path: Path, stored: Iterable[StoredTier]) -> None:
    rows = tier_rows(path)
    made = with_stored(rows, stored)
    if made != rows:
        write_data_file(path, msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n")


def with_stored(rows: dict[str, Any], stored: Iterable[StoredTier]) -> dict[str, Any]:
    """The rows of the file as they are to be."""
    tiers = {tier.name: tier for tier in stored}
    made = {}
    for name, row in rows.items():
        tier = tiers.pop(name, None)
        if tier is not None:
            made[name] = row if _is_of(row, tier) else _row(tier, row)
        elif not is_mirrored(row):
            made[name] = row
        elif HIDES in row:
            made[name] = row[HIDES]
    return made | {name: _row(tier, None) for name, tier in tiers.items()}


def _is_of(row: Any, tier: StoredTier) -> bool:
    """Whether the row was made of the tier as it is stored now."""
    return is_mirrored(row) and row[STORED_MS] == tier.changed_ms


def _row(tier: StoredTier, before: Any) -> dict[str, Any]:
    made: dict[str, Any] = {**said_limits(tier.limits), STORED_MS: tier.changed_ms}
    if is_mirrored(before):
        return made | ({HIDES: before[HIDES]} if HIDES in before else {})
    return made | ({} if before is None else {HIDES: before})


async def take_tiers(services: Services) -> bool:
    """Stores what somebody has changed in rows of stored tiers; whether there was any.

    Raises:
        GatewayError: a row is not a tier's, or the database does not take them; nothing was stored.
    """
    assert services.stored is not None, "serving has opened it"
    path = data_file(services.settings, "tiers.json")
    rows = await asyncio.to_thread(tier_rows, path)
    before = {tier.name: tier for tier in await services.stored.tiers.all()}
    put = list(changed(rows, before.values(), str(path)))
    for name in sorted(name for name, row in rows.items() if is_mirrored(row)):
        if name not in before:
            services.log.event("warn", "a tier of tiers.json is stored no longer", tier=name)
    if not put:
        return False
    audit = services.stored.audit
    told = {tier.name: said_limits(before[tier.name].limits) for tier in put}
    begun = Deed(
        "tier.import",
        "tiers.json",
        "*",
        "-",
        "-",
        "begun",
        before=msgspec.json.encode(told).decode(),
    )
    async with noted(begun, audit.append, audit.append) as note:
        await services.stored.tiers.change(put)
        note.after = {tier.name: said_limits(tier.limits) for tier in put}
    services.log.event(
        "info", "tiers.json was newer than the database", tiers=[tier.name for tier in put]
    )
    return True


def changed(
    rows: dict[str, Any], stored: Iterable[StoredTier], where: str
) -> Iterable[StoredTier]:
    """The stored tiers whose rows were changed since they were written.

    Raises:
        ConfigError: a row cannot be used; the message says which and what to do.
    """
    for tier in stored:
        row = rows.get(tier.name)
        if row is None or not _is_of(row, tier):
            continue
        said = {name: value for name, value in row.items() if name not in {STORED_MS, HIDES}}
        limits = limits_of(tier.name, said, f"{where}: tier {tier.name!r}")
        if limits != tier.limits:
            yield StoredTier(tier.name, limits)
