"""What a process knows of tenants' credentials: read once, dropped when it has changed, never mixed up."""

from __future__ import annotations

import asyncio

import pytest

from dragoman.core.errors import HouseError
from dragoman.credentials import book as module
from dragoman.credentials.book import Book
from dragoman.credentials.own import Holding

pytestmark = [pytest.mark.anyio, pytest.mark.req("R-AUTH-009")]


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Store:
    """A store in memory that can be slow or away."""

    def __init__(self) -> None:
        self.number = 0
        self.at: dict[str, int] = {}
        self.reads: list[str] = []
        self.written: list[dict[str, int]] = []
        self.away = False
        self.gate = asyncio.Event()
        self.gate.set()

    def change(self, tenant: str) -> None:
        self.number += 1
        self.at[tenant] = self.number

    async def generation(self):
        if self.away:
            raise HouseError("overloaded", "away")
        return self.number

    async def changed(self, since):
        return {tenant: at for tenant, at in self.at.items() if at > since}

    async def holding(self, tenant):
        self.reads.append(tenant)
        found = Holding(keyed={str(self.at.get(tenant)): ()})
        await self.gate.wait()
        if self.away:
            raise HouseError("overloaded", "away")
        return found

    async def used(self, times):
        if self.away:
            raise HouseError("overloaded", "away")
        self.written.append(dict(times))


@pytest.fixture
async def house():
    store, forgotten = Store(), []
    for tenant in ("a", "b"):
        store.change(tenant)
    book = Book(store, forgotten.append)
    await book.look()
    forgotten.clear()
    return store, book, forgotten


async def test_who_has_anything_is_known_and_what_is_read_once_for_all_who_ask(house):
    store, book, _ = house
    assert book.holders == {"a", "b"}
    assert store.reads == []
    found = await asyncio.gather(*(book.of("a") for _ in range(5)))
    assert all(each is found[0] for each in found)
    assert await book.of("a") is found[0]
    assert store.reads == ["a"]


async def test_a_change_is_forgotten_for_its_tenant_alone(house):
    store, book, forgotten = house
    mine, other = await book.of("a"), await book.of("b")
    store.change("a")
    store.change("c")
    await book.look()
    await book.look()
    assert forgotten == ["a", "c"]
    assert book.holders == {"a", "b", "c"}
    assert await book.of("b") is other
    assert await book.of("a") is not mine
    assert list((await book.of("a")).keyed) == ["3"]


async def test_what_was_changed_while_it_was_read_is_not_kept(house):
    store, book, _ = house
    store.gate.clear()
    asking = asyncio.create_task(book.of("a"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    store.change("a")
    await book.look()
    again = asyncio.create_task(book.of("a"))
    store.gate.set()
    assert list((await asking).keyed) == ["1"], "what it began with"
    assert list((await again).keyed) == ["3"]
    assert list(book.known["a"].keyed) == ["3"]


async def test_a_read_that_fails_fails_its_callers_and_is_tried_again(house):
    store, book, _ = house
    store.away = True
    found = await asyncio.gather(*(book.of("a") for _ in range(2)), return_exceptions=True)
    assert all(isinstance(each, HouseError) for each in found)
    with pytest.raises(HouseError):
        await book.look()
    store.away = False
    assert list((await book.of("a")).keyed) == ["1"]


async def test_who_leaves_while_it_is_read_leaves_it_to_the_others(house):
    store, book, _ = house
    store.gate.clear()
    leaving, staying = (asyncio.create_task(book.of("a")) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    store.gate.set()
    assert list((await staying).keyed) == ["1"]
    assert store.reads == ["a"]


async def test_another_database_makes_all_of_it_unknown(house):
    store, book, forgotten = house
    await book.of("a")
    store.number, store.at = 1, {"z": 1}
    await book.look()
    assert (book.holders, book.known, forgotten) == ({"z"}, {}, [None, "z"])


async def test_so_many_are_held_and_no_more(house, monkeypatch):
    _, book, _ = house
    monkeypatch.setattr(module, "MOST", 2)
    for tenant in ("a", "b", "c"):
        await book.of(tenant)
    assert list(book.known) == ["b", "c"]


async def test_watching_goes_on_through_an_outage_and_tells_of_it_once(house, monkeypatch):
    store, book, forgotten = house
    monkeypatch.setattr(module, "LOOK_S", 0.005)
    monkeypatch.setattr(module, "USED_S", 0.01)
    told, used = [], {"own_1": 12.5}
    watching = asyncio.create_task(book.watch(used, told.append))
    store.away = True
    await asyncio.sleep(0.1)
    assert len(told) == 1
    assert used == {"own_1": 12.5}
    store.away = False
    store.change("b")
    await asyncio.sleep(0.1)
    assert forgotten == ["b"]
    assert (store.written, used) == ([{"own_1": 12500}], {})
    watching.cancel()


async def test_a_use_while_others_are_written_is_written_the_next_time(house):
    store, book, _ = house
    used = {"own_1": 1.0, "own_2": 2.0}

    async def slow(times):
        store.written.append(dict(times))
        used["own_2"] = 3.0

    store.used = slow
    await book.write(used)
    assert used == {"own_2": 3.0}
    await book.write({})
    assert store.written == [{"own_1": 1000, "own_2": 2000}]
