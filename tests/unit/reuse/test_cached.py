"""The cache: which answers are kept in it, and what is done with them."""

import asyncio
from functools import partial

import pytest
from msgspec.structs import replace

from dragoman.core.call import Origin
from dragoman.core.clock import ManualClock
from dragoman.core.errors import CallerError
from dragoman.reuse.cached import give_cached
from dragoman.reuse.same import cache_key, fingerprint
from dragoman.reuse.transcript import Told, Transcript
from dragoman.reuse.wish import CacheWish
from dragoman.store.memory.answers import MemoryAnswers
from recording_desk import POLICY, Provider, new_call, new_recorder, read

CACHING = replace(POLICY, cache_s=60, cache_most_bytes=1000)
BODY = b'{"model":"m"}'


class Desk:
    def __init__(self, provider=None):
        self.clock = ManualClock()
        self.cache = MemoryAnswers(self.clock, 10_000)
        self.recorder = new_recorder(policy=CACHING, cache=self.cache)
        self.recorder.clock = self.clock
        self.provider = provider or Provider()
        self.finished = 0

    def finish(self):
        self.finished += 1

    async def ask(self, call=None, body=BODY, wish=None):
        call = call or new_call()
        serve = partial(self.provider.make, call, body)
        answer = await give_cached(
            wish or CacheWish(), call, body, serve, self.finish, self.recorder
        )
        return call, await read(answer)


def run(story, provider=None):
    asyncio.run(story(Desk(provider)))


@pytest.mark.parametrize("whole", [None, b"{}"])
def test_the_second_answer_is_the_first_again(whole):
    async def story(desk):
        first, body = await desk.ask()
        desk.clock.advance(7)
        second, again = await desk.ask()
        assert body == again
        assert (first.outcome.cache, second.outcome.cache) == ("miss", "hit")
        assert (second.outcome.age_s, second.outcome.origin.call_id) == (7, first.id)
        assert (second.outcome.status, second.outcome.http_status) == ("complete", 200)
        assert not second.outcome.attempts
        # The account of a stream ends with its last piece; that of a whole answer elsewhere.
        assert desk.finished == (1 if whole is None else 0)
        assert len(desk.provider.calls) == 1

    run(story, Provider(whole=whole))


def test_its_pieces_are_those_that_came():
    async def story(desk):
        await desk.ask()
        call = new_call()
        answer = await give_cached(
            CacheWish(), call, BODY, partial(desk.provider.make, call), desk.finish, desk.recorder
        )
        assert [piece async for piece in answer.pieces] == desk.provider.pieces

    run(story)


def test_a_caller_that_leaves_a_hit_has_cut_it():
    async def story(desk):
        await desk.ask()
        call = new_call()
        answer = await give_cached(
            CacheWish(), call, BODY, partial(desk.provider.make, call), desk.finish, desk.recorder
        )
        await anext(answer.pieces)
        await answer.pieces.aclose()
        assert call.outcome.status == "client_cut"
        assert desk.finished == 1

    run(story)


def test_a_stream_that_is_left_or_broken_is_not_kept():
    async def story(desk):
        call = new_call()
        answer = await give_cached(
            CacheWish(),
            call,
            BODY,
            partial(desk.provider.make, call, BODY),
            desk.finish,
            desk.recorder,
        )
        await anext(answer.pieces)
        await answer.pieces.aclose()
        desk.provider.status = "upstream_cut"
        assert (await desk.ask())[0].outcome.cache == "miss"
        assert (await desk.ask())[0].outcome.cache == "miss"
        assert desk.cache.size == 0

    run(story)


@pytest.mark.parametrize("whole", [None, b"x" * 2000])
def test_a_large_answer_is_not_kept(whole):
    async def story(desk):
        for _ in range(2):
            assert (await desk.ask())[0].outcome.cache == "miss"

    run(story, Provider([b"data: %b\n\n" % (b"x" * 600)] * 3, whole=whole))


