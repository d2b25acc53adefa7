"""What was asked to be kept is kept before the last byte goes out, and what was not is told."""

from __future__ import annotations

import asyncio
import json

import pytest

from dragoman.core.call import Answer, Head
from dragoman.core.envelope import PREFIX
from dragoman.keeping.keep import keep
from dragoman.keeping.ports import Kept
from keeping_desk import GROQ, OPENAI, Desk, attempt_of, response


@pytest.fixture
def desk():
    return Desk()


OURS = "resp_01990000000070008000000000000001"
"""The id of the first response that is kept here."""


def losses(found):
    return [(loss.path, loss.reason) for loss in found.call.outcome.losses]


def test_what_is_kept_is_what_the_caller_got(desk):
    reply = desk.turn("one", store=True, temperature=0.5)
    assert reply["store"] is True
    ((tenant, name), row), *rest = desk.store.rows.items()
    assert (tenant, name, rest) == ("ours", reply["id"], [])
    assert json.loads(row.content.reply) == reply
    (said,) = json.loads(row.content.input)
    assert said["content"] == [{"type": "input_text", "text": "one"}]
    assert row.items == (said["id"], reply["output"][0]["id"])
    assert (row.provider, row.credential) == ("groq", "key-1")
    assert row.expires - row.created == 30 * 24 * 60 * 60


def test_ids_that_are_made_are_those_of_one_response_alone(desk):
    for _ in range(3):
        desk.turn("same", store=True)
    made = [row.items[0] for row in desk.store.rows.values()]
    assert len(set(made)) == 3
    assert all(name.startswith("msg_01990000") for name in made)


@pytest.mark.pitfall(151)
@pytest.mark.parametrize("store", [None, False])
def test_what_was_not_asked_for_is_not_kept(desk, store):
    members = {} if store is None else {"store": store}
    reply = desk.turn("one", **members)
    assert reply["store"] is False
    assert desk.store.rows == {}


def test_all_before_it_live_as_long_as_a_response(desk):
    first = desk.turn("one", store=True)
    second = desk.turn("two", store=True, previous_response_id=first["id"])
    third = desk.turn("three", store=True, previous_response_id=second["id"])
    assert desk.store.renewed == (first["id"], second["id"])
    assert desk.store.rows["ours", third["id"]].previous == second["id"]
    (said,) = json.loads(desk.store.rows["ours", third["id"]].content.input)
    assert said["content"][0]["text"] == "three"
    assert third["previous_response_id"] == second["id"]


def test_what_a_provider_keeps_is_noted_without_what_was_said(desk):
    reply = desk.turn("one", OPENAI, reply=response("resp_own", store=True))
    assert reply["store"] is True
    row = desk.store.rows["ours", "resp_own"]
    assert row == Kept(
        id="resp_own",
        created=row.created,
        expires=row.expires,
        provider="openai",
        credential="key-1",
        items=("msg_resp_own",),
    )


def test_what_a_provider_says_it_does_not_keep_is_not_noted(desk):
    desk.turn("one", OPENAI, reply=response("resp_own", store=False))
    assert desk.store.rows == {}
    first = desk.turn("one", store=True)
    desk.turn("x", OPENAI, previous_response_id=first["id"], store=False)
    assert len(desk.store.rows) == 1


def test_a_reply_of_a_providers_own_is_not_touched(desk):
    found = desk.recall(OPENAI, input="x")
    found.call.outcome.attempts.append(attempt_of(OPENAI))
    body = b'{ "id": "resp_own", "n": 1.10, "output": [] }'
    answer = Answer(Head(200, "application/json", body))
    kept = asyncio.run(keep(answer, found.keeping, found.call, desk.keeper))
    assert kept.head.body == body
    assert ("ours", "resp_own") in desk.store.rows


