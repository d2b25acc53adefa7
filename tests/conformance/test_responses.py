"""One suite for the kept responses in every database: whose they are, for how long, and how sealed."""

from __future__ import annotations

import asyncio

import pytest
from cryptography.fernet import Fernet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, insert, select, update

from databases import KINDS, database_url
from dragoman.core.clock import ManualClock
from dragoman.core.errors import HouseError
from dragoman.keeping.ports import Content, Held, Kept, Link
from dragoman.store.response_tables import items, responses
from dragoman.store.schema import open_upgraded
from dragoman.store.seal import open_sealer
from dragoman.store.sql.responses import RENEW_MS, SqlResponses
from dragoman.store.sql.tenant_keys import TenantKeys
from dragoman.store.tables import secrets
from sampling import examples

pytestmark = pytest.mark.anyio
DAY = 24 * 60 * 60


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(params=KINDS)
async def database(request, tmp_path):
    async with database_url(request.param, tmp_path) as url:
        database = await open_upgraded(url)
        yield database
        await database.close()


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def store(database, clock, tmp_path):
    return SqlResponses(database, TenantKeys(database, open_sealer(tmp_path, None), clock), clock)


def kept(clock, name="resp_1", previous=None, said=b'["hello"]', days=30.0, **changes) -> Kept:
    members = {
        "provider": "groq",
        "credential": "key-1",
        "content": Content(said, b'{"id":"%s"}' % name.encode()),
        **changes,
    }
    now = clock.wall()
    return Kept(id=name, created=now, expires=now + days * DAY, previous=previous, **members)


async def holders(store, tenant, wanted) -> dict[str, str]:
    """Item → the id of its response."""
    return {item: link.id for item, link in (await store.holders(tenant, wanted)).items()}


async def test_what_another_tenant_has_is_told_from_what_nobody_has(store, clock):
    await store.put("theirs", kept(clock, items=("msg_1",)))
    wanted = ("resp_1", "msg_1", "resp_9")
    assert await store.strangers("ours", wanted) == {"resp_1", "msg_1"}
    assert await store.strangers("theirs", wanted) == frozenset()
    assert await store.strangers("ours", ()) == frozenset()
    assert await store.delete("theirs", "resp_1")
    assert await store.strangers("ours", wanted) == frozenset()


async def test_what_a_provider_keeps_for_another_is_told_from_what_is_kept_here(store, clock):
    await store.put("theirs", kept(clock, items=("msg_1",)))
    await store.put("theirs", kept(clock, "resp_own", content=None, items=("msg_own",)))
    wanted = ("resp_1", "msg_1", "resp_own", "msg_own", "msg_9")
    assert await store.strangers("ours", wanted) == set(wanted[:4])
    assert await store.strangers("ours", wanted, elsewhere=True) == {"resp_own", "msg_own"}
    assert await store.strangers("theirs", wanted, elsewhere=True) == frozenset()


async def test_the_places_of_an_item_are_all_responses_of_its_tenant_in_which_it_stands(
    store, clock
):
    for name in ("resp_1", "resp_2"):
        await store.put("ours", kept(clock, name, items=("msg_1",)))
    await store.put("theirs", kept(clock, "resp_3", items=("msg_1",)))
    assert await store.places("ours", "msg_1") == {"resp_1", "resp_2"}
    assert await store.places("ours", "msg_2") == frozenset()


async def test_what_a_tenant_has_kept_here_is_counted(store, clock):
    assert await store.held("ours") == Held(0, 0)
    await store.put("ours", kept(clock, days=1, said=b"[1]"))
    await store.put("ours", kept(clock, "resp_2", said=b"[22]"))
    await store.put("ours", kept(clock, "resp_own", content=None))
    await store.put("theirs", kept(clock))
    sizes = [len(said) + len(b'{"id":"resp_1"}') for said in (b"[1]", b"[22]")]
    assert await store.held("ours") == Held(2, sum(sizes))
    clock.advance(DAY)
    assert await store.held("ours") == Held(1, sizes[1])


