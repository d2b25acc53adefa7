"""What is remembered of credentials, and for how long."""

from __future__ import annotations

import asyncio
import hashlib

import pytest
from msgspec.structs import replace

from dragoman.core.call import Caller
from dragoman.core.clock import ManualClock
from dragoman.core.errors import HouseError
from dragoman.identity import cache
from dragoman.identity.cache import CachedKeys, digest_of
from dragoman.identity.ports import Finding, KeyRecord

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Store:
    """Keys in a dict, as another process sees and changes them."""

    def __init__(self) -> None:
        self.records: dict[str, KeyRecord] = {}
        self.number = 1
        self.finds = 0
        self.readings = 0
        self.strangers_read = 0
        self.few = True
        """Whether there are so few keys that all can be known."""
        self.strangers_fail = False
        self.fails = False
        self.gate: asyncio.Event | None = None
        self.slow: asyncio.Event | None = None
        """Keys are found once it is set; the generation is read all the same."""

    async def find(self, credential: str, public_id: str | None) -> Finding:
        self.finds += 1
        record = self.records.get(credential)
        if self.slow is not None:
            await self.slow.wait()
        await self._wait()
        return Finding(hashlib.sha256(credential.encode()).hexdigest()[:12], record)

    async def generation(self) -> int:
        self.readings += 1
        number = self.number
        await self._wait()
        return number

    async def strangers(self):
        self.strangers_read += 1
        if self.strangers_fail:
            raise HouseError("overloaded", "The database is busy.", code="database_error")
        known = set(self.records) if self.few else None
        await self._wait()
        if known is None:
            return None
        return lambda credential: None if credential in known else Finding("nobody")

    async def _wait(self) -> None:
        if self.gate is not None:
            await self.gate.wait()
        if self.fails:
            raise HouseError("overloaded", "The database is gone.", code="database_error")

    def change(self, credential: str, *, revoked: float | None = None) -> None:
        self.records[credential] = KeyRecord("id", "acme", credential, 1.0, revoked=revoked)
        self.number += 1


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def store():
    store = Store()
    store.change("good-key")
    return store


@pytest.fixture
async def keys(store, clock):
    keys = CachedKeys(store, clock)
    yield keys
    await keys.close()


async def is_good(keys: CachedKeys, credential: str = "good-key") -> bool:
    record = (await keys.find(credential, None)).record
    return record is not None and record.revoked is None


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_known_key_is_asked_for_once(keys, store):
    for _ in range(100):
        assert await is_good(keys)
    assert (store.finds, store.readings) == (1, 1)


async def test_a_hundred_at_once_ask_once(keys, store):
    store.gate = asyncio.Event()
    asked = [asyncio.create_task(is_good(keys)) for _ in range(100)]
    await settle()
    store.gate.set()
    assert all(await asyncio.gather(*asked))
    assert (store.finds, store.readings) == (1, 1)


@pytest.mark.parametrize("rate", [0.01, 0.3, 0.7, 1.0, 30.0])
async def test_a_key_revoked_elsewhere_is_refused_within_a_second(keys, store, clock, rate):
    for _ in range(7):
        assert await is_good(keys)
        clock.advance(rate)
        await settle()
    store.change("good-key", revoked=1.0)
    revoked_at = clock.monotonic()
    while await is_good(keys):
        assert clock.monotonic() - revoked_at < 1.0
        clock.advance(rate)
        await settle()


async def test_where_somebody_else_looks_no_request_does(keys, store, clock):
    assert await is_good(keys)
    for _ in range(20):
        clock.advance(0.4)
        keys.heard(store.number, clock.monotonic())
        assert keys.known("good-key") is not None
    assert (store.finds, store.readings) == (1, 1)
    store.change("good-key", revoked=1.0)
    keys.heard(store.number - 1, clock.monotonic() - 0.1)  # a look that was overtaken
    assert keys.known("good-key") is not None
    keys.heard(store.number, clock.monotonic())
    assert not await is_good(keys)
    assert store.readings == 1


async def test_a_steady_caller_never_waits_for_the_generation(keys, store, clock):
    assert await is_good(keys)
    for _ in range(50):
        clock.advance(0.2)
        find = keys.find("good-key", None)
        with pytest.raises(StopIteration):  # it ended without waiting
            find.send(None)
        await settle()
    assert store.finds == 1
    assert 15 <= store.readings <= 21