def test_who_answers_in_the_end_decides_who_keeps(desk):
    found = desk.recall(OPENAI, GROQ, input="x", store=True)
    assert found.body["store"] is True
    reply = desk.answer(found, response("resp_1"), by=GROQ)
    assert reply["store"] is True
    assert desk.store.rows["ours", OURS].content is not None
    found = desk.recall(OPENAI, GROQ, input="x", store=True)
    desk.answer(found, response("resp_own", store=True), by=OPENAI)
    assert desk.store.rows["ours", "resp_own"].content is None
    # Without a word the provider keeps it, and the gateway does not.
    reply = desk.answer(desk.recall(OPENAI, GROQ, input="x"), response("resp_2"), by=GROQ)
    assert reply["store"] is False
    assert ("ours", "resp_2") not in desk.store.rows


# --- what cannot be kept


def test_a_reply_that_cannot_be_kept_goes_out_and_says_so(desk):
    found = desk.recall(input="x", store=True)
    desk.store.fail()
    reply = desk.answer(found, response("resp_1"))
    assert reply["store"] is False
    assert reply["output"][0]["content"][0]["text"] == "Hello"
    assert losses(found) == [("store", "the gateway's database did not take it")]
    assert desk.reported == [desk.store.broken]


def test_a_bug_of_the_store_costs_no_paid_reply(desk):
    found = desk.recall(input="x", store=True)
    desk.store.broken = ZeroDivisionError()
    assert desk.answer(found, response("resp_1"))["store"] is False
    assert len(desk.reported) == 1


def test_a_provider_whose_id_cannot_be_noted_has_still_kept_it(desk):
    found = desk.recall(OPENAI, input="x")
    desk.store.fail()
    assert desk.answer(found, response("resp_own", store=True))["store"] is True
    assert losses(found) == [("store", "the gateway's database did not take it")]


def test_nobody_waits_for_the_store_to_hear_of_what_a_provider_keeps(desk):
    found = desk.recall(OPENAI, input="x")
    asked = desk.store.asked
    desk.answer(found, response("resp_own", store=True))
    assert desk.store.asked == asked
    assert ("ours", "resp_own") in desk.store.rows


@pytest.mark.parametrize(
    "reply", [{"id": "resp_1", "output": 5}, {"id": "resp_1", "output": [{"id": 5}]}]
)
def test_odd_output_of_a_provider_that_keeps_is_not_noted_and_that_is_told(desk, reply):
    found = desk.recall(OPENAI, input="x")
    assert desk.answer(found, reply) == reply
    assert losses(found) == [("store", "the reply's output cannot be read")]


def test_what_callers_call_their_items_is_not_said_to_be_the_providers(desk):
    given = [{"type": "message", "role": "user", "id": "msg_mine", "content": "x"}]
    found = desk.recall(OPENAI, GROQ, input=given, store=True)
    desk.answer(found, response("resp_own", store=True), by=OPENAI)
    assert desk.store.rows["ours", "resp_own"].items == ("msg_resp_own",)


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        ({"id": "resp_1", "output": 5}, "cannot be read"),
        ({"id": "resp_1", "store": 5, "output": [5]}, "cannot be read"),
        (response("resp_1", "x" * 5000), "more than 4000 bytes"),
    ],
)
def test_a_reply_that_is_odd_or_too_large_is_not_kept_and_that_is_told(reply, why):
    desk = Desk(most_bytes=4000)
    found = desk.recall(input="x", store=True)
    assert desk.answer(found, reply)["store"] is False
    ((path, reason),) = losses(found)
    assert path == "store"
    assert why in reason
    assert desk.store.rows == {}


def test_what_is_no_response_is_not_kept_and_that_is_told(desk):
    found = desk.recall(input="x", store=True)
    assert desk.answer(found, []) == []
    assert losses(found) == [("store", "the reply is no response")]


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (response("x" * 600, store=True), "no id that could be kept"),
        (response("a\nb", store=True), "no id that could be kept"),
        ({"object": "response"}, "no response"),
    ],
)
def test_an_odd_reply_of_a_provider_that_keeps_is_not_noted_and_that_is_told(desk, reply, why):
    found = desk.recall(OPENAI, input="x")
    assert desk.answer(found, reply) == reply
    ((path, reason),) = losses(found)
    assert path == "store"
    assert why in reason
    assert desk.store.rows == {}