async def test_what_a_tenant_has_is_counted_in_an_index(store, database, clock):
    """SQLite takes it by itself; PostgreSQL does once there are rows that make it worth while."""
    explain = "EXPLAIN QUERY PLAN" if database.backend == "sqlite" else "EXPLAIN"
    async with database.read() as connection:
        if database.backend == "postgresql":
            await connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        found = await connection.exec_driver_sql(
            f"{explain} SELECT count(*), sum(size) FROM kept_responses "
            "WHERE tenant = 'ours' AND size > 0 AND expires_ms > 5"
        )
        plan = " ".join(str(row) for row in found.all())
    assert "ix_kept_responses_held" in plan
    assert database.backend == "postgresql" or "COVERING INDEX" in plan


async def test_what_is_put_is_there_until_it_is_deleted(store, clock):
    record = kept(clock, items=("msg_1", "fc_1"))
    await store.put("ours", record)
    found = await store.get("ours", "resp_1")
    assert found == kept(clock)
    assert await holders(store, "ours", ("msg_1", "fc_1", "msg_2")) == {
        "msg_1": "resp_1",
        "fc_1": "resp_1",
    }
    assert await store.delete("ours", "resp_1")
    assert not await store.delete("ours", "resp_1")
    assert await store.get("ours", "resp_1") is None
    assert await holders(store, "ours", ("msg_1",)) == {}


async def test_a_response_of_a_providers_own_is_known_without_what_was_said(store, clock):
    record = kept(clock, content=None, provider="openai", credential=None)
    await store.put("ours", record)
    assert await store.get("ours", "resp_1") == record
    assert await store.chain("ours", "resp_1", 9) == (
        Link("resp_1", None, 0, here=False, provider="openai"),
    )
    await store.put("ours", kept(clock, "resp_2", previous="resp_0", items=("msg_1",)))
    size = len(b'["hello"]') + len(b'{"id":"resp_2"}')
    link = Link("resp_2", "resp_0", size, here=True, provider="groq", credential="key-1")
    assert await store.holders("ours", ("msg_1",)) == {"msg_1": link}
    assert await store.contents("ours", ("resp_1",)) == {}


async def test_nothing_of_a_tenant_is_there_for_another(store, clock):
    await store.put("ours", kept(clock, items=("msg_1",)))
    await store.put("ours", kept(clock, "resp_2", previous="resp_1"))
    assert await store.get("theirs", "resp_1") is None
    assert await store.chain("theirs", "resp_2", 9) == ()
    assert await store.contents("theirs", ("resp_1", "resp_2")) == {}
    assert await holders(store, "theirs", ("msg_1",)) == {}
    assert not await store.delete("theirs", "resp_1")
    assert await store.get("ours", "resp_1") is not None


async def test_two_tenants_may_have_responses_of_one_id(store, clock):
    await store.put("ours", kept(clock, said=b"[1]", items=("msg_1",)))
    await store.put("theirs", kept(clock, said=b"[2]", items=("msg_1",)))
    for tenant, said in (("ours", b"[1]"), ("theirs", b"[2]")):
        found = await store.get(tenant, "resp_1")
        assert found.content.input == said
    await store.delete("theirs", "resp_1")
    assert (await store.get("ours", "resp_1")).content.input == b"[1]"
    assert await holders(store, "ours", ("msg_1",)) == {"msg_1": "resp_1"}


async def test_a_response_takes_the_place_of_one_with_its_id(store, clock):
    await store.put("ours", kept(clock, said=b"[1]", items=("msg_1",)))
    await store.put("ours", kept(clock, said=b"[2]", items=("msg_2", "msg_2")))
    assert (await store.get("ours", "resp_1")).content.input == b"[2]"
    assert await holders(store, "ours", ("msg_1", "msg_2")) == {"msg_2": "resp_1"}


