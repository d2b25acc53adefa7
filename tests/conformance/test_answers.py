"""One suite for the answers that are given again, in every database: whose, for how long, how sealed."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace
from sqlalchemy import select, update

from databases import KINDS, database_url
from dragoman.core.call import Origin
from dragoman.core.clock import ManualClock
from dragoman.core.errors import CallerError, HouseError
from dragoman.core.loss import Loss
from dragoman.reuse.policy import DAY_S, ReusePolicy
from dragoman.reuse.ports import Absent, Busy, Claimed, Differs, Spot
from dragoman.reuse.transcript import Told, Transcript
from dragoman.store.answer_tables import answers
from dragoman.store.schema import open_upgraded
from dragoman.store.seal import open_sealer
from dragoman.store.sql.answers import SqlAnswers
from dragoman.store.sql.tenant_keys import TenantKeys

pytestmark = pytest.mark.anyio
POLICY = ReusePolicy(lease_s=10, most_kept_bytes=100)
SPOT = Spot("ours", "a" * 64)
CALL = "01a21956-ba3d-74a6-a770-fb52b9be1561"
OTHER = "01a21956-ba3d-74a6-a770-fb52b9be1562"
SAME, ANOTHER = b"1" * 32, b"2" * 32


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
    return new_store(database, clock, tmp_path)


def new_store(database, clock, tmp_path):
    keys = TenantKeys(database, open_sealer(tmp_path, None), clock)
    return SqlAnswers(database, keys, clock, POLICY)


def answer(*pieces: bytes, call_id=CALL) -> Transcript:
    return Transcript(
        Origin(call_id, "openai", "gpt-4o", 2, fell_back=True, upstream_request="req-1"),
        Told(
            requested_model="openai/gpt-4o",
            losses=(Loss("seed", "not known"),),
            adjusted=("max_tokens",),
            estimated=False,
            stream=True,
            label_model="gpt-4o",
        ),
        200,
        "text/event-stream",
        streamed=True,
        pieces=pieces or (b"data: secret words\n\n",),
        made=1.5,
    )


async def test_the_first_makes_the_answer_and_all_others_get_it(store):
    assert await store.claim(SPOT, CALL, SAME) == Claimed()
    assert await store.claim(SPOT, OTHER, SAME) == Busy()
    assert await store.look(SPOT, SAME) == Busy()
    assert await store.finish(SPOT, CALL, answer())
    assert await store.claim(SPOT, OTHER, SAME) == answer()
    assert await store.look(SPOT, None) == answer()
    assert await store.scope("ours", CALL) == SPOT.scope


async def test_of_many_who_claim_at_once_one_gets_it(store):
    calls = [f"{number:036}" for number in range(12)]
    found = await asyncio.gather(*(store.claim(SPOT, call, SAME) for call in calls))
    assert found.count(Claimed()) == 1
    assert found.count(Busy()) == 11


async def test_of_two_processes_one_gets_it(store, database, clock, tmp_path):
    other = new_store(database, clock, tmp_path)
    spots = [Spot("ours", f"{number:064}") for number in range(20)]
    ours, theirs = await asyncio.gather(
        asyncio.gather(*(store.claim(spot, CALL, SAME) for spot in spots)),
        asyncio.gather(*(other.claim(spot, OTHER, SAME) for spot in reversed(spots))),
    )
    pairs = zip(ours, reversed(theirs), strict=True)
    assert all({type(a), type(b)} == {Claimed, Busy} for a, b in pairs)


async def test_another_request_is_told_from_a_repeated_one(store):
    await store.claim(SPOT, CALL, SAME)
    assert await store.claim(SPOT, OTHER, ANOTHER) == Differs()
    await store.finish(SPOT, CALL, answer())
    assert await store.claim(SPOT, OTHER, ANOTHER) == Differs()


async def test_a_key_counts_for_its_tenant(store):
    await store.claim(SPOT, CALL, SAME)
    await store.finish(SPOT, CALL, answer())
    theirs = replace(SPOT, tenant="theirs")
    assert await store.look(theirs, None) == Absent()
    assert await store.claim(theirs, OTHER, ANOTHER) == Claimed()
    assert await store.scope("theirs", CALL) is None


async def test_what_failed_is_free_again(store):
    await store.claim(SPOT, CALL, SAME)
    await store.release(SPOT, CALL)
    assert await store.look(SPOT, SAME) == Absent()
    assert await store.claim(SPOT, OTHER, ANOTHER) == Claimed()


async def test_the_key_of_a_dead_process_is_free_after_its_lease(store, clock):
    await store.claim(SPOT, CALL, SAME)
    clock.advance(9)
    await store.renew([(SPOT, CALL)])
    clock.advance(9)
    assert await store.claim(SPOT, OTHER, SAME) == Busy()
    clock.advance(2)
    assert await store.claim(SPOT, OTHER, ANOTHER) == Claimed()
    # The dead one is alive after all: it has lost the key, and its answer is not kept.
    assert not await store.finish(SPOT, CALL, answer())
    await store.release(SPOT, CALL)
    await store.renew([(SPOT, CALL)])
    assert await store.look(SPOT, ANOTHER) == Busy()
    assert await store.finish(SPOT, OTHER, answer(call_id=OTHER))
    # What is whole needs no lease, and is not given up.
    clock.advance(100)
    await store.release(SPOT, OTHER)
    assert await store.look(SPOT, ANOTHER) == answer(call_id=OTHER)


async def test_an_answer_is_given_for_a_day(store, clock):
    await store.claim(SPOT, CALL, SAME)
    clock.advance(5)
    await store.finish(SPOT, CALL, answer())
    clock.advance(DAY_S - 1)
    assert await store.look(SPOT, SAME) == answer()
    assert await store.expire(10) == 0
    clock.advance(2)
    assert await store.look(SPOT, SAME) == Absent()
    assert await store.claim(SPOT, OTHER, ANOTHER) == Claimed()
    clock.advance(DAY_S + 1)
    assert await store.expire(10) == 1
    assert await store.scope("ours", OTHER) is None


async def test_the_sweep_takes_a_little_at_a_time(store, clock):
    for number in range(5):
        await store.claim(Spot("ours", str(number)), CALL, SAME)
    clock.advance(DAY_S + 1)
    assert [await store.expire(3) for _ in range(3)] == [3, 2, 0]


async def test_who_has_enough_kept_gets_no_more(store, clock):
    await store.claim(SPOT, CALL, SAME)
    await store.finish(SPOT, CALL, answer(b"x" * 100))
    with pytest.raises(CallerError) as caught:
        await store.claim(Spot("ours", "more"), OTHER, SAME)
    assert (caught.value.status, caught.value.code) == (429, "insufficient_quota")
    assert await store.claim(SPOT, OTHER, SAME) == answer(b"x" * 100)
    assert await store.claim(Spot("theirs", "more"), OTHER, SAME) == Claimed()
    clock.advance(DAY_S + 1)
    assert await store.claim(Spot("ours", "more"), OTHER, SAME) == Claimed()


async def test_neither_what_was_asked_nor_what_was_answered_stands_there_open(store, database):
    await store.claim(SPOT, CALL, SAME)
    await store.finish(SPOT, CALL, answer())
    async with database.read() as connection:
        row = (await connection.execute(select(answers))).mappings().one()
    assert SAME not in bytes(row["fingerprint"])
    assert b"secret" not in bytes(row["reply"])
    assert b"gpt-4o" not in bytes(row["reply"])


async def test_what_was_moved_to_another_place_does_not_open_there(store, database):
    await store.claim(SPOT, CALL, SAME)
    await store.finish(SPOT, CALL, answer())
    moved = Spot("ours", "b" * 64)
    async with database.write() as connection:
        await connection.execute(update(answers).values(scope=moved.scope))
    with pytest.raises(HouseError):
        await store.look(moved, None)
    with pytest.raises(HouseError):
        await store.claim(moved, OTHER, SAME)
