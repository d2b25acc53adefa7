"""Callers' keys in SQL: made, listed, revoked, found; of the key itself only a keyed digest.

The digest is HMAC-SHA-256 under a pepper that never leaves the process unsealed; a slow hash
would add nothing to 256 random bits and cost every request (`reliability.md` §4.11). Every
credential is looked up the same way, by one statement with bound parameters only, and
compared in constant time, so that a wrong key and an unknown one look alike.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import and_, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from dragoman.core.call import DEFAULT_PROJECT, DEFAULT_TENANT, NO_LIMITS, Limits, Role
from dragoman.core.errors import CallerError
from dragoman.core.scopes import NOTHING_SAID, Scopes, together
from dragoman.core.secret import Secret
from dragoman.identity.keyform import (
    LONGEST_CREDENTIAL,
    SHORTEST_STORABLE,
    is_public_id,
    is_storable,
    make_key,
    make_public_id,
    parse_key,
)
from dragoman.identity.ports import Finding, KeyRecord, Stopped, Strangers
from dragoman.store.admin_tables import usage_resets
from dragoman.store.sql.counters import lately, look, move_on
from dragoman.store.sql.scope_text import read_scopes, write_scopes
from dragoman.store.sql.secrets import SecretVersions, open_secret
from dragoman.store.sql.tenancy import GENERATION, ensure_place
from dragoman.store.tables import keys
from dragoman.store.tenancy_tables import projects, tenants

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine import RowMapping
    from sqlalchemy.ext.asyncio import AsyncConnection

    from dragoman.core.clock import Clock
    from dragoman.store.engine import Database
    from dragoman.store.seal import Sealer

PEPPER = "pepper"
_MARK = 12
OWN_LIMITS = ("rps", "rpm", "rpd", "tpm", "tpd", "max_tokens", "concurrency")
"""The limits that a key may have of its own: columns of its row."""


class NewKey(Struct, frozen=True):
    """What a key to be stored is to be; ``expires`` is in Unix seconds."""

    name: str
    tenant: str = DEFAULT_TENANT
    role: Role = "user"
    limits: Limits = NO_LIMITS
    expires: float | None = None
    user_id: str | None = None
    tier: str | None = None
    project: str = DEFAULT_PROJECT
    label: str | None = None
    scopes: Scopes = NOTHING_SAID


_MANY = 50_000
"""Keys whose digests one process keeps in mind during a flood of guesses; some 6 MB."""
_PRESENTED = (
    select(
        keys,
        tenants.c.scopes.label("tenant_scopes"),
        tenants.c.suspended_ms.label("tenant_suspended_ms"),
        projects.c.scopes.label("project_scopes"),
        projects.c.suspended_ms.label("project_suspended_ms"),
        usage_resets.c.at_us.label("counts_since_us"),
    )
    .outerjoin(usage_resets, usage_resets.c.key_id == keys.c.id)
    .outerjoin(tenants, tenants.c.id == keys.c.tenant)
    .outerjoin(projects, and_(projects.c.tenant == keys.c.tenant, projects.c.id == keys.c.project))
)
"""Keys with what their tenant and project say of them, and since when their use counts."""


class SqlKeys:
    """The keys in a database."""

    def __init__(
        self, database: Database, peppers: SecretVersions, clock: Clock, prefix: str = "drg"
    ) -> None:
        self._database = database
        self.peppers = peppers
        self._peppers = peppers.versions
        self._version = peppers.newest
        self._pepper = peppers.versions[peppers.newest]
        self._clock = clock
        self._prefix = prefix

    # --- making and changing

    async def create(self, new: NewKey) -> tuple[KeyRecord, Secret]:
        """Makes a key; it is given out here and never again."""
        while True:
            key = make_key(self._prefix)
            form = parse_key(key, self._prefix)
            assert form is not None
            try:
                return await self._insert(form.public_id, key, new, heard_of=False), Secret(key)
            except IntegrityError:
                if await self.get(form.public_id) is None:
                    raise _taken(new) from None

    async def store(self, key: str, new: NewKey) -> KeyRecord:
        """Stores a key that was made elsewhere: 8 to 256 visible ASCII characters."""
        if not is_storable(key, self._prefix):
            raise CallerError(
                "invalid_request",
                f"A key must be {SHORTEST_STORABLE} to {LONGEST_CREDENTIAL} visible ASCII "
                f"characters, and one that begins with '{self._prefix}_' must be whole.",
                code="invalid_field_value",
                param="key",
            )
        form = parse_key(key, self._prefix)
        public_id = form.public_id if form is not None else make_public_id()
        try:
            return await self._insert(public_id, key, new)
        except IntegrityError:
            raise _taken(new) from None

    async def ensure_admin(self, user_id: str, key: str) -> KeyRecord:
        """The admin ``user_id``, made with ``key`` where there is none; never overwritten."""
        found = await self._of_user(user_id)
        if found is not None:
            return found
        try:
            return await self.store(key, NewKey(user_id, role="admin", user_id=user_id))
        except CallerError as error:
            found = await self._of_user(user_id)  # another process was quicker
            if found is None:
                raise error from None
            return found

    def new_secret(self, key_id: str) -> tuple[str, bytes, int]:
        """Another key under the same public id, where that has our form; its digest, and under which pepper."""
        key = make_key(self._prefix, public_id=key_id if is_public_id(key_id) else None)
        return key, self.digest(key), self._version

    async def revoke(
        self, key_id: str, *, tenant: str | None = None, cut: bool = False
    ) -> KeyRecord | None:
        """Revokes a key for good; None where there is none, in ``tenant`` if that is said.

        ``cut``: its calls that are under way are to end, too, whenever it was revoked.
        """
        this = keys.c.id == key_id
        if tenant is not None:
            this &= keys.c.tenant == tenant
        now = self._now_ms()
        revoked = update(keys).where(this, keys.c.revoked_ms.is_(None)).values(revoked_ms=now)
        ended = update(keys).where(this).values(cut_ms=now)
        async with self._database.write() as connection:
            changed = (await connection.execute(revoked)).rowcount
            if cut:
                changed += (await connection.execute(ended)).rowcount
            if changed:
                await move_generation(connection)
        return await self.get(key_id, tenant=tenant)

    async def _insert(
        self, public_id: str, key: str, new: NewKey, *, heard_of: bool = True
    ) -> KeyRecord:
        """``heard_of``: some process may remember that it did not know the key; one made here is new to all."""
        row = {
            "id": public_id,
            "tenant": new.tenant,
            "name": new.name,
            "user_id": new.user_id,
            "role": new.role,
            "digest": self.digest(key),
            "pepper_version": self._version,
            **{name: getattr(new.limits, name) for name in OWN_LIMITS},
            "tier": new.tier,
            "created_ms": self._now_ms(),
            "expires_ms": _ms(new.expires),
            "revoked_ms": None,
            "project": new.project,
            "label": new.label,
            "scopes": write_scopes(new.scopes),
            "suspended_ms": None,
            "previous_until_ms": None,
            "cut_ms": None,
        }
        async with self._database.write() as connection:
            former = select(keys.c.id).where(keys.c.previous_digest == row["digest"])
            if (await connection.execute(former)).first() is not None:
                raise _taken(new)
            await ensure_place(connection, new.tenant, new.project, row["created_ms"])
            await connection.execute(insert(keys).values(row))
            if heard_of:
                await move_generation(connection)
        return record_of(row)

    def _now_ms(self) -> int:
        return int(self._clock.wall() * 1000)

    # --- reading

    async def get(self, key_id: str, *, tenant: str | None = None) -> KeyRecord | None:
        """The key with that public id, in ``tenant`` if that is said."""
        statement = select(keys).where(keys.c.id == key_id)
        if tenant is not None:
            statement = statement.where(keys.c.tenant == tenant)
        async with self._database.read() as connection:
            row = (await connection.execute(statement)).mappings().first()
        return None if row is None else record_of(row)

    async def list(self, *, tenant: str | None = None) -> tuple[KeyRecord, ...]:
        """All keys, oldest first, of ``tenant`` if that is said."""
        statement = select(keys).order_by(keys.c.created_ms, keys.c.id)
        if tenant is not None:
            statement = statement.where(keys.c.tenant == tenant)
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).mappings().all()
        return tuple(record_of(row) for row in rows)

    async def _of_user(self, user_id: str) -> KeyRecord | None:
        query = select(keys).where(keys.c.tenant == DEFAULT_TENANT, keys.c.user_id == user_id)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).mappings().first()
        return None if row is None else record_of(row)

    # --- finding, as identity asks for it

    def digest(self, credential: str) -> bytes:
        """The keyed digest of all of ``credential``."""
        return hmac.digest(self._pepper, credential.encode(), "sha256")

    async def find(self, credential: str, public_id: str | None) -> Finding:
        """What is stored of ``credential``."""
        digests = {
            version: hmac.digest(pepper, credential.encode(), "sha256")
            for version, pepper in self._peppers.items()
        }
        mine = tuple(digests.values())
        async with self._database.read() as connection:
            found = await connection.execute(
                _PRESENTED.where(
                    or_(
                        keys.c.id == public_id,
                        keys.c.digest.in_(mine),
                        keys.c.previous_digest.in_(mine),
                    )
                )
            )
            rows = found.mappings().all()
        now = digests[self._version]
        record: KeyRecord | None = None
        former: KeyRecord | None = None
        for row in rows:
            if _is_digest(digests, row["pepper_version"], row["digest"]):
                record = _presented(row)
            elif _is_digest(digests, row["previous_pepper_version"], row["previous_digest"]):
                former = _until(_presented(row), row["previous_until_ms"])
        if not rows:
            _is_digest(digests, self._version, bytes(len(now)))  # as long as for a wrong key
        whose = record or former
        return Finding(now.hex()[:_MARK], whose, bool(rows) and whose is None)

    async def generation(self) -> int:
        """A number that every change of a key moves on."""
        return await look(self._database, GENERATION)

    async def lately(self) -> int:
        """The same, as it stood half a second ago at most."""
        return await lately(self._database, GENERATION)

    async def strangers(self) -> Strangers | None:
        """As ``WatchedKeyStore``; eight bytes of a digest will do: whoever is taken for known is asked for."""
        query = select(keys.c.digest, keys.c.previous_digest).limit(_MANY + 1)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        if len(rows) > _MANY:
            return None
        known = {bytes(each)[:8] for row in rows for each in row if each is not None}
        peppers, newest = dict(self._peppers), self._version

        def strange(credential: str) -> Finding | None:
            digests = {
                version: hmac.digest(pepper, credential.encode(), "sha256")
                for version, pepper in peppers.items()
            }
            if any(digest[:8] in known for digest in digests.values()):
                return None
            return Finding(digests[newest].hex()[:_MARK])

        return strange

    def tell(self, heard: Callable[[int, float], None]) -> None:
        """Has ``heard`` told of every look, whoever looks: the generation, and when the look began."""
        told = self._database.numbers.told
        told.append(lambda numbers, began: heard(numbers[GENERATION], began))

    async def cuts(self) -> set[tuple[str, int]]:
        """The keys whose calls were to end, each with when that was said last."""
        query = select(keys.c.id, keys.c.cut_ms).where(keys.c.cut_ms.is_not(None))
        async with self._database.read() as connection:
            return {(row.id, row.cut_ms) for row in await connection.execute(query)}


async def move_generation(connection: AsyncConnection) -> None:
    """Tells every process that what it knows of keys may be old."""
    await move_on(connection, GENERATION)


def _taken(new: NewKey) -> CallerError:
    whose = "" if new.user_id is None else f", or the user {new.user_id!r} has one"
    return CallerError(
        "conflict", f"This key is stored already{whose}; nothing was changed.", code="conflict"
    )


def _is_digest(digests: dict[int, bytes], version: int | None, stored: bytes | None) -> bool:
    """Whether a stored digest is the credential's, in the time that every answer takes."""
    expected = digests.get(version or 0, b"")
    return hmac.compare_digest(expected, bytes(stored or b"\0"))