@pytest.mark.pitfall(134)
def test_what_is_kept_here_has_an_id_that_no_other_has(desk):
    """Small servers number their replies with three digits."""
    replies = [desk.turn(text, store=True, reply=response("resp_7")) for text in "ab"]
    assert [reply["id"] for reply in replies] == [OURS, OURS[:-1] + "2"]
    assert len(desk.store.rows) == 2
    assert desk.turn("c", reply=response("resp_7"))["id"] == "resp_7"


# --- streams


def event(kind, number, **members):
    data = json.dumps({"type": kind, "sequence_number": number, **members})
    return f"event: {kind}\ndata: {data}\n\n".encode()


def stream_of(reply, last="response.completed"):
    start = {**reply, "status": "in_progress", "output": []}
    return [
        event("response.created", 0, response=start),
        event("response.in_progress", 1, response=start),
        event("response.output_text.delta", 2, delta="Hel"),
        event("response.output_text.delta", 3, delta="lo"),
        event(last, 4, response=reply),
    ]


class Pieces:
    """A stream that remembers how it ended."""

    def __init__(self, pieces):
        self.pieces = pieces
        self.closed = False

    async def run(self):
        try:
            for piece in self.pieces:
                yield piece
        finally:
            self.closed = True


def streamed(desk, found, pieces, by=GROQ, most=99):
    """The bytes that go out, and for each piece how many responses were kept before it."""
    found.call.outcome.attempts.append(attempt_of(by))
    source = Pieces(pieces)

    async def run():
        answer = Answer(Head(200, "text/event-stream"), source.run())
        kept = await keep(answer, found.keeping, found.call, desk.keeper)
        out, rows = [], []
        async for piece in kept.pieces:
            out.append(piece)
            rows.append(len(desk.store.rows))
            if len(out) == most:
                break
        await kept.pieces.aclose()
        return out, rows

    out, rows = asyncio.run(run())
    assert source.closed
    return out, rows


def responses_in(out):
    frames = [frame for frame in b"".join(out).split(b"\n\n") if b'"response"' in frame]
    return [json.loads(frame.split(b"data: ")[1])["response"] for frame in frames]


@pytest.mark.parametrize("last", ["response.completed", "response.incomplete", "response.failed"])
def test_a_stream_is_kept_before_its_last_frame_goes_out(desk, last):
    found = desk.recall(input="x", store=True, stream=True)
    out, rows = streamed(desk, found, stream_of(response("resp_1"), last))
    assert rows == [0, 0, 0, 0, 1]
    assert [shown["store"] for shown in responses_in(out)] == [True] * 3
    row = desk.store.rows["ours", OURS]
    assert json.loads(row.content.reply) == responses_in(out)[-1]
    assert [shown["id"] for shown in responses_in(out)] == [OURS] * 3
    assert out[2:4] == stream_of(response("resp_1"))[2:4]


def test_the_last_frame_of_a_stream_says_that_it_was_not_kept(desk):
    found = desk.recall(input="x", store=True)
    desk.store.fail()
    out, _ = streamed(desk, found, stream_of(response("resp_1")))
    assert [shown["store"] for shown in responses_in(out)] == [True, True, False]
    assert losses(found)


def test_a_stream_that_breaks_is_not_kept(desk):
    found = desk.recall(input="x", store=True)
    broken = [*stream_of(response("resp_1"))[:3], event("error", 3, error={"message": "gone"})]
    out, rows = streamed(desk, found, broken)
    assert out[3] == broken[3]
    assert rows == [0] * 4


def test_a_caller_who_leaves_has_nothing_kept_and_the_stream_closed(desk):
    found = desk.recall(input="x", store=True)
    _, rows = streamed(desk, found, stream_of(response("resp_1")), most=2)
    assert rows == [0, 0]


