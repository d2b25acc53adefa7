"""Items that came after a response was made are its tenant's as soon as anybody sees their ids."""

from __future__ import annotations

import asyncio
import json

import pytest

from dragoman.core.errors import HouseError
from dragoman.keeping.later import learn, learning
from dragoman.keeping.ports import Kept
from keeping_desk import Desk, response

KEPT = Kept("resp_own", 1.0, 9e9, "openai", "key-1")


def items_of(desk):
    row = desk.store.rows.get(("ours", "resp_own"))
    return None if row is None else row.items


def test_a_whole_reply_tells_of_its_items():
    desk = Desk()
    reply = json.dumps(response("resp_own", status="completed")).encode()
    asyncio.run(learn(reply, KEPT, "ours", desk.keeper))
    assert items_of(desk) == ("msg_resp_own",)
    assert desk.store.rows["ours", "resp_own"].expires == KEPT.expires


def test_a_page_of_what_was_said_before_tells_of_items_too():
    desk = Desk()
    page = {"object": "list", "data": [{"type": "message", "id": "msg_in"}], "has_more": False}
    asyncio.run(learn(json.dumps(page).encode(), KEPT, "ours", desk.keeper))
    assert items_of(desk) == ("msg_in",)


@pytest.mark.parametrize("reply", [b"", b"[]", b'{"output":5}', b'{"output":[]}', b'{"id":"x"}'])
def test_a_reply_that_tells_of_none_notes_nothing(reply):
    desk = Desk()
    asyncio.run(learn(reply, KEPT, "ours", desk.keeper))
    assert items_of(desk) is None


def test_what_cannot_be_noted_is_not_told():
    desk = Desk()
    desk.store.fail()
    reply = json.dumps(response("resp_own", status="completed")).encode()
    with pytest.raises(HouseError, match="whose the items"):
        asyncio.run(learn(reply, KEPT, "ours", desk.keeper))

    async def source():
        yield frame("response.output_text.delta", delta="x")
        yield frame("response.output_item.added", item={"id": "rs_1", "type": "reasoning"})
        yield frame("response.completed", response=response("resp_own"))

    async def run():
        pieces = learning(source(), lambda error: b"FAILED", KEPT, "ours", desk.keeper)
        return [piece async for piece in pieces]

    found = asyncio.run(run())
    assert found == [b"", frame("response.output_text.delta", delta="x"), b"FAILED"]


def frame(kind, **members):
    data = json.dumps({"type": kind, **members})
    return f"event: {kind}\ndata: {data}\n\n".encode()


@pytest.mark.parametrize(
    ("most", "items"), [(1, None), (2, ("rs_1",)), (9, ("rs_1", "msg_resp_own"))]
)
def test_a_replay_passes_as_it_is_and_tells_as_it_goes(most, items):
    desk = Desk()
    frames = [
        frame("response.created", response={"id": "resp_own", "output": []}),
        frame("response.output_item.added", item={"id": "rs_1", "type": "reasoning"}),
        frame("response.output_text.delta", delta="x"),
        frame("response.completed", response=response("resp_own")),
    ]
    closed = []

    async def source():
        try:
            for one in frames:
                yield one
        finally:
            closed.append(True)

    async def run():
        pieces = learning(source(), pytest.fail, KEPT, "ours", desk.keeper)
        assert await anext(pieces) == b""
        seen = []
        async for piece in pieces:
            seen.append(piece)
            if len(seen) == most:
                break
        await pieces.aclose()
        return seen

    assert asyncio.run(run()) == frames[:most]
    assert closed == [True]
    assert items_of(desk) == items