def _presented(row: RowMapping) -> KeyRecord:
    """The key of a row, with what its tenant, its project and its own scopes allow together."""
    record = record_of(row)
    bounds = together(
        read_scopes(row["tenant_scopes"]), read_scopes(row["project_scopes"]), record.scopes
    )
    stopped: Stopped | None = None
    if row["tenant_suspended_ms"] is not None:
        stopped = "tenant"
    elif row["project_suspended_ms"] is not None:
        stopped = "project"
    elif record.suspended is not None:
        stopped = "key"
    since: int | None = row["counts_since_us"]
    return replace(record, bounds=bounds, stopped=stopped, counts_since_us=since)


def _until(record: KeyRecord, until_ms: int | None) -> KeyRecord:
    """The key under the secret that it had: for as long as that was left to it."""
    until = (until_ms or 0) / 1000
    if record.expires is not None and record.expires <= until:
        return record
    return replace(record, expires=until)


def record_of(row: RowMapping | dict[str, Any]) -> KeyRecord:
    """The key of a row."""
    return KeyRecord(
        id=row["id"],
        tenant=row["tenant"],
        name=row["name"],
        created=row["created_ms"] / 1000,
        role=row["role"],
        limits=_limits(row),
        tier=row["tier"],
        user_id=row["user_id"],
        expires=_seconds(row["expires_ms"]),
        revoked=_seconds(row["revoked_ms"]),
        project=row["project"],
        label=row["label"],
        scopes=read_scopes(row["scopes"]),
        suspended=_seconds(row["suspended_ms"]),
        previous_until=_seconds(row["previous_until_ms"]),
    )


def _limits(row: RowMapping | dict[str, Any]) -> Limits:
    found = Limits(**{name: row[name] for name in OWN_LIMITS})
    # The very object where there is none: that costs a request one look.
    return NO_LIMITS if found == NO_LIMITS else found


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds * 1000)


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1000


async def open_keys(
    database: Database, sealer: Sealer, clock: Clock, prefix: str = "drg"
) -> SqlKeys:
    """The keys in ``database``, with its pepper opened, or made where it has none."""
    return SqlKeys(database, await open_secret(database, sealer, clock, PEPPER), clock, prefix)