async def test_what_outlives_a_response_stays_its_tenants(store, clock):
    own = kept(clock, content=None, items=("msg_1",), lasting=("conv_1", "cntr_1"), days=1)
    await store.put("ours", own)
    await store.put("ours", kept(clock, "resp_2", content=None, lasting=("conv_1",)))
    assert await store.delete("ours", "resp_1")
    clock.advance(31 * DAY)
    assert await store.expire(9) == 2
    wanted = ("resp_1", "msg_1", "conv_1", "cntr_1")
    for elsewhere in (False, True):
        found = await store.strangers("theirs", wanted, elsewhere=elsewhere)
        assert found == {"conv_1", "cntr_1"}
    assert await store.strangers("ours", wanted) == frozenset()
    found = await store.holders("ours", wanted)
    assert found["conv_1"] == Link(
        "conv_1", None, 0, here=False, provider="groq", credential="key-1"
    )
    assert set(found) == {"conv_1", "cntr_1"}
    # It is no response.
    assert await store.get("ours", "conv_1") is None
    assert await store.chain("ours", "conv_1", 9) == ()
    assert await store.holders("theirs", wanted) == {}


async def test_a_late_note_does_not_bring_back_what_was_deleted(store, clock):
    late = kept(clock, content=None, items=("msg_1",), lasting=("conv_1",))
    await store.put("ours", late)
    clock.advance(1)
    assert await store.delete("ours", "resp_1")
    await store.put("ours", late)
    assert await store.get("ours", "resp_1") is None
    assert await store.chain("ours", "resp_1", 9) == ()
    assert set(await store.holders("ours", ("resp_1", "msg_1", "conv_1"))) == {"conv_1"}
    assert await store.strangers("theirs", ("resp_1", "msg_1", "conv_1")) == {"conv_1"}
    assert not await store.delete("ours", "resp_1")
    # One that was made since is another.
    clock.advance(1)
    await store.put("ours", kept(clock, content=None, items=("msg_2",)))
    assert await store.get("ours", "resp_1") is not None
    assert set(await store.holders("ours", ("msg_1", "msg_2"))) == {"msg_2"}


async def test_of_several_notes_at_once_no_item_is_lost(store, clock):
    notes = [kept(clock, content=None, items=(f"msg_{number}",)) for number in range(9)]
    await asyncio.gather(*(store.put("ours", note) for note in notes))
    assert len(await holders(store, "ours", tuple(f"msg_{number}" for number in range(9)))) == 9


async def test_a_response_of_a_providers_own_has_all_items_that_were_ever_told_of_it(store, clock):
    await store.put("ours", kept(clock, content=None, items=("msg_1",)))
    await store.put("ours", kept(clock, content=None))
    await store.put("ours", kept(clock, content=None, items=("msg_1", "msg_2")))
    assert set(await store.holders("ours", ("msg_1", "msg_2"))) == {"msg_1", "msg_2"}


async def test_several_who_put_the_same_id_at_once_agree(store, clock):
    await asyncio.gather(
        *(
            store.put("ours", kept(clock, said=b"[%d]" % number, items=(f"msg_{number}", "fc_1")))
            for number in range(4)
        )
    )
    found = await store.get("ours", "resp_1")
    (number,) = found.content.input.strip(b"[]").decode()
    wanted = tuple(f"msg_{other}" for other in range(4))
    assert await holders(store, "ours", wanted) == {f"msg_{number}": "resp_1"}
    assert await holders(store, "ours", ("fc_1",)) == {"fc_1": "resp_1"}


async def test_an_item_belongs_to_the_newest_response_that_it_stands_in(store, clock):
    for name in ("resp_b", "resp_a"):
        clock.advance(1)
        await store.put("ours", kept(clock, name, items=("msg_1",)))
    assert await holders(store, "ours", ("msg_1",)) == {"msg_1": "resp_a"}
    await store.delete("ours", "resp_a")
    assert await holders(store, "ours", ("msg_1",)) == {"msg_1": "resp_b"}


async def test_a_chain_is_walked_from_its_end(store, clock):
    await store.put("ours", kept(clock, "resp_0"))
    for number in range(1, 5):
        await store.put("ours", kept(clock, f"resp_{number}", previous=f"resp_{number - 1}"))
    names = [link.id for link in await store.chain("ours", "resp_3", 9)]
    assert names == ["resp_3", "resp_2", "resp_1", "resp_0"]
    cut = await store.chain("ours", "resp_3", 2)
    assert [(link.id, link.previous) for link in cut] == [
        ("resp_3", "resp_2"),
        ("resp_2", "resp_1"),
    ]
    assert {link.size for link in cut} == {len(b'["hello"]') + len(b'{"id":"resp_3"}')}
    await store.delete("ours", "resp_1")
    broken = await store.chain("ours", "resp_3", 9)
    assert broken[-1].previous == "resp_1"
    assert await store.chain("ours", "resp_9", 9) == ()


