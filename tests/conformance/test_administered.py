"""What the admin API keeps, over SQLite and over PostgreSQL: the audit log, names, providers, submitted keys."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace
from sqlalchemy import delete, insert, select, update

from databases import KINDS, database_url
from dragoman.accounting.search import Search
from dragoman.audit.chain import Deed
from dragoman.catalog.stored import Named, StoredProvider, Submission
from dragoman.core.call import Limits
from dragoman.core.clock import SystemClock
from dragoman.core.errors import CallerError, HouseError
from dragoman.identity.keyform import make_key
from dragoman.identity.ports import KeyChange, KeyRecord, KeySearch
from dragoman.store.admin_tables import audit, stored_providers, submitted
from dragoman.store.administered import open_administered
from dragoman.store.engine import open_database
from dragoman.store.seal import open_sealer
from dragoman.store.sql.audit import open_audit
from dragoman.store.sql.keys import NewKey, open_keys
from dragoman.store.sql.search import SqlSearch

pytestmark = pytest.mark.anyio
SECRET = "sk-or-v1-very-secret-0123456789"


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(params=KINDS)
async def desk(request, tmp_path):
    async with database_url(request.param, tmp_path) as url:
        database = open_database(url)
        sealer, clock = open_sealer(tmp_path, None), SystemClock()
        keys = await open_keys(database, sealer, clock)
        found = await open_administered(database, keys, sealer, clock)
        yield database, found, sealer, clock
        await database.close()


def deed(number=1, **members):
    return Deed(
        **{
            "action": "alias.put",
            "target": f"t-{number}",
            "tenant": "*",
            "actor": "k",
            "actor_tenant": "default",
            "outcome": "done",
            **members,
        }
    )


# --------------------------------------------------------------------------- the audit log


async def test_entries_hang_together_however_many_write_at_once(desk):
    database, found, sealer, clock = desk
    others = [await open_audit(database, sealer, clock) for _ in range(3)]
    await asyncio.gather(
        *(log.append(deed(n)) for n in range(6) for log in (found.audit, *others))
    )
    verdict = await found.audit.verify()
    assert (verdict.entries, verdict.number) == (24, None)
    entries = await found.audit.page(limit=100)
    assert [entry.number for entry in entries] == list(range(24, 0, -1))


async def test_entries_are_found_by_what_they_tell(desk):
    log = desk[1].audit
    for number in range(1, 6):
        await log.append(deed(number, tenant="a" if number % 2 else "b", actor=f"k{number}"))
    assert [e.deed.target for e in await log.page(tenant="a")] == ["t-5", "t-3", "t-1"]
    assert [e.number for e in await log.page(before=4, limit=2)] == [3, 2]
    assert [e.number for e in await log.page(actor="k2", action="alias.put")] == [2]
    assert await log.page(outcome="failed") == []


@pytest.mark.parametrize(
    ("harm", "spot"),
    [
        (delete(audit).where(audit.c.number == 3), 3),
        (delete(audit).where(audit.c.number == 5), 5),
        (delete(audit).where(audit.c.number == 1), 1),
        (update(audit).where(audit.c.number == 2).values(actor="somebody-else"), 2),
        (update(audit).where(audit.c.number == 4).values(at_us=1), 4),
        (update(audit).where(audit.c.number == 4).values(before="{}"), 4),
        (update(audit).where(audit.c.number == 3).values(number=9), 3),
    ],
)
async def test_whatever_is_done_to_the_rows_is_found(desk, harm, spot):
    database, found, _, _ = desk
    for number in range(1, 6):
        await found.audit.append(deed(number))
    async with database.write() as connection:
        await connection.execute(harm)
    verdict = await found.audit.verify()
    assert verdict.number == spot
    assert verdict.entries == spot - 1


async def test_an_entry_that_somebody_adds_by_hand_is_found(desk):
    database, found, _, _ = desk
    await found.audit.append(deed())
    async with database.write() as connection:
        row = dict((await connection.execute(select(audit))).mappings().one())
        await connection.execute(
            insert(audit).values({**row, "number": 2, "previous": row["seal"]})
        )
    assert (await found.audit.verify()).number == 2


# --------------------------------------------------------------------------- names and providers


async def test_names_come_back_as_they_were_said_and_move_the_generation(desk):
    names = desk[1].names
    before = await names.generation()
    route = Named("route", "smart", ("a/b", "c/d"), (1, 2), "weighted")
    stored = await names.put(route)
    assert (stored.targets, stored.weights, stored.strategy) == (
        ("a/b", "c/d"),
        (1, 2),
        "weighted",
    )
    assert stored.created_ms == stored.changed_ms > 0
    await names.put(Named("alias", "fast", ("a/b",)))
    await names.put(Named("policy", "fast", ("a/b",), tenant="t1"))
    assert await names.generation() == before + 3
    assert [each.name for each in await names.page("alias")] == ["fast"]
    assert await names.get("policy", "fast") is None
    assert (await names.get("policy", "fast", tenant="t1")).tenant == "t1"
    assert [each.name for each in await names.page("policy", tenant="t2")] == []
    again = await names.put(Named("alias", "fast", ("x/y",)))
    assert (again.targets, again.created_ms <= again.changed_ms) == (("x/y",), True)
    assert await names.remove("alias", "fast")
    assert not await names.remove("alias", "fast")
    assert await names.generation() == before + 5


async def test_pages_of_names_follow_one_another(desk):
    names = desk[1].names
    for name in ("c", "a", "b"):
        await names.put(Named("alias", name, ("x/y",)))
    first = await names.page("alias", limit=2)
    assert [each.name for each in first] == ["a", "b"]
    assert [each.name for each in await names.page("alias", after="b")] == ["c"]


async def test_a_providers_key_is_sealed_for_its_row_and_opened_for_the_assembly_alone(desk):
    database, found, _, _ = desk
    await found.names.put_provider(
        StoredProvider("mine", "http://a/v1", key_preview="sk-or-****"), SECRET
    )
    await found.names.put_provider(StoredProvider("mine", "http://b/v1", disabled=True), None)
    (shown,) = await found.names.providers()
    assert (shown.base_url, shown.disabled, shown.key_preview) == (
        "http://b/v1",
        True,
        "sk-or-****",
    )
    assert (await found.names.overlay()).keys == {"mine": (SECRET,)}
    async with database.write() as connection:
        row = (await connection.execute(select(stored_providers))).mappings().one()
        assert SECRET.encode() not in b"".join(
            value if isinstance(value, bytes) else str(value).encode() for value in row.values()
        )
        await connection.execute(insert(stored_providers).values({**dict(row), "name": "other"}))
    with pytest.raises(HouseError):
        await found.names.overlay()


# --------------------------------------------------------------------------- submitted keys


def handed(number=1, **members):
    return Submission(
        **{
            "id": f"00000000-0000-7000-8000-00000000000{number}",
            "provider": "openrouter",
            "preview": "sk-or-****6789",
            **members,
        }
    )


async def test_a_submitted_key_serves_only_while_it_is_adopted(desk):
    found = desk[1]
    await found.submissions.add(handed(1, tier=3, submitted_by="192.0.2.1"), SECRET, 10)
    assert (await found.names.overlay()).adopted == {}
    before = await found.names.generation()
    assert await found.submissions.adopt(handed(1).id)
    assert not await found.submissions.adopt(handed(1).id)
    assert await found.names.generation() == before + 1
    assert (await found.names.overlay()).adopted == {"openrouter": (SECRET,)}
    assert await found.submissions.adopt(handed(1).id, off=True)
    assert (await found.names.overlay()).adopted == {}
    assert await found.submissions.remove(handed(1).id)
    assert await found.submissions.get(handed(1).id) is None


async def test_the_same_key_comes_once_and_not_too_many_wait(desk):
    found = desk[1]
    await found.submissions.add(handed(1), SECRET, 2)
    with pytest.raises(CallerError) as error:
        await found.submissions.add(handed(2), SECRET, 2)
    assert error.value.status == 409
    await found.submissions.add(handed(3), SECRET + "x", 2)
    with pytest.raises(CallerError) as error:
        await found.submissions.add(handed(4), SECRET + "y", 2)
    assert (error.value.status, error.value.code) == (429, "insufficient_quota")
    await found.submissions.adopt(handed(3).id)
    await found.submissions.add(handed(4), SECRET + "y", 2)
    assert [each.id[-1] for each in await found.submissions.page()] == ["4", "3", "1"]
    assert [each.id[-1] for each in await found.submissions.page(before=handed(3).id)] == ["1"]


async def test_no_column_of_a_submission_holds_the_key(desk):
    database, found, _, _ = desk
    await found.submissions.add(handed(1), SECRET, 2)
    async with database.read() as connection:
        row = (await connection.execute(select(submitted))).mappings().one()
    assert all(
        SECRET.encode() not in (v if isinstance(v, bytes) else str(v).encode())
        for v in row.values()
    )


async def test_looking_through_an_empty_ledger_finds_nothing(desk):
    search = SqlSearch(desk[0])
    assert await search.calls(Search(tenant="x"), before=None, limit=10) == []
    failures = await search.failures(Search(), 10)
    assert (failures.looked_at, failures.capped, failures.counts) == (0, False, {})


# --------------------------------------------------------------------------- callers' keys


def like(name="alice", **members):
    return KeyRecord(**{"id": "", "tenant": "one", "name": name, "created": 0.0, **members})


async def every(found, search, limit=2):
    seen, after = [], None
    while rows := await found.keys.page(search, after=after, limit=limit):
        seen += [row.name for row in rows]
        after = (round(rows[-1].created * 1000), rows[-1].id)
    return seen


async def test_pages_of_keys_hold_each_once_though_they_are_made_in_one_moment(desk):
    found = desk[1]
    names = [f"k{number}" for number in range(7)]
    for name in names:
        await found.keys.create(like(name))
    await found.keys.create(like("foreign", tenant="two"))
    assert sorted(await every(found, KeySearch(tenant="one"))) == names
    assert await every(found, KeySearch(tenant="two")) == ["foreign"]
    assert len(await every(found, KeySearch())) == 8


async def test_keys_are_found_by_how_they_stand(desk):
    found = desk[1]
    active, _ = await found.keys.create(like("active", user_id="u1"))
    revoked, _ = await found.keys.create(like("revoked"))
    await found.keys.revoke(revoked.id)
    await found.keys.create(like("expired", expires=1.0))
    await found.keys.create(like("lasting", expires=4e9, role="admin"))
    for state, names in (
        ("active", ["active", "lasting"]),
        ("revoked", ["revoked"]),
        ("expired", ["expired"]),
    ):
        assert sorted(await every(found, KeySearch(state=state))) == names
    assert await every(found, KeySearch(role="admin")) == ["lasting"]
    assert await every(found, KeySearch(user_id="u1")) == ["active"]
    assert await every(found, KeySearch(key_id=active.id)) == ["active"]


async def test_a_change_leaves_what_it_does_not_say(desk):
    database, found, sealer, clock = desk
    store = await open_keys(database, sealer, clock)
    record, _ = await found.keys.create(like(limits=Limits(rps=1, tpm=5), tier="pro", expires=4e9))
    before = await store.generation()
    assert await found.keys.change(record.id, KeyChange()) == record
    assert await store.generation() == before, "nothing was changed"
    changed = await found.keys.change(record.id, KeyChange(name="bob", limits=Limits(rpm=2)))
    assert (changed.name, changed.tier, changed.expires) == ("bob", "pro", 4e9)
    assert (changed.limits.rps, changed.limits.rpm, changed.limits.tpm) == (None, 2, None)
    assert await store.generation() == before + 1
    changed = await found.keys.change(record.id, KeyChange(tier="", expires=0, role="admin"))
    assert (changed.tier, changed.expires, changed.role) == (None, None, "admin")
    assert await found.keys.change("nobody", KeyChange(name="x")) is None


async def test_a_rotated_key_stays_the_same_key_and_its_old_secret_ends_after_the_overlap(desk):
    database, found, sealer, clock = desk
    store = await open_keys(database, sealer, clock)
    old, secret = await found.keys.create(
        like(user_id="u1", limits=Limits(rpm=9), tier="pro", role="admin")
    )
    before = await store.generation()
    new, fresh = await found.keys.rotate(old, 60)
    assert await store.generation() == before + 1
    assert new == replace(old, previous_until=new.previous_until)
    assert 50 < new.previous_until - clock.wall() <= 60
    assert fresh.reveal() != secret.reveal()
    assert fresh.reveal().startswith(f"drg_{old.id}_"), "its public id is still its own"
    assert (await store.find(fresh.reveal(), old.id)).record == new
    former = (await store.find(secret.reveal(), old.id)).record
    assert former == replace(new, expires=new.previous_until)
    _, third = await found.keys.rotate(new, 60)
    assert (await store.find(secret.reveal(), old.id)).record is None, "two back is too far"
    assert (await store.find(fresh.reveal(), old.id)).record.expires is not None
    await found.keys.rotate(new, 0)
    gone = await store.find(secret.reveal(), old.id)
    assert (gone.record, gone.other_secret) == (None, True)
    for ended in (third, fresh):
        assert (await store.find(ended.reveal(), old.id)).record is None
    assert not (await store.find(make_key("drg"), "nobody12")).other_secret


async def test_an_overlap_gives_no_longer_life(desk):
    database, found, sealer, clock = desk
    store = await open_keys(database, sealer, clock)
    soon, secret = await found.keys.create(like(expires=clock.wall() + 5))
    await found.keys.rotate(soon, 600)
    assert (await store.find(secret.reveal(), soon.id)).record.expires == soon.expires


async def test_an_imported_key_is_rotated_to_one_of_ours_and_found_under_both(desk):
    database, found, sealer, clock = desk
    store = await open_keys(database, sealer, clock)
    old = await store.store("a-key-from-elsewhere", NewKey("ci"))
    _, fresh = await found.keys.rotate(old, 60)
    assert fresh.reveal().startswith(f"drg_{old.id}_")
    assert (await store.find("a-key-from-elsewhere", None)).record.id == old.id
    with pytest.raises(CallerError, match="stored already"):
        await store.store("a-key-from-elsewhere", NewKey("another"))
    await found.keys.rotate(old, 0)
    assert (await store.find("a-key-from-elsewhere", None)).record is None


async def test_a_keys_use_counts_anew_from_when_it_was_said(desk):
    database, found, sealer, clock = desk
    store = await open_keys(database, sealer, clock)
    record, secret = await store.create(NewKey("k"))
    other, others = await store.create(NewKey("other"))

    async def since(key, name):
        return (await store.find(key.reveal(), name)).record.counts_since_us

    assert await since(secret, record.id) is None
    generation = await store.generation()
    first = await found.keys.reset_usage(record.id)
    assert await since(secret, record.id) == first
    assert await store.generation() == generation + 1, "every process takes note"
    second = await found.keys.reset_usage(record.id)
    assert second >= first
    assert await since(secret, record.id) == second
    assert await since(others, other.id) is None
