"""Numbers that other processes watch, in the table ``meta``: whoever changes something moves its number on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select, update

from dragoman.store.tables import meta

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


NAMES = "names_generation"
"""Moves on with what lies over the configuration file: names, providers, tiers."""


async def number_of(connection: AsyncConnection, name: str) -> int:
    """Where a counter stands."""
    found = await connection.execute(select(meta.c.number).where(meta.c.name == name))
    number: int = found.scalar_one()
    return number


async def move_on(connection: AsyncConnection, name: str) -> None:
    """Moves a counter on by one; who else does so waits for this transaction."""
    await connection.execute(
        update(meta).where(meta.c.name == name).values(number=meta.c.number + 1)
    )
