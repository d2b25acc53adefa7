"""The database's secrets, tenants' keys, the past and keys as rows: the same over every kind of database."""

from __future__ import annotations

import asyncio

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import func, insert, select

from databases import KINDS, database_url
from dragoman.core.clock import ManualClock
from dragoman.core.errors import HouseError
from dragoman.core.ids import uuid7_of
from dragoman.identity.cache import CachedKeys
from dragoman.identity.keyform import make_key, parse_key
from dragoman.store.engine import open_database
from dragoman.store.ledger_tables import hours, requests
from dragoman.store.seal import open_sealer
from dragoman.store.sql.key_rows import key_rows, pepper_marks, put_key_rows
from dragoman.store.sql.keys import NewKey, open_keys
from dragoman.store.sql.past import past_calls
from dragoman.store.sql.secrets import open_secret
from dragoman.store.sql.tenant_keys import TenantKeys
from dragoman.store.tables import keys as keys_table
from dragoman.store.tables import secrets
from filled import row

pytestmark = pytest.mark.anyio

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(params=KINDS)
async def database(request, tmp_path):
    async with database_url(request.param, tmp_path) as url:
        database = open_database(url)
        yield database
        await database.close()


@pytest.fixture
def clock():
    return ManualClock(wall=1_800_000_000.0)


async def sealed(database):
    async with database.read() as connection:
        found = await connection.execute(select(secrets))
        return {each.name: bytes(each.sealed) for each in found}


# --------------------------------------------------------------------------- secrets


async def test_processes_that_open_a_secret_at_once_have_the_same_one(database, clock, tmp_path):
    sealer = open_sealer(tmp_path, OLD)
    made = await asyncio.gather(
        *(open_secret(database, sealer, clock, "pepper") for _ in range(5))
    )
    assert len({each.versions[1] for each in made}) == 1
    assert len(await sealed(database)) == 1


async def test_a_rotated_key_seals_anew_and_the_old_one_is_then_not_needed(
    database, clock, tmp_path
):
    first = await open_secret(database, open_sealer(tmp_path, OLD), clock, "pepper")
    with pytest.raises(HouseError, match="not opened by any key"):
        await open_secret(database, open_sealer(tmp_path, NEW), clock, "pepper")
    both = await open_secret(database, open_sealer(tmp_path, f"{NEW},{OLD}"), clock, "pepper")
    alone = await open_secret(database, open_sealer(tmp_path, NEW), clock, "pepper")
    assert first.versions == both.versions == alone.versions


@pytest.mark.req("R-AUTH-009")
async def test_a_tenants_key_opens_its_own_places_alone_and_is_renewed(database, clock, tmp_path):
    old = TenantKeys(database, open_sealer(tmp_path, OLD), clock)
    ours, theirs = await old.key("ours"), await old.key("theirs")
    value = ours.seal(b"secret", "t", "1", "c")
    assert ours.open(value, "t", "1", "c") == b"secret"
    for key, place in (
        (theirs, ("t", "1", "c")),
        (ours, ("t", "2", "c")),
        (ours, ("u", "1", "c")),
    ):
        with pytest.raises(HouseError, match="damaged, or was moved"):
            key.open(value, *place)
    before = await sealed(database)
    renewing = TenantKeys(database, open_sealer(tmp_path, f"{NEW},{OLD}"), clock)
    assert await renewing.renew() == 2
    assert await renewing.renew() == 0
    after = await sealed(database)
    assert all(after[name] != token for name, token in before.items())
    new = TenantKeys(database, open_sealer(tmp_path, NEW), clock)
    assert (await new.key("ours")).open(value, "t", "1", "c") == b"secret"


# --------------------------------------------------------------------------- the past


async def test_the_past_is_read_newest_first_in_pages_and_to_its_limit(database, monkeypatch):
    from dragoman.store.sql import past

    monkeypatch.setattr(past, "_PAGE", 4)
    async with database.write() as connection:
        for number in range(10):
            second = 1_700_000_000 + number
            said = {"call_id": uuid7_of(second, number), "created_us": second * 1_000_000}
            await connection.execute(
                insert(requests).values(
                    row(requests, 0) | said | {"requested_model": f"m{number}"}
                )
            )

    async def models(since, limit):
        pages = [page async for page in past_calls(database, since * 1_000_000, limit)]
        return [call.requested_model for page in pages for call in page]

    assert await models(1_600_000_000, 100) == [f"m{number}" for number in range(9, -1, -1)]
    assert await models(1_600_000_000, 5) == ["m9", "m8", "m7", "m6", "m5"]
    assert await models(1_700_000_008, 100) == ["m9", "m8"]


