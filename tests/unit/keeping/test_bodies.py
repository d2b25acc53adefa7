"""Bodies are kept for whom it is wanted, cut where they are long, and given up where there is no room."""

from __future__ import annotations

import asyncio
import json

import pytest

from dragoman.core.call import Call, Caller
from dragoman.core.errors import HouseError
from dragoman.keeping import bodies as module
from dragoman.keeping.bodies import Bodies, Said, Wish, told

MOST = 10


class Store:
    """Takes what it is given, after it has failed as often as it is told."""

    def __init__(self, failures=()):
        self.failures = list(failures)
        self.batches = []

    async def put(self, said):
        if self.failures:
            raise self.failures.pop(0)
        self.batches.append(list(said))

    @property
    def kept(self):
        return [each for batch in self.batches for each in batch]


def call(tenant="acme", number=1):
    async def read():
        return b""

    found = Call(
        f"call-{number}", "r", "t", "chat", "chat", "/", None, {}, read, received=0.0, wall=1000.0
    )
    found.caller = Caller("k", tenant)
    return found


def kept(story, store=None, wish=None):
    store, told = store or Store(), []
    wish = wish or Wish(frozenset({"acme"}), MOST)

    async def whole():
        bodies = Bodies(store, lambda: wish, told.append)
        await story(bodies)
        await bodies.close()
        return bodies

    return asyncio.run(whole()), store, told


def test_a_whole_answer_and_a_stream_in_both_ways_are_kept():
    gone = []

    async def story(bodies):
        noting = bodies.begin(call(), b"asked")
        push = noting.beside(lambda piece: gone.append(piece) or piece != b"late")
        noting.take(b"a")
        assert push(b"b")
        assert not push(b"late")
        noting.end()
        noting.end()

    bodies, store, _ = kept(story)
    assert store.kept == [Said("acme", "call-1", 1000.0, b"asked", b"ab", 5, 2)]
    assert gone == [b"b", b"late"]
    assert (bodies.waiting, bodies.lost, bodies._held) == (0, 0, 0)
    assert "asked" not in repr(store.kept[0])


def test_nobody_else_is_noted():
    async def story(bodies):
        assert bodies.begin(call("other"), b"asked") is None
        bodies.wish = lambda: None
        assert bodies.begin(call(), b"asked") is None
        bodies.wish = lambda: Wish(frozenset({"*"}), MOST)
        assert bodies.begin(call("other"), b"asked") is not None

    kept(story)


def test_what_is_long_is_cut_and_its_size_told():
    async def story(bodies):
        noting = bodies.begin(call(), b"x" * 25)
        for _ in range(4):
            noting.take("ä1ä".encode())
        noting.end()

    _, store, _ = kept(story)
    (said,) = store.kept
    assert (len(said.request), said.request_size) == (MOST, 25)
    assert (len(said.answer), said.answer_size) == (MOST, 20)
    shown = json.loads(told(said, 1))
    assert shown["request"] == {
        "bytes": 25, "truncated": True, "encoding": "text", "body": "x" * 10,
    }  # fmt: skip
    assert shown["answer"]["body"] == "ä1ää1ä"[:6]
    assert (shown["created_at"], shown["expires_at"]) == (
        "1970-01-01T00:16:40Z",
        "1970-01-02T00:16:40Z",
    )


def test_what_is_no_text_comes_as_base64():
    shown = json.loads(told(Said("acme", "c", 0.0, b"\xff\x00", b"", 2, 0), 1))
    assert shown["request"]["encoding"] == "base64"
    assert shown["request"]["body"] == "/wA="


def test_a_database_that_is_away_is_waited_for_and_told_of_once(monkeypatch):
    monkeypatch.setattr(module, "AGAIN_S", 0.01)
    away = HouseError("server", "away")

    async def story(bodies):
        for number in range(30):
            noting = bodies.begin(call(number=number), b"asked")
            noting.end()

    bodies, store, failures = kept(story, Store([away, away]))
    assert [each.call_id for each in store.kept] == [f"call-{n}" for n in range(30)]
    assert max(map(len, store.batches)) <= module.AT_ONCE
    assert failures == [away]
    assert bodies.lost == 0


def test_what_cannot_be_written_at_all_stops_nothing_else():
    async def story(bodies):
        bodies.begin(call(number=1), b"asked").end()
        await bodies.settle()
        bodies.begin(call(number=2), b"asked").end()

    bodies, store, failures = kept(story, Store([ZeroDivisionError()]))
    assert [each.call_id for each in store.kept] == ["call-2"]
    assert (bodies.lost, len(failures)) == (1, 1)


@pytest.mark.parametrize("room", [4, 7])
def test_without_room_a_call_is_given_up_and_its_room_is_free_again(monkeypatch, room):
    monkeypatch.setattr(module, "MOST_WAITING", room)

    async def story(bodies):
        noting = bodies.begin(call(), b"asked")
        noting.take(b"abc")
        noting.take(b"d")
        noting.end()
        assert bodies._held == 0
        bodies.begin(call(number=2), b"ok").end()

    bodies, store, _ = kept(story)
    assert [each.call_id for each in store.kept] == ["call-2"]
    assert (bodies.lost, bodies._held) == (1, 0)


def test_an_end_that_cannot_wait_counts_what_is_lost(monkeypatch):
    monkeypatch.setattr(module, "PATIENCE_S", 0.05)
    monkeypatch.setattr(Bodies.settle, "__defaults__", (0.05,))

    async def story(bodies):
        bodies.begin(call(), b"asked").end()

    bodies, store, _ = kept(story, Store([HouseError("server", "away")] * 10))
    assert (store.kept, bodies.lost) == ([], 1)