async def test_a_reading_is_as_old_as_its_beginning(keys, store, clock):
    assert await is_good(keys)
    store.gate = asyncio.Event()
    clock.advance(0.6)
    assert await is_good(keys)
    await settle()  # a reading is under way, and has seen the number as it was
    store.change("good-key", revoked=1.0)
    clock.advance(0.35)
    store.gate.set()
    await settle()
    clock.advance(0.7)
    assert not await is_good(keys)


async def test_a_new_key_is_known_although_it_was_unknown_before(keys, store, clock):
    assert not await is_good(keys, "coming-soon")
    store.change("coming-soon")
    clock.advance(1.0)
    assert await is_good(keys, "coming-soon")


async def test_an_unknown_credential_is_asked_for_again_after_five_seconds(keys, store, clock):
    for _ in range(10):
        assert not await is_good(keys, "guess")
    assert store.finds == 1
    clock.advance(cache.UNKNOWN_S)
    assert not await is_good(keys, "guess")
    assert store.finds == 2


async def test_a_flood_of_guesses_leaves_good_keys_known(store, clock):
    keys = CachedKeys(store, clock, capacity=10)
    store.few = False
    assert await is_good(keys)
    for number in range(50):
        assert not await is_good(keys, f"guess-{number}")
    finds = store.finds
    assert await is_good(keys)
    assert not await is_good(keys, "guess-49")
    assert store.finds == finds
    assert not await is_good(keys, "guess-0")
    assert store.finds == finds + 1


async def test_more_keys_than_fit_push_out_the_oldest(store, clock):
    keys = CachedKeys(store, clock, capacity=2)
    for name in ("one-key", "two-key", "three-key"):
        store.change(name)
    for name in ("one-key", "two-key", "three-key"):
        assert await is_good(keys, name)
    finds = store.finds
    assert await is_good(keys, "three-key")
    assert store.finds == finds
    assert await is_good(keys, "one-key")
    assert store.finds == finds + 1


async def test_forget_takes_effect_at_once(keys, store):
    assert await is_good(keys)
    store.change("good-key", revoked=1.0)
    keys.forget()
    assert not await is_good(keys)


async def test_an_answer_from_before_a_change_is_not_remembered(keys, store, clock):
    assert not await is_good(keys, "other")  # the generation is read
    store.gate = asyncio.Event()
    early = asyncio.create_task(is_good(keys))
    await settle()
    store.change("good-key", revoked=1.0)
    keys.forget()
    late = asyncio.create_task(is_good(keys))
    await settle()
    store.gate.set()
    await early
    assert not await late
    assert not await is_good(keys)


async def test_a_question_dropped_before_it_began_ends_well(keys, store):
    assert not await is_good(keys, "other")
    asked = asyncio.create_task(is_good(keys))
    await asyncio.sleep(0)
    keys.forget()
    assert await asked
    assert await is_good(keys)
    assert store.finds == 2  # it was asked after the change only


async def test_known_keys_go_on_for_a_minute_without_the_store(keys, store, clock):
    assert await is_good(keys)
    store.fails = True
    for _ in range(59):
        clock.advance(1.0)
        assert await is_good(keys)
        with pytest.raises(HouseError):
            await keys.find("unknown", None)
    clock.advance(1.1)
    with pytest.raises(HouseError) as error:
        await is_good(keys)
    assert error.value.status == 503


async def test_a_store_that_is_back_is_heard_within_a_second(keys, store, clock):
    assert await is_good(keys)
    store.fails = True
    clock.advance(2.0)
    assert await is_good(keys)
    store.fails = False
    store.change("good-key", revoked=1.0)
    clock.advance(0.6)
    await keys.find("good-key", None)
    await settle()
    assert not await is_good(keys)


async def test_after_an_idle_outage_the_first_request_waits_for_the_store(keys, store, clock):
    assert await is_good(keys)
    store.fails = True
    clock.advance(2.0)
    assert await is_good(keys)
    store.fails = False
    store.change("good-key", revoked=1.0)
    clock.advance(5.0)
    assert not await is_good(keys)


