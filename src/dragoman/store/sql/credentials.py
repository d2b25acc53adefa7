"""Tenants' own credentials in SQL: sealed with the tenant's key, opened for its calls, shown never (R-AUTH-009).

Every change moves one generation on, and notes it beside the tenant: who watches the number reads again what
is of those tenants alone. What is sealed is the value with its provider and its address: a value does not
open in another row, and not for another address than the one it was stored for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from dragoman.catalog.schema import Keyed
from dragoman.core.errors import CallerError, HouseError
from dragoman.core.provider import Credential
from dragoman.core.secret import Secret
from dragoman.credentials.own import MOST, Holding, Opened, OwnCredential, OwnRule
from dragoman.store.credential_tables import credentials, holders
from dragoman.store.sql.counters import look, move_on, number_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.engine import RowMapping
    from sqlalchemy.ext.asyncio import AsyncConnection

    from dragoman.core.clock import Clock
    from dragoman.store.engine import Database
    from dragoman.store.sql.tenant_keys import TenantKey, TenantKeys

_GENERATION = "credentials_generation"
_SHOWN = [
    credentials.c[name] for name in OwnCredential.__struct_fields__
]  # the sealed value is read where it is opened, and nowhere else
_Sealed = tuple[str, str, str]
"""Provider, address and value."""


class SqlCredentials:
    """The credentials of a database."""

    def __init__(self, database: Database, sealing: TenantKeys, clock: Clock) -> None:
        self._database = database
        self._sealing = sealing
        self._clock = clock

    # --- reading

    async def page(
        self,
        *,
        tenant: str | None = None,
        provider: str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> list[OwnCredential]:
        """The oldest first: ids are ordered by time."""
        query = select(*_SHOWN).order_by(credentials.c.id).limit(limit)
        for column, said in (("tenant", tenant), ("provider", provider)):
            if said is not None:
                query = query.where(credentials.c[column] == said)
        if after is not None:
            query = query.where(credentials.c.id > after)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [_shown(row) for row in rows]

    async def get(self, name: str, *, tenant: str | None = None) -> OwnCredential | None:
        """One of them, of ``tenant`` if that is said."""
        query = select(*_SHOWN).where(*_is(name, tenant))
        async with self._database.read() as connection:
            row = (await connection.execute(query)).mappings().first()
        return None if row is None else _shown(row)

    async def rule(self, tenant: str) -> OwnRule:
        """Whether the tenant may use no credentials but its own, and who says so."""
        found = await self.rules(tenant=tenant, limit=1)
        return found[0] if found else OwnRule(tenant)

    async def rules(
        self, *, tenant: str | None = None, after: str | None = None, limit: int = 100
    ) -> list[OwnRule]:
        """Those of tenants that ever had a credential or a rule, by the alphabet."""
        query = select(holders).order_by(holders.c.tenant).limit(limit)
        if tenant is not None:
            query = query.where(holders.c.tenant == tenant)
        if after is not None:
            query = query.where(holders.c.tenant > after)
        async with self._database.read() as connection:
            found = await connection.execute(query)
            return [OwnRule(row.tenant, bool(row.own_only), bool(row.own_word)) for row in found]

    # --- opening

    async def generation(self) -> int:
        """A number that every change moves on, in whichever process."""
        return await look(self._database, _GENERATION)

    async def changed(self, since: int) -> dict[str, int]:
        """The tenants of which anything was changed after a generation, each with its own."""
        query = select(holders.c.tenant, holders.c.generation).where(holders.c.generation > since)
        async with self._database.read() as connection:
            found = await connection.execute(query)
            return {row.tenant: row.generation for row in found}

    async def holding(self, tenant: str) -> Holding:
        """What the tenant's calls are made with.

        Raises:
            HouseError: a value was sealed for another place, or by another key.
        """
        async with self._database.read() as connection:
            either = or_(holders.c.own_only, holders.c.own_word)
            only = await connection.execute(select(either).where(holders.c.tenant == tenant))
            own_only = bool(only.scalar())
            found = await connection.execute(
                select(credentials)
                .where(credentials.c.tenant == tenant, credentials.c.disabled.is_(False))
                .order_by(credentials.c.id)
            )
            rows = found.mappings().all()
        keyed: dict[str, tuple[Keyed, ...]] = {}
        if rows:
            sealing = await self._sealing.key(tenant)
            for row in rows:
                origin, secret = _value(sealing, row)
                item = Keyed(Credential(row["id"], secret, origin), row["weight"])
                keyed[row["provider"]] = (*keyed.get(row["provider"], ()), item)
        return Holding(own_only, keyed)

    async def open(self, name: str, *, tenant: str | None = None) -> Opened | None:
        """One credential with its value, as ``holding`` would have it, also if it is disabled.

        Raises:
            HouseError: as ``holding``.
        """
        async with self._database.read() as connection:
            found = await connection.execute(select(credentials).where(*_is(name, tenant)))
            row = found.mappings().first()
        if row is None:
            return None
        origin, secret = _value(await self._sealing.key(row["tenant"]), row)
        # What was sealed counts, whatever somebody has written beside it.
        return Opened(msgspec.structs.replace(_shown(row), origin=origin), secret)

    # --- changing

    async def add(self, new: OwnCredential, value: str) -> OwnCredential:
        """Seals a credential; its times are those of now.

        Raises:
            CallerError: the tenant has one of that name at the provider, or too many.
        """
        sealing = await self._sealing.key(new.tenant)
        now = self._now_ms()
        plain = msgspec.json.encode((new.provider, new.origin, value))
        row = {
            **msgspec.structs.asdict(new),
            "created_ms": now,
            "changed_ms": now,
            "used_ms": None,
            "sealed_value": sealing.seal(plain, *_place(new.id)),
        }
        held = select(func.count()).where(credentials.c.tenant == new.tenant)
        try:
            async with self._database.write() as connection:
                await _note(connection, new.tenant)  # who else adds one waits, and counts it
                if (await connection.execute(held)).scalar_one() >= MOST:
                    raise CallerError(
                        "quota",
                        f"The tenant has {MOST} credentials already: remove some.",
                        code="insufficient_quota",
                    )
                await connection.execute(insert(credentials).values(row))
        except IntegrityError:
            raise CallerError(
                "conflict",
                f"The tenant has a credential {new.name!r} for {new.provider} already; nothing was changed.",
                code="conflict",
                param="name",
            ) from None
        found = await self.get(new.id)
        assert found is not None, "it was just written"
        return found

    async def turn(
        self, name: str, *, disabled: bool, tenant: str | None = None
    ) -> OwnCredential | None:
        """Takes a credential out of use, or back into it; None where there is none."""
        old = await self.get(name, tenant=tenant)
        if old is None or old.disabled == disabled:
            return old
        async with self._database.write() as connection:
            await connection.execute(
                update(credentials)
                .where(*_is(name, tenant))
                .values(disabled=disabled, changed_ms=self._now_ms())
            )
            await _note(connection, old.tenant)
        return await self.get(name, tenant=tenant)

    async def remove(self, name: str, *, tenant: str | None = None) -> bool:
        """Forgets a credential for good; whether there was one."""
        old = await self.get(name, tenant=tenant)
        if old is None:
            return False
        async with self._database.write() as connection:
            gone = await connection.execute(delete(credentials).where(*_is(name, tenant)))
            await _note(connection, old.tenant)
        return bool(gone.rowcount)

    async def remove_all(self, tenant: str, provider: str) -> int:
        """Forgets all credentials that a tenant has for a provider; how many there were."""
        async with self._database.write() as connection:
            gone = await connection.execute(
                delete(credentials).where(
                    credentials.c.tenant == tenant, credentials.c.provider == provider
                )
            )
            if gone.rowcount:
                await _note(connection, tenant)
        return gone.rowcount

    async def restrict(self, tenant: str, *, own_only: bool, by_tenant: bool = False) -> None:
        """Says whether the tenant may use no credentials but its own: the operator's word, or the tenant's."""
        word = "own_word" if by_tenant else "own_only"
        async with self._database.write() as connection:
            await _note(connection, tenant, **{word: own_only})

    async def used(self, times_ms: Mapping[str, int]) -> None:
        """Notes when credentials were last sent; no earlier time takes the place of a later one."""
        if not times_ms:
            return
        async with self._database.write() as connection:
            for name, at in sorted(times_ms.items()):
                earlier = (credentials.c.used_ms.is_(None)) | (credentials.c.used_ms < at)
                await connection.execute(
                    update(credentials).where(credentials.c.id == name, earlier).values(used_ms=at)
                )

    def _now_ms(self) -> int:
        return int(self._clock.wall() * 1000)


async def remove_tenant(database: Database, tenant: str) -> None:
    """Forgets all that a tenant has here, and what was said of it, if there is anything."""
    mine = credentials.c.tenant == tenant
    async with database.write() as connection:
        gone = await connection.execute(delete(credentials).where(mine))
        only = select(or_(holders.c.own_only, holders.c.own_word))
        said = await connection.execute(only.where(holders.c.tenant == tenant))
        if gone.rowcount or said.scalar():
            await _note(connection, tenant, own_only=False, own_word=False)


async def _note(connection: AsyncConnection, tenant: str, **words: bool) -> None:
    """Tells every process that something of the tenant's has changed; ``words`` are the rule's own columns."""
    await move_on(connection, _GENERATION)  # who else does so waits, hence numbers rise
    number = await number_of(connection, _GENERATION)
    values: dict[str, Any] = {"generation": number, **words}
    known = await connection.execute(
        update(holders).where(holders.c.tenant == tenant).values(**values)
    )
    if not known.rowcount:
        fresh = {"own_only": False, "own_word": False, **values, "tenant": tenant}
        await connection.execute(insert(holders).values(**fresh))


def _is(name: str, tenant: str | None) -> tuple[Any, ...]:
    one = (credentials.c.id == name,)
    return one if tenant is None else (*one, credentials.c.tenant == tenant)


def _place(row: str) -> tuple[str, str, str]:
    return "provider_credentials", row, "sealed_value"


def _value(sealing: TenantKey, row: RowMapping) -> tuple[str, Secret]:
    """Where the value may be sent, and the value."""
    plain = sealing.open(bytes(row["sealed_value"]), *_place(row["id"]))
    provider, origin, value = msgspec.json.decode(plain, type=_Sealed)
    if provider != row["provider"]:
        raise HouseError(
            "server",
            f"The credential {row['id']} is kept for another provider than it was stored for.",
            code="database_error",
        )
    return origin, Secret(value)


def _shown(row: RowMapping) -> OwnCredential:
    return OwnCredential(**{name: row[name] for name in OwnCredential.__struct_fields__})
