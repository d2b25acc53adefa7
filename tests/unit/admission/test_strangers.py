"""How often an address without a key may come (R-TIER-009)."""

from __future__ import annotations

import pytest

from dragoman.admission.strangers import NAMES, strangers
from dragoman.core.clock import ManualClock
from dragoman.core.errors import CallerError
from dragoman.store.memory.limits import MemoryLimits

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Rig:
    def __init__(self, *limits, store=None, secret="one"):
        self.clock = ManualClock()
        self.hits: list[str] = []
        self.store = store or MemoryLimits(self.clock)
        self.strangers = strangers(limits, self.store, self.hits.append, secret)

    async def admitted(self, address="192.0.2.1", times=1):
        count = 0
        for _ in range(times):
            try:
                await self.strangers.admit(address)
            except CallerError:
                continue
            count += 1
        return count


@pytest.mark.req("R-TIER-009", "R-TIER-010")
async def test_each_span_has_its_own_limit_says_when_to_come_back_and_is_counted():
    rig = Rig(2, 5, 8)
    assert await rig.admitted(times=10) == 2
    assert rig.hits == ["ingest_rps"] * 8
    with pytest.raises(CallerError) as error:
        await rig.strangers.admit("192.0.2.1")
    assert (error.value.status, error.value.code) == (429, "rate_limited")
    assert 0 < error.value.retry_after_s <= 1.1
    assert "2 keys a second are taken" in error.value.message
    rig.clock.advance(1.1)
    assert await rig.admitted(times=10) == 2
    rig.clock.advance(1.1)
    assert await rig.admitted(times=10) == 1
    assert rig.hits[-1] == "ingest_rpm"
    rig.clock.advance(66)
    assert await rig.admitted(times=10) == 2
    rig.clock.advance(1.1)
    assert await rig.admitted(times=10) == 1
    assert rig.hits[-1] == "ingest_rpd"
    rig.clock.advance(3600)
    assert await rig.admitted(times=10) == 0
    rig.clock.advance(2 * 86_400)
    assert await rig.admitted(times=10) == 2


async def test_a_refused_request_counts_nowhere():
    rig = Rig(1, 3, 0)
    assert await rig.admitted(times=50) == 1
    for _ in range(2):
        rig.clock.advance(1.1)
        assert await rig.admitted(times=50) == 1
    rig.clock.advance(1.1)
    assert await rig.admitted() == 0


async def test_addresses_are_counted_apart_and_a_network_of_ipv6_is_one():
    rig = Rig(1, 0, 0)
    assert await rig.admitted("192.0.2.1") == await rig.admitted("192.0.2.2") == 1
    assert await rig.admitted("::ffff:192.0.2.1") == 0
    assert await rig.admitted("2001:db8::1") == 1
    assert await rig.admitted("2001:db8::ffff:1") == 0
    assert await rig.admitted("2001:db8:0:1::1") == 1
    assert await rig.admitted("-") == 1


async def test_zero_is_no_limit():
    assert await Rig(0, 0, 0).admitted(times=100) == 100


async def test_processes_that_share_a_store_share_the_limits():
    one = Rig(0, 10, 0)
    other = Rig(0, 10, 0, store=one.store)
    assert await one.admitted(times=7) + await other.admitted(times=7) == 10


async def test_a_flood_of_addresses_does_not_grow_without_end_and_its_names_hang_on_a_secret():
    asked: dict[str, list[str]] = {"one": [], "two": []}

    class Kept(MemoryLimits):
        def __init__(self, secret):
            super().__init__(ManualClock())
            self.secret = secret

        async def take(self, key_id, rule, amount, **more):
            asked[self.secret].append(key_id)
            return await super().take(key_id, rule, amount, **more)

    for secret in asked:
        rig = Rig(1, 0, 0, store=Kept(secret), secret=secret)
        for number in range(2000):
            await rig.admitted(f"10.0.{number // 256}.{number % 256}")
    numbers = {int(name.removeprefix("stranger:")) for name in asked["one"]}
    assert max(numbers) < NAMES
    assert len(numbers) > 1800, "few of them fall together"
    assert asked["one"] != asked["two"]