async def test_a_store_that_hangs_is_waited_for_once(keys, store, clock, monkeypatch):
    monkeypatch.setattr(cache, "PATIENCE_S", 0.02)
    monkeypatch.setattr(cache, "ASKING_S", 0.05)
    assert await is_good(keys)
    store.gate = asyncio.Event()
    clock.advance(2.0)
    assert await is_good(keys)  # waits, then goes by what is known
    clock.advance(0.6)
    with pytest.raises(StopIteration):
        keys.find("good-key", None).send(None)
    with pytest.raises(HouseError, match="does not answer") as error:
        await keys.find("unknown", None)
    assert (error.value.status, error.value.code) == (503, "database_error")
    await asyncio.sleep(0.06)  # the reading has failed by now
    clock.advance(0.6)
    with pytest.raises(StopIteration):
        keys.find("good-key", None).send(None)
    await settle()
    assert store.readings == 3


async def test_known_keys_go_on_where_the_store_fails_after_another_key_was_changed(
    keys, store, clock
):
    assert await is_good(keys)
    clock.advance(5.0)
    assert await is_good(keys)
    await settle()
    store.change("another-key")
    keys.heard(store.number, clock.monotonic())
    store.fails = True
    for _ in range(59):
        assert await is_good(keys)
        with pytest.raises(HouseError):
            await keys.find("another-key", None)
        clock.advance(1.0)
        await settle()
    clock.advance(1.1)
    with pytest.raises(HouseError) as error:
        await is_good(keys)
    assert error.value.status == 503


async def test_a_change_of_another_key_counts_as_soon_as_the_store_can_tell(keys, store, clock):
    assert await is_good(keys)
    store.fails = True
    store.change("another-key")
    keys.heard(store.number, clock.monotonic())
    assert await is_good(keys)  # as the store has failed just now, it is not asked again at once
    store.fails = False
    store.change("good-key", revoked=1.0)
    keys.heard(store.number, clock.monotonic())
    assert not await is_good(keys)
    store.fails = True
    keys.heard(store.number, clock.monotonic())
    assert not await is_good(keys)


async def test_what_stands_while_the_store_cannot_tell_is_as_old_as_what_it_said_last(
    keys, store, clock
):
    assert await is_good(keys)
    store.fails = True
    for _ in range(4):
        clock.advance(16.0)
        store.number += 1
        keys.heard(store.number, clock.monotonic())
        if clock.monotonic() < 60:
            assert await is_good(keys)
    with pytest.raises(HouseError):
        await is_good(keys)


async def test_a_store_that_hangs_after_a_change_is_waited_for_once(
    keys, store, clock, monkeypatch
):
    monkeypatch.setattr(cache, "PATIENCE_S", 0.02)
    assert await is_good(keys)
    store.change("another-key")
    keys.heard(store.number, clock.monotonic())
    store.gate = asyncio.Event()
    asked = asyncio.create_task(is_good(keys))
    await settle()
    clock.advance(cache.FRESH_S)
    assert await asked
    with pytest.raises(StopIteration):  # it ended without waiting
        keys.find("good-key", None).send(None)
    store.change("good-key", revoked=1.0)
    keys.heard(store.number, clock.monotonic())
    store.gate.set()
    assert not await is_good(keys)


async def test_a_key_whose_answer_takes_long_is_waited_for_while_the_generation_is_read(
    keys, store, clock, monkeypatch
):
    monkeypatch.setattr(cache, "PATIENCE_S", 0.02)
    assert await is_good(keys)
    store.change("good-key", revoked=1.0)
    keys.heard(store.number, clock.monotonic())
    store.slow = asyncio.Event()
    asked = asyncio.create_task(is_good(keys))
    for _ in range(10):
        await asyncio.sleep(0.03)
        clock.advance(0.4)
    assert not asked.done()
    assert store.readings > 2
    store.slow.set()
    assert not await asked


async def test_of_many_that_are_asked_for_anew_few_are_at_once_and_none_stands(
    keys, store, clock, monkeypatch
):
    monkeypatch.setattr(cache, "PATIENCE_S", 0.02)
    names = [f"key-{number}" for number in range(100)]
    for name in names:
        store.change(name)
    assert all([await is_good(keys, name) for name in names])
    for name in names:
        store.change(name, revoked=1.0)
    keys.heard(store.number, clock.monotonic())
    store.slow, store.finds = asyncio.Event(), 0
    asked = [asyncio.create_task(is_good(keys, name)) for name in names]
    for _ in range(5):
        await asyncio.sleep(0.03)
        clock.advance(0.4)
    assert store.finds == cache.TURNS
    store.slow.set()
    assert not any(await asyncio.gather(*asked))
    assert store.finds == len(names)


