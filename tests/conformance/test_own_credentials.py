"""Tenants' own credentials, over SQLite and over PostgreSQL: sealed in their place, opened for their tenant."""

from __future__ import annotations

import asyncio
import secrets as dice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from sqlalchemy import insert, select, text, update

from databases import KINDS, database_url
from dragoman.core.clock import ManualClock, SystemClock
from dragoman.core.errors import CallerError, HouseError
from dragoman.credentials.own import MOST, Holding, OwnCredential, is_own
from dragoman.store.backup import own_tables
from dragoman.store.checkup import check_up
from dragoman.store.credential_tables import credentials
from dragoman.store.engine import open_database
from dragoman.store.seal import open_sealer
from dragoman.store.sql.credentials import SqlCredentials
from dragoman.store.sql.tenant_keys import TenantKeys
from sampling import examples

pytestmark = [pytest.mark.anyio, pytest.mark.req("R-AUTH-009", "R-AUTH-008")]
ORIGIN = "https://api.example.com:443"


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(params=KINDS)
async def desk(request, tmp_path):
    async with database_url(request.param, tmp_path) as url:
        database = open_database(url)
        clock = ManualClock(wall=1000.0)
        sealer = open_sealer(tmp_path, None)
        yield database, SqlCredentials(database, TenantKeys(database, sealer, clock), clock), clock
        await database.close()


def new(number=1, **members):
    return OwnCredential(
        **{
            "id": f"own_{number:032x}",
            "tenant": "acme",
            "provider": "openai",
            "name": f"key {number}",
            "preview": "sk-pro****cdef",
            "origin": ORIGIN,
            **members,
        }
    )


def canary():
    return f"sk-canary-{dice.token_hex(20)}"


async def test_a_credential_is_shown_masked_and_opened_for_its_tenant_alone(desk):
    _, found, clock = desk
    value = canary()
    kept = await found.add(new(weight=3), value)
    assert kept == new(weight=3, created_ms=1_000_000, changed_ms=1_000_000)
    assert is_own(kept.id)
    assert await found.get(kept.id) == await found.get(kept.id, tenant="acme") == kept
    assert await found.get(kept.id, tenant="other") is None
    (keyed,) = (await found.holding("acme")).keyed["openai"]
    assert (keyed.weight, keyed.credential.id, keyed.credential.origin) == (3, kept.id, ORIGIN)
    assert keyed.credential.secret.reveal() == value
    opened = await found.open(kept.id, tenant="acme")
    assert opened.secret.reveal() == value
    assert value not in repr((kept, keyed, opened))
    assert await found.open(kept.id, tenant="other") is None
    assert await found.holding("other") == Holding()
    assert not await found.holding("other")
    clock.advance(5)
    off = await found.turn(kept.id, disabled=True)
    assert (off.disabled, off.changed_ms) == (True, 1_005_000)
    assert (await found.holding("acme")).keyed == {}
    assert (await found.open(kept.id)).secret.reveal() == value
    await found.turn(kept.id, disabled=False)
    assert list((await found.holding("acme")).keyed) == ["openai"]


async def test_no_plain_value_is_anywhere_in_the_database(desk, tmp_path):
    database, found, _ = desk
    values = [canary() for _ in range(5)]
    for number, value in enumerate(values):
        await found.add(new(number), value)
    await found.remove(new(4).id)
    async with database.read() as connection:
        for table in await own_tables(connection):
            for row in await connection.execute(table.select()):
                held = b"\n".join(
                    each if isinstance(each, bytes) else str(each).encode() for each in row
                )
                assert not [value for value in values if value[10:].encode() in held]
    pages = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert not [value for value in values if value[10:].encode() in pages]


async def test_a_sealed_value_opens_in_no_other_place(desk):
    database, found, _ = desk
    await found.add(new(1), canary())
    await found.add(new(2), canary())
    async with database.read() as connection:
        rows = (await connection.execute(select(credentials))).mappings().all()
    mine = {row["id"]: dict(row) for row in rows}
    one, two = new(1).id, new(2).id

    async def put(name, **members):
        async with database.write() as connection:
            await connection.execute(
                update(credentials).where(credentials.c.id == name).values(**members)
            )

    moved = (
        {"sealed_value": mine[one]["sealed_value"]},
        {"tenant": "mallory"},
        {"provider": "groq"},
    )
    for members in moved:
        await put(two, **members)
        with pytest.raises(HouseError) as caught:
            await found.holding(members.get("tenant", "acme"))
        assert caught.value.code == "database_error"
        await put(two, **{name: mine[two][name] for name in members})
    assert len((await found.holding("acme")).keyed["openai"]) == 2
    # Who may write to the table still cannot have it sent elsewhere.
    await put(two, origin="https://evil.example:443")
    held = (await found.holding("acme")).keyed["openai"]
    assert {item.credential.origin for item in held} == {ORIGIN}