async def test_a_chain_that_goes_in_a_circle_ends(store, clock):
    await store.put("ours", kept(clock, "resp_1", previous="resp_2"))
    await store.put("ours", kept(clock, "resp_2", previous="resp_1"))
    assert len(await store.chain("ours", "resp_1", 7)) == 7


async def test_many_contents_and_items_are_read_at_once(store, clock):
    names = tuple(f"resp_{number}" for number in range(450))
    for name in names[:3]:
        await store.put("ours", kept(clock, name, items=tuple(f"{name}_{n}" for n in range(500))))
    found = await store.contents("ours", names)
    assert set(found) == set(names[:3])
    wanted = tuple(f"{name}_{n}" for name in names[:3] for n in range(500))
    assert len(await holders(store, "ours", wanted)) == 1500


async def test_what_has_expired_is_gone_before_it_is_removed(store, clock):
    await store.put("ours", kept(clock, days=1, items=("msg_1",)))
    await store.put("ours", kept(clock, "resp_2", previous="resp_1"))
    clock.advance(DAY)
    assert await store.get("ours", "resp_1") is None
    assert await store.contents("ours", ("resp_1",)) == {}
    assert await holders(store, "ours", ("msg_1",)) == {}
    assert not await store.delete("ours", "resp_1")
    assert [link.id for link in await store.chain("ours", "resp_2", 9)] == ["resp_2"]


async def test_expired_rows_are_removed_in_bounded_batches(store, database, clock):
    for number in range(5):
        await store.put(f"t{number}", kept(clock, days=1, items=("msg_1",)))
    await store.put("ours", kept(clock, days=2, items=("msg_1",)))
    assert await store.expire(10) == 0
    clock.advance(DAY)
    assert [await store.expire(3), await store.expire(3), await store.expire(3)] == [3, 2, 0]
    async with database.read() as connection:
        left = [
            (await connection.execute(select(func.count()).select_from(table))).scalar_one()
            for table in (responses, items)
        ]
    assert left == [1, 1]
    assert await store.get("ours", "resp_1") is not None


async def test_who_is_continued_lives_as_long_as_what_continues_it(store, clock):
    await store.put("ours", kept(clock, "resp_1"))
    await store.put("theirs", kept(clock, "resp_1"))
    clock.advance(20 * DAY)
    await store.put("ours", kept(clock, "resp_2", previous="resp_1"), ("resp_1",))
    clock.advance(20 * DAY)
    assert [link.id for link in await store.chain("ours", "resp_2", 9)] == ["resp_2", "resp_1"]
    assert await store.get("theirs", "resp_1") is None


async def test_renewing_by_less_than_a_day_writes_nothing(store, clock):
    await store.put("ours", kept(clock, "resp_1"))
    before = await store.get("ours", "resp_1")
    clock.advance(RENEW_MS / 1000)
    await store.put("ours", kept(clock, "resp_2", previous="resp_1"), ("resp_1",))
    assert await store.get("ours", "resp_1") == before
    await store.put("ours", kept(clock, "resp_3", days=31, previous="resp_1"), ("resp_1",))
    assert (await store.get("ours", "resp_1")).expires == before.expires + 2 * DAY


# --- at rest


async def stored(database) -> bytes:
    async with database.read() as connection:
        rows = (await connection.execute(select(responses))).mappings().all()
    return b"".join(bytes(row[column]) for row in rows for column in ("input", "reply"))


async def test_what_was_said_stands_nowhere_in_the_database(store, database, clock, tmp_path):
    await store.put("ours", kept(clock, said=b'["a secret plan"]'))
    assert b"secret plan" not in await stored(database)
    on_disk = b"".join(file.read_bytes() for file in tmp_path.iterdir() if file.is_file())
    assert b"secret plan" not in on_disk
    assert b"resp_1" not in await stored(database)