def test_directives():
    async def story(desk):
        with pytest.raises(CallerError) as caught:
            await desk.ask(wish=CacheWish(only=True))
        assert (caught.value.status, caught.value.code) == (504, "not_cached")

        async def said(**members):
            return (await desk.ask(wish=CacheWish(**members)))[0].outcome.cache

        assert await said(reads=False, writes=False) == "bypass"
        assert await said() == "miss"
        assert await said() == "hit"
        desk.clock.advance(10)
        assert await said(max_age_s=9) == "miss"
        assert await said(max_age_s=9) == "hit"
        assert await said(reads=False) == "bypass"
        assert await said(only=True) == "hit"
        desk.clock.advance(61)
        assert await said() == "miss"

    run(story)


@pytest.mark.parametrize(
    ("dialect", "body", "cached"),
    [
        ("chat", b'{"store":false}', True),
        ("chat", b'{"store":true}', False),
        ("chat", b'{"store":null,"conversation":null}', True),
        ("anthropic", b'{"container":"c"}', False),
        ("responses", b"{}", False),
        ("responses", b'{"store":false}', True),
        ("responses", b'{"store":false,"previous_response_id":"r"}', False),
        ("responses", b'{"store":false,"conversation":"c"}', False),
        ("chat", b"no json", False),
        ("chat", b"[" * 10_000, False),
    ],
)
def test_what_somebody_remembers_is_not_cached(dialect, body, cached):
    async def story(desk):
        said = [(await desk.ask(new_call(dialect=dialect), body))[0].outcome.cache for _ in "ab"]
        assert said == (["miss", "hit"] if cached else ["bypass", "bypass"])

    run(story)


@pytest.mark.req("A20")
@pytest.mark.parametrize(
    "change",
    [
        {"tenant": "theirs"},
        {"key_id": "key-2"},
        {"dialect": "anthropic"},
        {"named": "other"},
        {"home": "openai"},
        {"flavour": "openrouter"},
        {"query": {"alt": "sse"}},
        {"headers": {"anthropic-beta": "x"}},
        {"headers": {"x-dragoman-strict": "true"}},
    ],
)
def test_whatever_may_change_an_answer_is_in_its_key(change):
    assert cache_key(new_call(**change), BODY, "1") != cache_key(new_call(), BODY, "1")
    assert cache_key(new_call(), BODY, "1") != cache_key(new_call(), BODY + b" ", "1")
    assert cache_key(new_call(), BODY, "1") != cache_key(new_call(), BODY, "2")


def test_what_changes_no_answer_is_not():
    headers = {"x-request-id": "r", "user-agent": "u", "x-dragoman-cache": "true"}
    assert cache_key(new_call(headers=headers), BODY, "1") == cache_key(new_call(), BODY, "1")
    assert cache_key(new_call(query={"key": "secret"}), BODY, "1") == cache_key(
        new_call(), BODY, "1"
    )
    assert fingerprint(new_call(tenant="theirs"), BODY) == fingerprint(new_call(), BODY)


def transcript(size):
    told = Told("m", (), (), estimated=False, stream=False, label_model="m")
    return Transcript(
        Origin("c"), told, 200, "text/plain", streamed=False, pieces=(b"x" * size,), made=0.0
    )


def test_the_least_recently_used_makes_room():
    async def story():
        cache = MemoryAnswers(ManualClock(), 10_000)
        for name in "abc":
            await cache.put("t", name, transcript(2000), 60)
        assert await cache.get("t", "a")
        await cache.put("t", "d", transcript(2000), 60)
        assert await cache.get("t", "b") is None
        assert await cache.get("other", "a") is None
        assert all([await cache.get("t", name) for name in "acd"])
        await cache.put("t", "a", transcript(20_000), 60)
        assert await cache.get("t", "a") is None
        assert all([await cache.get("t", name) for name in "cd"])

    asyncio.run(story())


def test_what_is_too_old_is_gone():
    async def story():
        clock = ManualClock()
        cache = MemoryAnswers(clock, 10_000)
        await cache.put("t", "a", transcript(10), 60)
        clock.advance(60)
        assert await cache.get("t", "a") is None
        assert cache.size == 0

    asyncio.run(story())
