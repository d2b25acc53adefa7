"""What providers keep is found at once, comes to the store in batches, and waits while that is away."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from msgspec import structs

from dragoman.core.errors import HouseError
from dragoman.keeping import notes as module
from dragoman.keeping.notes import Notes, merge_notes, write_notes
from dragoman.keeping.ports import Content, Kept, Link
from memory_responses import MemoryResponses

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Log:
    """A journal in memory, with a file for every two notes."""

    def __init__(self):
        self.notes = []
        self.full = False
        self.needed = Counter()

    def append(self, note):
        self.notes.append(note)
        number = (len(self.notes) + 1) // 2
        self.needed[number] += 1
        return number

    def let_go(self, number, notes):
        self.needed[number] -= notes
        assert self.needed[number] >= 0

    def settle(self):
        if self.full:
            raise OSError

    async def read(self, number):
        for place, note in enumerate(self.notes):
            if place // 2 + 1 == number:
                yield [note]


class House:
    """Notes before a store in memory."""

    def __init__(self, **options):
        self.store = MemoryResponses()
        self.log = Log()
        self.failures = []
        self.notes = Notes(self.store, self.log, self.failures.append, **options)


@pytest.fixture
def house():
    return House()


def own(name="resp_1", *items, provider="openai", credential="key-1"):
    return Kept(name, 0.0, 9e9, provider, credential, items=items)


LINK = Link("resp_1", None, 0, here=False, provider="openai", credential="key-1")


async def until(there):
    for _ in range(2000):
        if there():
            return
        await asyncio.sleep(0.002)
    pytest.fail("it did not come")


async def test_a_note_is_there_before_the_store_has_it(house):
    assert house.notes.note("ours", own("resp_1", "msg_1"))
    assert house.store.rows == {}
    assert house.log.notes[0].kept() == own("resp_1", "msg_1")
    assert await house.notes.get("ours", "resp_1") == own()
    assert await house.notes.chain("ours", "resp_1", 9) == (LINK,)
    assert await house.notes.holders("ours", ("msg_1", "resp_1", "x")) == {"msg_1": LINK}
    for elsewhere in (False, True):
        found = await house.notes.strangers("theirs", ("resp_1", "msg_1"), elsewhere=elsewhere)
        assert found == {"resp_1", "msg_1"}
    assert await house.notes.strangers("ours", ("resp_1", "msg_1")) == frozenset()
    assert await house.notes.get("theirs", "resp_1") is None
    assert await house.notes.chain("theirs", "resp_1", 9) == ()
    assert await house.notes.holders("theirs", ("msg_1",)) == {}


async def test_it_comes_to_the_store_and_is_let_go(house):
    for number in range(120):
        house.notes.note("ours", own(f"resp_{number}", f"msg_{number}"))
    assert house.notes.waiting == 120
    assert await house.notes.flush()
    assert len(house.store.rows) == 120
    assert house.notes.waiting == 0
    assert not +house.log.needed
    assert await house.notes.get("ours", "resp_7") == own("resp_7", "msg_7")
    assert (await house.notes.holders("ours", ("msg_7",)))["msg_7"].id == "resp_7"
    assert await house.notes.strangers("theirs", ("msg_7",)) == {"msg_7"}


async def test_the_items_of_all_notes_of_a_response_are_its_own(house):
    house.notes.note("ours", own())
    house.notes.note("ours", own("resp_1", "msg_1"))
    house.notes.note("ours", own("resp_1", "msg_2", "msg_1"))
    assert house.notes.waiting == 1
    assert await house.notes.holders("ours", ("msg_1", "msg_2")) == {"msg_1": LINK, "msg_2": LINK}
    assert await house.notes.flush()
    assert house.store.rows["ours", "resp_1"].items == ("msg_1", "msg_2")
    assert not +house.log.needed


async def test_a_newer_note_that_comes_while_one_is_written_is_written_too(house):
    put = house.store.put

    async def slow(tenant, kept, *rest):
        await put(tenant, kept, *rest)
        if not kept.items:
            house.notes.note("ours", own("resp_1", "msg_1"))

    house.store.put = slow
    house.notes.note("ours", own())
    assert await house.notes.flush()
    assert house.notes.waiting == 1
    assert house.log.needed[1] == 2
    assert await house.notes.flush()
    assert house.store.rows["ours", "resp_1"].items == ("msg_1",)
    assert not +house.log.needed


async def test_while_the_store_is_away_notes_wait(house):
    house.store.fail()
    house.notes.note("ours", own())
    assert not await house.notes.flush()
    assert house.failures == [house.store.broken]
    assert house.notes.waiting == 1
    assert await house.notes.get("ours", "resp_1") == own()
    house.store.broken = None
    assert await house.notes.flush()
    assert house.notes.waiting == 0


async def test_a_note_that_the_store_does_not_take_is_given_up_and_told(house):
    house.store.broken = ZeroDivisionError()
    house.notes.note("ours", own())
    assert await house.notes.flush()
    assert house.failures == [house.store.broken]
    assert house.notes.waiting == 0
    assert not +house.log.needed


async def test_over_its_bound_the_queue_leaves_notes_to_the_journal_and_reads_them_back():
    house = House(most=2)
    for number in range(7):
        assert house.notes.note("ours", own(f"resp_{number}"))
    house.notes.note("ours", own("resp_1", "msg_1"))
    house.notes.note("ours", own("resp_5", "msg_5"))
    house.notes.note("ours", own("resp_5", "msg_6"))
    assert house.notes.waiting == 2
    house.store.fail()
    assert not await house.notes.flush()
    house.store.broken = None
    assert await house.notes.flush()
    assert set(house.store.rows) == {("ours", f"resp_{number}") for number in range(7)}
    assert not +house.log.needed
    assert house.store.rows["ours", "resp_1"].items == ("msg_1",)
    assert house.store.rows["ours", "resp_5"].items == ("msg_5", "msg_6")


async def test_what_was_left_to_the_journal_waits_as_well():
    house = House(most=1)
    house.notes.note("ours", own("resp_1"))
    house.notes.note("ours", own("resp_2"))
    put = house.store.put

    async def once(tenant, kept, *rest):
        await put(tenant, kept, *rest)
        house.store.fail()

    house.store.put = once
    assert not await house.notes.flush()
    assert house.notes.waiting == 0
    house.store.put, house.store.broken = put, None
    assert await house.notes.flush()
    assert len(house.store.rows) == 2


async def test_a_note_is_refused_only_where_queue_and_disk_are_full():
    house = House(most=1)
    house.log.full = True
    assert house.notes.note("ours", own("resp_1"))
    assert not house.notes.note("ours", own("resp_2"))
    assert house.notes.note("ours", own("resp_1", "msg_1"))
    house.log.full = False
    assert house.notes.note("ours", own("resp_2"))


async def test_what_is_deleted_does_not_come_back(house):
    house.notes.note("ours", own())
    assert await house.notes.delete("ours", "resp_1")
    assert await house.notes.get("ours", "resp_1") is None
    assert not await house.notes.delete("ours", "resp_1")
    await house.notes.flush()
    assert house.store.rows == {}
    house.notes.note("ours", own())
    house.store.fail()
    with pytest.raises(type(house.store.broken)):
        await house.notes.delete("ours", "resp_1")


async def test_what_the_journal_alone_has_does_not_come_back_either():
    house = House(most=1)
    for name in ("resp_1", "resp_2", "resp_3"):
        house.notes.note("ours", own(name))
    house.log.full = True  # the journal cannot be read back
    with pytest.raises(HouseError):
        await house.notes.delete("ours", "resp_3")
    house.log.full = False
    assert await house.notes.delete("ours", "resp_3")
    assert await house.notes.flush()
    # A process that was killed is read back from its beginning.
    for number in (1, 2):
        async for notes in house.log.read(number):
            await write_notes(house.store, merge_notes(notes), pytest.fail)
    assert set(house.store.rows) == {("ours", "resp_1"), ("ours", "resp_2")}


async def test_a_note_that_comes_while_its_response_is_deleted_is_not_lost(house):
    house.notes.note("ours", own())
    delete = house.store.delete

    async def slow(tenant, name):
        house.notes.note("ours", structs.replace(own(), lasting=("conv_1",)))
        return await delete(tenant, name)

    house.store.delete = slow
    assert await house.notes.delete("ours", "resp_1")
    assert await house.notes.flush()
    assert house.store.rows == {}
    assert await house.notes.strangers("theirs", ("resp_1", "conv_1")) == {"conv_1"}


async def test_of_what_the_journal_alone_has_the_store_says_who_holds_it():
    house = House(most=1)
    house.store.fail()
    for name in ("resp_1", "resp_2"):
        house.notes.note("ours", own(name, f"msg_{name}"))
    house.store.broken = None
    assert await house.notes.holders("ours", ("msg_resp_2",)) == {}
    assert await house.notes.flush()
    assert set(await house.notes.holders("ours", ("msg_resp_2",))) == {"msg_resp_2"}


async def test_whose_a_note_is_that_the_journal_alone_has_is_known():
    house = House(most=1)
    house.store.fail()
    for name in ("resp_1", "resp_2", "resp_3"):
        assert house.notes.note("ours", own(name, f"msg_{name}"))
    asked = ("resp_1", "resp_2", "msg_resp_3", "resp_4")
    house.store.broken = None
    assert await house.notes.strangers("theirs", asked) == set(asked[:3])
    assert await house.notes.strangers("ours", asked) == set()
    assert await house.notes.flush()
    assert await house.notes.strangers("theirs", asked) == set(asked[:3])
    assert house.notes._names == {}
    assert await house.notes.get("ours", "resp_3") is not None


async def test_more_than_the_journal_may_be_left_with_is_refused():
    house = House(most=1)
    taken = [house.notes.note("ours", own(f"resp_{number}")) for number in range(12)]
    assert taken == [True] * 11 + [False]


async def test_a_delete_that_the_database_does_not_take_forgets_nothing(house):
    house.notes.note("ours", own("resp_1", "msg_1", "conv_1"))
    house.store.fail()
    with pytest.raises(type(house.store.broken)):
        await house.notes.delete("ours", "resp_1")
    house.store.broken = None
    assert await house.notes.strangers("theirs", ("resp_1", "conv_1")) == {"resp_1", "conv_1"}
    assert await house.notes.flush()
    assert await house.notes.get("ours", "resp_1") is not None
    assert await house.notes.strangers("theirs", ("resp_1", "conv_1")) == {"resp_1", "conv_1"}


async def test_what_is_not_found_is_looked_for_once_more_where_others_may_have_it():
    house = House(again_s=0.001)
    looked = house.store.asked
    assert await house.notes.get("ours", "resp_1") is None
    assert await house.notes.chain("ours", "resp_1", 9) == ()
    assert house.store.asked == looked + 4
    house.store.rows["ours", "resp_1"] = own()
    assert await house.notes.get("ours", "resp_1") == own()
    assert await house.notes.chain("ours", "resp_1", 9) == (LINK,)
    assert house.store.asked == looked + 6


async def test_what_is_kept_here_goes_straight_to_the_store(house):
    kept = Kept("resp_1", 0, 9e9, "groq", content=Content(b"[]", b"{}"), items=("msg_1",))
    await house.notes.put("ours", kept, ("resp_0",))
    assert house.store.rows == {("ours", "resp_1"): kept}
    assert await house.notes.contents("ours", ("resp_1",)) == {"resp_1": kept.content}
    assert await house.notes.places("ours", "msg_1") == {"resp_1"}
    assert (await house.notes.held("ours")).responses == 1
    assert await house.notes.expire(5) == 0


async def test_notes_go_by_themselves_and_tries_are_spaced_out(house, monkeypatch):
    monkeypatch.setattr(module, "_SPREAD_S", 0.0)
    monkeypatch.setattr(module, "_BACK_OFF_S", (0.0, 0.001))
    running = asyncio.create_task(house.notes.run())
    try:
        house.store.fail()
        house.notes.note("ours", own())
        await until(lambda: len(house.failures) >= 4)
        house.store.broken = None
        await until(lambda: not house.notes.waiting)
        house.notes.note("ours", own("resp_2"))
        await until(lambda: not house.notes.waiting)
    finally:
        running.cancel()
    assert len(house.store.rows) == 2