async def test_where_the_store_fails_those_who_wait_for_their_turn_go_on_at_once(
    keys, store, clock
):
    names = [f"key-{number}" for number in range(100)]
    for name in names:
        store.change(name)
    assert all([await is_good(keys, name) for name in names])
    store.change("another-key")
    keys.heard(store.number, clock.monotonic())
    store.fails, store.finds = True, 0
    assert all(await asyncio.gather(*[is_good(keys, name) for name in names]))
    assert store.finds <= 2 * cache.TURNS


async def test_what_this_process_has_changed_never_stands(keys, store, clock):
    for name, tenant, number in (("one", "acme", 1), ("two", "acme", 2), ("three", "other", 3)):
        store.records[name] = KeyRecord(f"id-{number}", tenant, name, 1.0)
        assert await is_good(keys, name)
    store.fails = True
    keys.changed("acme", "id-1")
    for name in ("two", "three"):
        assert await is_good(keys, name)
    with pytest.raises(HouseError):
        await is_good(keys, "one")
    keys.changed("acme")
    assert await is_good(keys, "three")
    for name in ("one", "two"):
        with pytest.raises(HouseError):
            await is_good(keys, name)


async def test_a_key_that_is_changed_here_while_it_is_asked_for_does_not_stand(keys, store, clock):
    assert await is_good(keys)
    store.change("another-key")
    keys.heard(store.number, clock.monotonic())
    store.gate = asyncio.Event()
    asked = asyncio.create_task(is_good(keys))
    await settle()
    keys.changed("acme", "id")
    store.fails = True
    store.gate.set()
    with pytest.raises(HouseError):
        await asked


async def test_what_stands_is_no_more_than_fits(store, clock):
    keys = CachedKeys(store, clock, capacity=3)
    for number in range(5):
        for name in (f"{number}-one", f"{number}-two"):
            store.change(name)
        keys.heard(store.number, clock.monotonic())
        for name in (f"{number}-one", f"{number}-two"):
            assert await is_good(keys, name)
    store.number += 1
    keys.heard(store.number, clock.monotonic())
    store.fails = True
    for name in ("3-two", "4-one", "4-two"):
        assert await is_good(keys, name)
    with pytest.raises(HouseError):
        await is_good(keys, "3-one")


async def test_a_caller_who_leaves_does_not_end_the_question_of_others(keys, store):
    assert not await is_good(keys, "other")  # the generation is read
    store.gate = asyncio.Event()
    leaves = asyncio.create_task(is_good(keys))
    stays = asyncio.create_task(is_good(keys))
    await settle()
    leaves.cancel()
    await settle()
    store.gate.set()
    assert await stays
    with pytest.raises(asyncio.CancelledError):
        await leaves


async def test_close_ends_what_is_under_way(store, clock):
    keys = CachedKeys(store, clock)
    assert await is_good(keys)
    store.gate = asyncio.Event()
    clock.advance(0.6)
    assert await is_good(keys)
    asked = asyncio.create_task(is_good(keys, "other"))
    await settle()
    await keys.close()
    with pytest.raises(asyncio.CancelledError):
        await asked


async def test_an_error_that_nobody_waits_for_is_not_reported_as_lost(keys, store, caplog):
    await keys.find("other", None)
    store.gate = asyncio.Event()
    store.fails = True
    asked = asyncio.create_task(is_good(keys))
    await settle()
    asked.cancel()
    store.gate.set()
    await settle()
    assert caplog.records == []


async def test_credentials_that_share_most_of_their_text_are_told_apart(keys, store):
    # reliability.md A9, CVE-2026-35030
    good = "sk-" + "a" * 240
    store.change(good)
    assert await is_good(keys, good)
    for length in (20, 64, 200, 242):
        for number in range(1000):
            assert not await is_good(keys, f"{good[:length]}{number}")
            assert not await is_good(keys, f"{number}{good[-length:]}")
    assert await is_good(keys, good)


def test_credentials_with_long_parts_in_common_are_remembered_apart():
    # reliability.md A9
    shared = "ab01" * 50
    credentials = {f"{shared[:length]}{n}" for length in (20, 64, 200) for n in range(5000)}
    credentials |= {f"{n}{shared[-length:]}" for length in (20, 64, 200) for n in range(5000)}
    assert len({digest_of(each, b"salt") for each in credentials}) == len(credentials)
    assert digest_of("drg_test", b"salt") != digest_of("drg_test", b"other")