def test_a_stream_that_nobody_reads_is_closed_too(desk):
    found = desk.recall(input="x", store=True)
    streamed(desk, found, [], most=0)
    found.call.outcome.attempts.append(attempt_of(GROQ))
    source = Pieces(stream_of(response("resp_1")))

    async def run():
        pieces = source.run()
        await anext(pieces)
        answer = Answer(Head(200, "text/event-stream"), pieces)
        kept = await keep(answer, found.keeping, found.call, desk.keeper)
        await kept.pieces.aclose()

    asyncio.run(run())
    assert source.closed


def test_a_stream_of_a_providers_own_passes_as_it_is(desk):
    found = desk.recall(OPENAI, input="x")
    pieces = stream_of(response("resp_own", store=True))
    out, rows = streamed(desk, found, pieces, by=OPENAI)
    assert out == pieces
    assert rows == [1] * 5
    assert desk.store.rows["ours", "resp_own"].content is None


@pytest.mark.parametrize("members", [{}, {"background": True}])
def test_a_stream_of_a_providers_own_is_noted_from_its_first_frame_on(desk, members):
    found = desk.recall(OPENAI, input="x", **members)
    pieces = stream_of(response("resp_own", store=True))
    _, rows = streamed(desk, found, pieces, by=OPENAI)
    assert rows[0] == 1
    assert desk.store.rows["ours", "resp_own"].items == ("msg_resp_own",)
    assert desk.store.notes == 2


@pytest.mark.parametrize("most", [1, 3, 99])
def test_a_stream_that_is_cut_is_its_callers_with_the_items_that_had_begun(desk, most):
    found = desk.recall(OPENAI, input="x")
    whole = stream_of(response("resp_own", store=True, conversation={"id": "conv_1"}))
    item = {"id": "rs_1", "type": "reasoning"}
    begun = event("response.output_item.added", 2, item=item)
    streamed(desk, found, [*whole[:2], begun, whole[2]], by=OPENAI, most=most)
    # What is in a conversation outlives the response.
    assert desk.store.rows["ours", "resp_own"].items == ()
    assert {name for _, name in desk.store.lasting} >= {"conv_1", *(["rs_1"] if most > 1 else [])}
    assert losses(found) == []


def test_items_that_the_last_frame_leaves_out_were_told_before(desk):
    found = desk.recall(OPENAI, input="x")
    whole = stream_of(response("resp_own", store=True))
    begun = event("response.output_item.added", 2, item={"id": "rs_1"})
    streamed(desk, found, [*whole[:2], begun, *whole[2:]], by=OPENAI)
    assert set(desk.store.rows["ours", "resp_own"].items) == {"rs_1", "msg_resp_own"}
    assert desk.store.notes == 2


def test_a_stream_that_its_provider_does_not_keep_is_not_noted(desk):
    found = desk.recall(OPENAI, input="x")
    begun = event("response.output_item.added", 2, item={"id": "rs_1"})
    pieces = [*stream_of(response("resp_own", store=False))[:2], begun]
    streamed(desk, found, pieces, by=OPENAI)
    found = desk.recall(GROQ, input="x", store=True)
    streamed(desk, found, [*stream_of(response("resp_1"))[:2], begun])
    assert desk.store.rows == {}


def test_what_a_stream_continues_is_told_in_all_of_its_frames(desk):
    first = desk.turn("one", store=True)
    for who in (GROQ, OPENAI):
        found = desk.recall(who, input="x", previous_response_id=first["id"], store=False)
        out, _ = streamed(desk, found, stream_of(response("resp_2")), by=who)
        told = {(shown["previous_response_id"], shown["store"]) for shown in responses_in(out)}
        assert told == {(first["id"], False)}


def test_reasoning_that_was_left_behind_is_told_with_the_answer(desk):
    thought = {"type": "reasoning", "id": "rs_1", "encrypted_content": f"{PREFIX}1.a.b"}
    first = desk.turn("one", store=True, reply={**response("resp_1"), "output": [thought]})
    found = desk.recall(OPENAI, input="x", previous_response_id=first["id"])
    streamed(desk, found, stream_of(response("resp_own", store=True)), by=OPENAI)
    assert losses(found) == [("input[1]", "reasoning that another provider issued")]