async def test_the_same_words_are_sealed_differently_each_time(store, database, clock):
    await store.put("ours", kept(clock))
    first = await stored(database)
    await store.put("ours", kept(clock))
    assert await stored(database) != first


@pytest.mark.parametrize("move", ["tenant", "row", "column", "bit", "cut"])
async def test_what_was_moved_or_changed_does_not_open(store, database, clock, move):
    await store.put("ours", kept(clock))
    await store.put("theirs", kept(clock))
    async with database.write() as connection:
        row = dict(
            (await connection.execute(select(responses).where(responses.c.tenant == "ours")))
            .mappings()
            .one()
        )
        tenant, name = "ours", "resp_1"
        if move == "tenant":
            tenant = "theirs"
        elif move == "row":
            name = "resp_2"
            await connection.execute(insert(responses).values({**row, "id": name}))
        elif move == "column":
            row["reply"] = row["input"]
        elif move == "bit":
            row["reply"] = bytes(row["reply"][:-1]) + bytes([row["reply"][-1] ^ 1])
        else:
            row["reply"] = row["reply"][:9]
        await connection.execute(
            update(responses)
            .where(responses.c.tenant == tenant, responses.c.id == name)
            .values(input=row["input"], reply=row["reply"])
        )
    with pytest.raises(HouseError, match="damaged, or was moved"):
        await store.get(tenant, name)


async def test_another_process_opens_what_was_kept_and_a_rotated_key_too(
    database, clock, tmp_path
):
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()

    def opened(fernet_keys):
        sealer = open_sealer(tmp_path, fernet_keys)
        return SqlResponses(database, TenantKeys(database, sealer, clock), clock)

    await opened(old).put("ours", kept(clock))
    assert await opened(f"{new},{old}").get("ours", "resp_1") == kept(clock)
    # The key of the tenant was sealed anew with that.
    assert await opened(new).get("ours", "resp_1") == kept(clock)
    with pytest.raises(HouseError, match="FERNET_KEY"):
        await opened(old).get("ours", "resp_1")


@pytest.mark.parametrize("before", ["old", "file"])
async def test_at_a_start_the_keys_of_all_tenants_are_sealed_anew(
    database, clock, tmp_path, before
):
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()

    def opened(fernet_keys):
        sealer = open_sealer(tmp_path, fernet_keys)
        return SqlResponses(database, TenantKeys(database, sealer, clock), clock)

    first = opened(old if before == "old" else None)
    for tenant in ("a", "b", "c"):
        await first.put(tenant, kept(clock))
    assert await first.keys.renew() == 0
    rotated = opened(f"{new},{old}" if before == "old" else new)
    assert await rotated.get("b", "resp_1") == kept(clock)
    assert await rotated.keys.renew() == 2
    assert await rotated.keys.renew() == 0
    last = opened(new)
    assert await last.keys.renew() == 0
    for tenant in ("a", "b", "c"):
        assert await last.get(tenant, "resp_1") == kept(clock)


async def test_every_tenant_has_a_key_of_its_own_however_long_its_name(store, database, clock):
    names = ["a" * 128, "a" * 127 + "b", "tenant", "ß"]
    await asyncio.gather(*(store.put(name, kept(clock)) for name in names))
    keys = [await store.keys.key(name) for name in names]
    assert len({key.versions.versions[1] for key in keys}) == len(names)
    assert "versions" not in repr(keys[0])
    async with database.read() as connection:
        found = (await connection.execute(select(secrets.c.name))).scalars().all()
    assert len(found) == len(names)
    assert all(name.startswith("tenant-") for name in found)


@settings(
    max_examples=examples(10),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(said=st.binary(max_size=300), name=st.text("abc_-", min_size=1, max_size=40))
async def test_sealed_and_opened_is_what_it_was(store, said, name):
    key = await store.keys.key(name)
    sealed = key.seal(said, "table", name, "column")
    assert key.open(sealed, "table", name, "column") == said
    for other in (("tabl", name, "column"), ("table", name + "x", "column"), ("table", name, "c")):
        with pytest.raises(HouseError):
            key.open(sealed, *other)
