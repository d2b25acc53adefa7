"""Answers that are given again, in SQL: sealed by tenant, claimed by whoever inserts their row first."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import astuple
from sqlalchemy import and_, delete, func, or_, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from dragoman.core.errors import CallerError, HouseError
from dragoman.keeping.aside import aside
from dragoman.reuse.ports import Absent, Busy, Claim, Claimed, Differs, Found, Spot
from dragoman.reuse.transcript import Transcript, read_transcript, write_transcript
from dragoman.store.answer_tables import answers
from dragoman.store.sql.together import Together

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.engine import RowMapping

    from dragoman.core.clock import Clock
    from dragoman.reuse.policy import ReusePolicy
    from dragoman.store.engine import Database
    from dragoman.store.sql.tenant_keys import TenantKey, TenantKeys

TABLE = str(answers.name)


@dataclass(slots=True)
class _Write:
    """One statement about one spot, and whether it has changed a row."""

    spot: Spot
    statement: Any
    changed: bool = False


class SqlAnswers:
    """The answers in a database."""

    def __init__(
        self,
        database: Database,
        keys: TenantKeys,
        clock: Clock,
        policy: ReusePolicy,
    ) -> None:
        self.database = database
        self.keys = keys
        self.clock = clock
        self.policy = policy
        self._together = Together(self._write)

    async def claim(self, spot: Spot, call_id: str, fingerprint: bytes) -> Claim:
        """Takes the spot for the call if it is free."""
        found = await self.look(spot, fingerprint)
        if not isinstance(found, Absent):
            return found
        key = await self.keys.key(spot.tenant)
        now = self._now_ms()
        row = {
            "tenant": spot.tenant,
            "scope": spot.scope,
            "call_id": call_id,
            "fingerprint": key.seal(fingerprint, TABLE, spot.scope, "fingerprint"),
            "reply": None,
            "size": 0,
            "lease_ms": now + int(self.policy.lease_s * 1000),
            "expires_ms": now + int(self.policy.kept_s * 1000),
        }
        await self._refuse_if_full(spot.tenant, now)
        if await self._changed(spot, self._take(row, now)):
            return Claimed()
        return await self._after(spot, fingerprint)

    async def _refuse_if_full(self, tenant: str, now: int) -> None:
        most = self.policy.most_kept_bytes
        if not most:
            return
        async with self.database.read() as connection:
            held = await connection.scalar(
                select(func.sum(answers.c.size)).where(
                    answers.c.tenant == tenant, answers.c.expires_ms > now
                )
            )
        if held is not None and held >= most:
            raise _full(held, most)

    async def _changed(self, spot: Spot, statement: Any) -> bool:
        """Runs the statement together with those of others; whether it has changed a row."""
        write = _Write(spot, statement.returning(answers.c.scope))
        await self._together.put(write)
        return write.changed

    async def _write(self, writes: Sequence[_Write]) -> None:
        async with self.database.write() as connection:
            # In one order in every process: nobody then waits for somebody who waits for him.
            for write in sorted(writes, key=lambda write: astuple(write.spot)):
                found = await connection.execute(write.statement)
                write.changed = found.first() is not None

    async def _after(self, spot: Spot, fingerprint: bytes) -> Claim:
        """What somebody else has put there between our look and our insert."""
        found = await self.look(spot, fingerprint)
        # Gone again already: the next look finds it free.
        return Busy() if isinstance(found, Absent) else found

    async def look(self, spot: Spot, fingerprint: bytes | None) -> Found:
        """What is there."""
        now = self._now_ms()
        async with self.database.read() as connection:
            found = await connection.execute(select(answers).where(_is(spot)))
            row = found.mappings().first()
        if row is None or row["expires_ms"] <= now:
            return Absent()
        if row["reply"] is None and row["lease_ms"] <= now:
            return Absent()  # its maker is dead
        key = await self.keys.key(spot.tenant)
        if fingerprint is not None:
            first = key.open(bytes(row["fingerprint"]), TABLE, spot.scope, "fingerprint")
            if first != fingerprint:
                return Differs()
        if row["reply"] is None:
            return Busy()
        return await aside(row["size"], partial(_opened, key, row, spot))

    async def scope(self, tenant: str, call_id: str) -> str | None:
        """Where the answer to a call is, or is being made."""
        async with self.database.read() as connection:
            found: str | None = await connection.scalar(
                select(answers.c.scope).where(
                    answers.c.tenant == tenant, answers.c.call_id == call_id
                )
            )
        return found

    async def finish(self, spot: Spot, call_id: str, transcript: Transcript) -> bool:
        """Keeps the answer; whether the spot was still the call's."""
        key = await self.keys.key(spot.tenant)
        size = transcript.size
        reply = await aside(size, partial(_sealed, key, spot, transcript))
        return await self._changed(
            spot,
            update(answers)
            .where(_is(spot), answers.c.call_id == call_id, answers.c.reply.is_(None))
            .values(
                reply=reply,
                size=size,
                expires_ms=self._now_ms() + int(self.policy.kept_s * 1000),
            ),
        )

    async def release(self, spot: Spot, call_id: str) -> None:
        """Frees the spot."""
        await self._changed(
            spot,
            delete(answers).where(
                _is(spot), answers.c.call_id == call_id, answers.c.reply.is_(None)
            ),
        )

    async def renew(self, calls: Sequence[tuple[Spot, str]]) -> None:
        """Says that these answers are still being made."""
        until = self._now_ms() + int(self.policy.lease_s * 1000)
        async with self.database.write() as connection:
            for spot, call_id in sorted(calls, key=lambda call: astuple(call[0])):
                await connection.execute(
                    update(answers)
                    .where(_is(spot), answers.c.call_id == call_id)
                    .values(lease_ms=until)
                )

    async def expire(self, most: int) -> int:
        """Removes at most ``most`` answers that have expired; how many it were."""
        over = answers.c.expires_ms <= self._now_ms()
        oldest = (
            select(answers.c.tenant, answers.c.scope)
            .where(over)
            .order_by(answers.c.expires_ms)
            .limit(most)
        )
        # Looked for first: most often there is none, and nobody has to wait for the lock.
        async with self.database.read() as connection:
            rows = [tuple(row) for row in await connection.execute(oldest)]
        if not rows:
            return 0
        async with self.database.write() as connection:
            done = await connection.execute(
                delete(answers).where(tuple_(answers.c.tenant, answers.c.scope).in_(rows), over)
            )
        return done.rowcount

    def _take(self, row: dict[str, Any], now: int) -> Any:
        """Inserts the row, or puts it in the place of one that nobody needs any more."""
        make = postgresql.insert if self.database.backend == "postgresql" else sqlite.insert
        statement = make(answers).values(row)
        is_free = or_(
            answers.c.expires_ms <= now,
            and_(answers.c.reply.is_(None), answers.c.lease_ms <= now),
        )
        keys = list(answers.primary_key)
        others = {name: value for name, value in row.items() if name not in {"tenant", "scope"}}
        return statement.on_conflict_do_update(index_elements=keys, set_=others, where=is_free)

    def _now_ms(self) -> int:
        return int(self.clock.wall() * 1000)


def _is(spot: Spot) -> Any:
    return and_(answers.c.tenant == spot.tenant, answers.c.scope == spot.scope)


def _sealed(key: TenantKey, spot: Spot, transcript: Transcript) -> bytes:
    return key.seal(write_transcript(transcript), TABLE, spot.scope, "reply")


def _opened(key: TenantKey, row: RowMapping, spot: Spot) -> Transcript:
    try:
        return read_transcript(key.open(bytes(row["reply"]), TABLE, spot.scope, "reply"))
    except msgspec.MsgspecError:
        raise HouseError(
            "server", f"What is kept in {TABLE} cannot be read.", code="database_error"
        ) from None


def _full(held: int, most: int) -> CallerError:
    return CallerError(
        "quota",
        f"{held} bytes of answers are kept for you, of {most} that may be; they go after 24 hours. Until "
        "then leave Idempotency-Key and x-dragoman-resumable out.",
        code="insufficient_quota",
        param="idempotency-key",
    )