# --------------------------------------------------------------------------- keys as rows


@pytest.mark.req("R-AUTH-003")
async def test_keys_as_rows_come_back_and_open_what_they_opened(database, clock, tmp_path):
    keys = await open_keys(database, open_sealer(tmp_path, OLD), clock)
    record, secret = await keys.create(NewKey("ci", tenant="acme", user_id="u"))
    async with database.write() as connection:
        used = {"key_id": record.id, "requests": 3, "input_tokens": 5, "output_tokens": 7}
        for hour in (1, 2):
            await connection.execute(insert(hours).values(row(hours, 0) | used | {"hour": hour}))
    [plain] = await key_rows(database, with_digests=False)
    assert "digest" not in plain
    assert "pepper_version" not in plain
    assert (plain["request_count"], plain["token_usage"]) == (6, 24)
    [told] = await key_rows(database, with_digests=True)
    whole = {name: value for name, value in told.items() if name in keys_table.c}
    whole["digest"] = bytes.fromhex(whole["digest"])
    generation = await keys.generation()
    assert await put_key_rows(database, [whole]) == []
    assert await keys.generation() == generation
    async with database.write() as connection:
        await connection.execute(keys_table.delete())
    assert await put_key_rows(database, [whole, whole]) == [record.id]
    assert await keys.generation() == generation + 1
    assert (await keys.find(secret.reveal(), record.id)).record == record


async def test_the_mark_of_a_pepper_tells_it_from_others_and_does_not_tell_it(
    database, clock, tmp_path
):
    sealer = open_sealer(tmp_path, OLD)
    pepper = await open_secret(database, sealer, clock, "pepper")
    other = await open_secret(database, sealer, clock, "another")
    mark = pepper_marks(pepper)
    assert mark == pepper_marks(await open_secret(database, sealer, clock, "pepper"))
    assert mark != pepper_marks(other)
    assert len(mark["1"]) == 16
    assert mark["1"] not in pepper.versions[1].hex()
    async with database.read() as connection:
        assert (await connection.execute(select(func.count()).select_from(secrets))).scalar() == 2


# --------------------------------------------------------------------------- guesses


async def test_a_flood_of_guesses_asks_the_database_next_to_nothing(database, clock, tmp_path):
    """Guesses of any form, with a good checksum too; keys that are there are found all the same (A11)."""
    store = await open_keys(database, open_sealer(tmp_path, OLD), clock)
    cached = CachedKeys(store, clock)
    ours = (await store.create(NewKey("ours")))[1].reveal()
    foreign = "sk-brought-along-0123456789"
    await store.store(foreign, NewKey("foreign"))
    gone, gone_key = await store.create(NewKey("gone"))
    await store.revoke(gone.id)
    asked = 0
    find = store.find

    async def counted(credential, public_id):
        nonlocal asked
        asked += 1
        return await find(credential, public_id)

    store.find = counted
    for number in range(2000):
        clock.advance(0.006)
        guess = make_key("drg") if number % 2 else f"sk-guess-{number:06}"
        form = parse_key(guess, "drg")
        found = await cached.find(guess, form.public_id if form else None)
        assert found.record is None
        assert found.mark == store.digest(guess).hex()[: len(found.mark)]
    assert asked <= 40, "beside those that were no flood yet, none"
    assert (await cached.find(ours, ours[4:12])).record.name == "ours"
    assert (await cached.find(foreign, None)).record.name == "foreign"
    assert (await cached.find(gone_key.reveal(), gone.id)).record.revoked is not None
    renewed, rotated = await store.create(NewKey("made in the flood"))
    clock.advance(1.1)
    assert (await cached.find(rotated.reveal(), renewed.id)).record.id == renewed.id
    await cached.close()
