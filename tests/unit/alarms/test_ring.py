"""Raising and delivering: signed, again after longer, and in the end no more."""

import asyncio
import hashlib
import hmac

import pytest

from dragoman.alarms.alarm import Alarm, Endpoint, body_of, signed
from dragoman.alarms.judge import Policy
from dragoman.alarms.ring import TICK_S, WAITS_S, Letter, Ring, Telling
from dragoman.core.clock import ManualClock
from dragoman.core.errors import UpstreamError
from dragoman.core.secret import Secret

SECRET = Secret("a-secret-of-the-receivers-own")
ALARM = Alarm("errors", "openai/m 1", "warning", "It fails.", {"calls": 3})


class Box:
    def __init__(self):
        self.known, self.letters = set(), {}

    async def raise_(self, alarm, alarm_id, body, endpoints):
        if alarm.key in self.known:
            return False
        self.known.add(alarm.key)
        for endpoint in endpoints:
            self.letters[alarm_id, endpoint] = (Letter(alarm_id, endpoint, body, 0), 0)
        return True

    async def due(self, now_ms, limit):
        return [letter for letter, due in self.letters.values() if due <= now_ms][:limit]

    async def taken(self, letter):
        del self.letters[letter.id, letter.endpoint]

    async def later(self, letter, due_ms):
        again = Letter(letter.id, letter.endpoint, letter.body, letter.tries + 1)
        self.letters[letter.id, letter.endpoint] = (again, due_ms)

    async def spending(self, hour, least_pico):
        return []

    async def failing(self, since_s):
        return []

    async def drifting(self, since_day):
        return []

    async def forget(self, before_ms):
        return None


class Bench:
    def __init__(self, *answers, endpoints=1):
        self.answers = list(answers)
        self.box, self.clock = Box(), ManualClock()
        self.sent, self.raised, self.lost, self.turns = [], [], [], []
        telling = Telling(self.raised.append, lambda *word: self.lost.append(word), list)
        self.ring = Ring(
            self.box, self.post, self.clock, lambda size: b"\x07" * size, self.take, telling
        )
        self.ring.policy = Policy(
            endpoints=tuple(Endpoint(f"https://{n}.example/", SECRET) for n in range(endpoints))
        )
        self.mine = True

    async def take(self, name, for_s):
        self.turns.append(name)
        return self.mine

    async def post(self, endpoint, body, headers):
        self.sent.append((endpoint.url, body, headers))
        answer = self.answers.pop(0) if self.answers else 200
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_an_alarm_is_raised_once_and_sent_to_all_who_listen():
    async def story():
        bench = Bench(endpoints=3)
        assert await bench.ring.raise_(ALARM)
        assert not await bench.ring.raise_(ALARM)
        await bench.ring.tick()
        assert len(bench.raised) == 1
        assert sorted(url for url, _, _ in bench.sent) == [
            f"https://{n}.example/" for n in range(3)
        ]
        assert bench.box.letters == {}
        _, body, headers = bench.sent[0]
        told = f"{headers['x-dragoman-timestamp']}.".encode() + body
        wanted = hmac.new(SECRET.reveal().encode(), told, hashlib.sha256).hexdigest()
        assert headers["x-dragoman-signature"] == f"v1={wanted}"

    asyncio.run(story())


def test_who_does_not_take_it_gets_it_again_after_longer_and_in_the_end_no_more():
    async def story():
        down = UpstreamError("upstream", "down")
        bench = Bench(*[500, down, 302] * 10)
        await bench.ring.raise_(ALARM)
        await bench.ring.tick()
        await bench.ring.tick()
        assert len(bench.sent) == 1, "not before its time"
        for wait in WAITS_S:
            bench.clock.advance(wait + 0.01)
            await bench.ring.tick()
        assert len(bench.sent) == len(WAITS_S) + 1
        assert bench.box.letters == {}
        assert bench.lost[-1][1].startswith("given up")
        stamps = [headers["x-dragoman-timestamp"] for _, _, headers in bench.sent]
        assert len(set(stamps)) > 5, "signed anew"
        assert len({headers["x-dragoman-event-id"] for _, _, headers in bench.sent}) == 1

    asyncio.run(story())


@pytest.mark.parametrize("status", [200, 204, 299, 410])
def test_what_is_taken_or_gone_is_not_sent_again(status):
    async def story():
        bench = Bench(status)
        await bench.ring.raise_(ALARM)
        await bench.ring.tick()
        assert bench.box.letters == {}

    asyncio.run(story())


def test_who_has_not_its_turn_neither_sends_nor_looks():
    async def story():
        bench = Bench()
        bench.mine = False
        await bench.ring.raise_(ALARM)
        assert not await bench.ring.tick()
        assert bench.sent == []
        bench.mine = True
        await bench.ring.tick()
        assert len(bench.sent) == 1

    asyncio.run(story())


def test_who_waits_for_its_turn_does_not_ask_for_it_every_second():
    async def story():
        bench = Bench()
        bench.mine = False
        for _ in range(30):
            await bench.ring.tick()
            bench.clock.advance(TICK_S)
        assert len(bench.turns) == 1

    asyncio.run(story())


def test_an_endpoint_that_is_no_longer_configured_gets_nothing():
    async def story():
        bench = Bench(endpoints=2)
        await bench.ring.raise_(ALARM)
        bench.ring.policy = Policy(endpoints=bench.ring.policy.endpoints[:1])
        await bench.ring.tick()
        assert [url for url, _, _ in bench.sent] == ["https://0.example/"]
        assert bench.box.letters == {}

    asyncio.run(story())


def test_an_idle_gateway_asks_for_no_turn():
    async def story():
        bench = Bench()
        await bench.ring.tick()
        before = len(bench.turns)
        for _ in range(5):
            bench.clock.advance(TICK_S)
            await bench.ring.tick()
        assert len(bench.turns) == before

    asyncio.run(story())


def test_a_body_says_what_and_a_signature_hangs_on_every_byte():
    body = body_of(ALARM, "id-1", "2026-01-01T00:00:00Z").encode()
    assert b'"kind":"errors"' in body
    assert signed(body, SECRET, 5) != signed(body + b" ", SECRET, 5)
    assert signed(body, SECRET, 5) != signed(body, SECRET, 6)
    assert signed(body, SECRET, 5) != signed(body, Secret("another-secret-of-theirs"), 5)