@settings(max_examples=examples(40), deadline=None)
@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_changed_byte_is_refused(at, bit):
    from dragoman.store.sql.secrets import SecretVersions
    from dragoman.store.sql.tenant_keys import TenantKey

    key = TenantKey("acme", SecretVersions({1: bytes(range(32))}))
    place = ("provider_credentials", new().id, "sealed_value")
    sealed = bytearray(key.seal(b"sk-canary", *place))
    sealed[at % len(sealed)] ^= 1 << bit
    with pytest.raises(HouseError):
        key.open(bytes(sealed), *place)


async def test_names_are_the_tenants_own_and_given_once(desk):
    _, found, _ = desk
    await found.add(new(1, name="main"), canary())
    with pytest.raises(CallerError) as caught:
        await found.add(new(2, name="main"), "sk-canary-unsaid")
    assert (caught.value.status, caught.value.param) == (409, "name")
    assert "canary" not in caught.value.message
    await found.add(new(3, name="main", provider="groq"), canary())
    await found.add(new(4, name="main", tenant="other"), canary())
    assert [each.id for each in await found.page()] == [new(n).id for n in (1, 3, 4)]
    assert [each.id for each in await found.page(tenant="acme", after=new(1).id)] == [new(3).id]
    assert [each.id for each in await found.page(provider="openai", limit=1)] == [new(1).id]


async def test_a_change_moves_the_generation_on_for_its_tenant_alone(desk):
    _, found, _ = desk
    assert (await found.generation(), await found.changed(0)) == (0, {})
    await found.add(new(1), canary())
    await found.add(new(2, tenant="other"), canary())
    assert await found.changed(0) == {"acme": 1, "other": 2}
    await found.restrict("acme", own_only=True)
    assert (await found.holding("acme")).own_only
    assert (await found.rule("acme")).own_only
    assert not (await found.rule("other")).own_only
    assert await found.changed(2) == {"acme": 3}
    assert await found.turn(new(1).id, disabled=True, tenant="other") is None
    assert not await found.remove(new(1).id, tenant="other")
    assert await found.remove_all("other", "groq") == 0
    assert await found.generation() == 3
    assert await found.remove_all("other", "openai") == 1
    assert await found.remove(new(1).id, tenant="acme")
    assert await found.changed(3) == {"other": 4, "acme": 5}
    assert (await found.holding("acme")) == Holding(own_only=True)
    assert not (await found.holding("other"))


async def test_who_changes_at_once_is_told_of_in_turn(desk):
    _, found, _ = desk
    await asyncio.gather(*(found.add(new(n, tenant=f"t{n % 3}"), canary()) for n in range(12)))
    assert await found.generation() == 12
    assert max((await found.changed(0)).values()) == 12
    assert sum([len((await found.holding(f"t{n}")).keyed["openai"]) for n in range(3)]) == 12


async def test_a_tenant_has_so_many_and_no_more(desk):
    database, found, _ = desk
    await found.add(new(0), canary())
    async with database.write() as connection:
        row = dict((await connection.execute(select(credentials))).mappings().one())
        for number in range(1, MOST):
            await connection.execute(
                insert(credentials).values({**row, "id": new(number).id, "name": f"n{number}"})
            )
    with pytest.raises(CallerError, match="has 256 credentials already"):
        await found.add(new(MOST), canary())
    assert await found.generation() == 1
    await found.add(new(MOST, tenant="other"), canary())


async def test_when_it_was_used_only_ever_rises(desk):
    _, found, _ = desk
    kept = await found.add(new(1), canary())
    await found.used({kept.id: 5000, "own_gone": 7})
    await found.used({kept.id: 4000})
    await found.used({})
    assert (await found.get(kept.id)).used_ms == 5000
    assert await found.generation() == 1
    assert (await found.get(kept.id)).changed_ms == kept.changed_ms


async def test_a_credential_whose_key_is_gone_is_found_by_the_checkup(tmp_path):
    async with database_url("sqlite", tmp_path) as url:
        database = open_database(url)
        sealer = open_sealer(tmp_path, None)
        found = SqlCredentials(
            database, TenantKeys(database, sealer, SystemClock()), SystemClock()
        )
        await found.add(replace(new(1), name="x"), canary())
        async with database.write() as connection:
            await connection.execute(text("DELETE FROM secrets WHERE name LIKE 'tenant-%'"))
        await database.close()
        told = await check_up(url, sealer, tmp_path)
    assert any("What is kept for 1 tenants cannot be opened" in each for each in told.errors), told