async def test_who_calls_is_known_at_once_only_while_the_key_is_in_force(keys, store, clock):
    now = clock.wall()
    for name, more in {
        "lasting-key": {},
        "passing-key": {"expires": now + 0.3},
        "revoked-key": {"revoked": 1.0},
        "stopped-key": {"stopped": "project"},
    }.items():
        store.records[name] = KeyRecord("id", "acme", name, 1.0, tier="gold", **more)
        assert keys.known(name) is None
        await keys.find(name, None)
    whose = Caller("id", "acme", "lasting-key", tier="gold")
    assert keys.known("lasting-key") == whose
    assert keys.known("lasting-key") is keys.known("lasting-key")
    assert keys.known("passing-key") == replace(whose, name="passing-key")
    assert keys.known("revoked-key") is keys.known("stopped-key") is None
    clock.advance(0.3)
    assert keys.known("passing-key") is None
    assert keys.known("lasting-key") == whose


async def guess(keys, clock, times, seconds, each=None):
    """So many guesses over so long a time, none of them twice."""
    for number in range(times):
        clock.advance(seconds / times)
        finding = await keys.find(f"sk-guess-{seconds}-{number}", None)
        assert finding.record is None
        if each is not None:
            await each()


async def test_a_flood_of_guesses_costs_no_query_each_and_good_keys_serve(keys, store, clock):
    async def good():
        assert await is_good(keys)

    await guess(keys, clock, 10_000, 60, good)
    assert store.finds <= 100, "one try in a hundred"
    assert store.strangers_read == 1


async def test_keys_of_our_form_may_have_been_made_elsewhere_just_now(keys, store, clock):
    for number in range(6000):
        clock.advance(0.01)
        assert (await keys.find(f"guess-{number}", "someones")).record is None
    assert store.finds <= 40
    assert store.strangers_read <= 61, "once a second"
    store.records["new"] = KeyRecord("new", "acme", "new", 1.0)  # which moves nothing on
    clock.advance(1)
    assert await is_good_of_ours(keys, "new")


async def is_good_of_ours(keys, credential):
    return (await keys.find(credential, "public")).record is not None


async def test_a_key_that_nobody_here_has_seen_yet_is_found_in_a_flood(keys, store, clock):
    store.change("another")
    await guess(keys, clock, 200, 1)
    assert await is_good(keys, "another")
    # One that another process makes meanwhile serves as soon as its change is heard of.
    store.change("newest")
    await guess(keys, clock, 200, 1)
    assert await is_good(keys, "newest")
    finds = store.finds
    await guess(keys, clock, 200, 1.5)
    assert store.finds - finds <= 1


async def test_few_mistakes_are_asked_for_each(keys, store, clock):
    store.change("before")
    await guess(keys, clock, 20, 5)
    assert (store.finds, store.strangers_read) == (20, 0)
    # After a flood, too: a key that is made elsewhere serves at once then.
    await guess(keys, clock, 500, 2)
    clock.advance(10)
    reads = store.strangers_read
    await guess(keys, clock, 5, 5)
    assert store.strangers_read == reads


async def test_in_a_flood_too_what_the_database_cannot_tell_is_no_refusal(keys, store, clock):
    await guess(keys, clock, 200, 1)
    store.fails = True
    clock.advance(2)
    with pytest.raises(HouseError):
        await keys.find("sk-guess-last", None)


async def test_a_reading_that_fails_once_lets_no_flood_through(keys, store, clock):
    await guess(keys, clock, 200, 1)
    await settle()
    store.strangers_fail = True
    clock.advance(0.3)
    # One of our form has all be read again, as somebody may just have made it.
    assert (await keys.find("drg-guess", "someones")).record is None
    store.strangers_fail = False
    finds, reads = store.finds, store.strangers_read
    assert reads == 2
    await guess(keys, clock, 200, 2)
    assert store.finds - finds <= 1
    store.change("another")
    clock.advance(1)
    assert await is_good(keys, "another")


async def test_where_there_are_too_many_keys_to_know_all_each_guess_is_asked_for(
    keys, store, clock
):
    store.few = False
    await guess(keys, clock, 100, 0.4)
    assert store.finds == 100
