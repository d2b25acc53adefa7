"""One process of several does what one is enough for: it has its turn, and says again that it is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import or_, update
from sqlalchemy.dialects import postgresql, sqlite

from dragoman.store.settling_tables import turns

if TYPE_CHECKING:
    from dragoman.core.clock import Clock
    from dragoman.store.engine import Database


class SqlTurns:
    """Turns in a database."""

    def __init__(
        self, database: Database, clock: Clock, holder: str, *, alone: bool = False
    ) -> None:
        """``alone``: there is nobody else, and every turn is ours without a word to the database."""
        self._alone = alone
        self._database = database
        self._clock = clock
        self._holder = holder

    async def take(self, name: str, for_s: float) -> bool:
        """Whether it is this process's turn, for so many seconds from now; who dies has it no longer than that."""
        if self._alone:
            return True
        now = int(self._clock.wall() * 1000)
        mine = {"holder": self._holder, "until_ms": now + int(for_s * 1000)}
        make = postgresql.insert if self._database.backend == "postgresql" else sqlite.insert
        async with self._database.write() as connection:
            first = make(turns).values(name=name, **mine).on_conflict_do_nothing()
            if (await connection.execute(first)).rowcount == 1:
                return True
            free = or_(turns.c.holder == self._holder, turns.c.until_ms < now)
            taken = await connection.execute(
                update(turns).where(turns.c.name == name, free).values(mine)
            )
        return taken.rowcount == 1

    async def give(self, name: str) -> None:
        """The next may have it at once."""
        if self._alone:
            return
        mine = (turns.c.name == name) & (turns.c.holder == self._holder)
        async with self._database.write() as connection:
            await connection.execute(update(turns).where(mine).values(until_ms=0))
