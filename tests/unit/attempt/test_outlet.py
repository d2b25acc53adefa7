"""Ordinary pieces of a stream go out past the task that carries it, all others through it."""

import asyncio

import pytest

from dragoman.attempt import under_way
from dragoman.attempt.policy import Policy
from dragoman.dialects.chat.relay import ChatRelay
from scripted import DONE, EVER, Scripted, answered, call_of, finish, means_of, words


async def poured(reply, call=None, *, push=None, policy=None):
    """What went out, in its order, each piece with its way; and the outlet."""
    gone = []
    answer = await answered(means_of(reply, policy), call or call_of())

    def straight(piece):
        gone.append(("past", piece))
        return True

    def through(piece):
        if piece:
            gone.append(("through", piece))

    answer.outlet.push = push(gone) if push else straight
    async for piece in answer.pieces:
        through(piece)
    return gone, answer.outlet


def bytes_of(gone):
    return b"".join([piece for _, piece in gone])


SCRIPT = [(0, words("a")), (0.01, words("b")), (0.01, words("c")), (0.01, finish()), (0.01, DONE)]


def test_pieces_between_the_first_and_the_last_go_past_the_task():
    gone, _ = asyncio.run(poured(Scripted(list(SCRIPT))))
    assert bytes_of(gone) == words("a") + words("b") + words("c") + finish() + DONE
    assert [way for way, _ in gone] == ["through", "past", "past", "through"]


@pytest.mark.parametrize("after", [0, 1])
def test_where_it_cannot_go_out_at_once_the_task_sends_it_in_its_order(after):
    def push(gone):
        def reluctant(piece):
            if sum(way == "past" for way, _ in gone) >= after:
                return False
            gone.append(("past", piece))
            return True

        return reluctant

    gone, _ = asyncio.run(poured(Scripted(list(SCRIPT)), push=push))
    assert bytes_of(gone) == words("a") + words("b") + words("c") + finish() + DONE
    assert [way for way, _ in gone].count("past") == after


def test_half_a_frame_is_no_sign_of_life_for_the_caller():
    half = words("b")
    script = [(0, words("a")), (0.01, half[:20]), (0.01, half[20:40]), (0.01, half[40:])]
    moments = []

    async def run():
        reply = Scripted([*script, (0.01, finish() + DONE)])
        answer = await answered(means_of(reply), call_of())
        answer.outlet.push = lambda piece: moments.append(piece) is None
        return [answer.outlet.at async for _ in answer.pieces]

    seen = asyncio.run(run())
    assert moments == [half]
    assert seen[0] == 0.0
    assert seen[-1] > 0.0


def test_a_bug_in_the_relay_ends_the_stream_with_an_error(monkeypatch):
    reported = []
    honest = ChatRelay.feed

    def broken(self, data):
        if b':"c"}' in data:
            raise ZeroDivisionError
        return honest(self, data)

    monkeypatch.setattr(ChatRelay, "feed", broken)
    call = call_of()

    async def run():
        means = means_of(Scripted(list(SCRIPT)))
        means.report = lambda error, _: reported.append(error)
        answer = await answered(means, call)
        gone = bytearray()
        answer.outlet.push = lambda piece: gone.extend(piece) is None
        async for piece in answer.pieces:
            gone.extend(piece)
        return bytes(gone)

    told = asyncio.run(run())
    assert told.startswith(words("a") + words("b"))
    assert b'"server_error"' in told
    assert told.endswith(DONE)
    assert call.outcome.status == "house_error"
    assert [type(error) for error in reported] == [ZeroDivisionError]


def test_a_silent_provider_is_noticed_while_pieces_go_past():
    call = call_of()
    script = [(0, words("a")), (0.05, words("b")), (0.05, words("c")), (EVER, b"")]
    gone, _ = asyncio.run(poured(Scripted(script), call, policy=Policy(idle_s=0.2)))
    assert [way for way, _ in gone] == ["through", "past", "past", "through"]
    assert b'"error"' in gone[-1][1]
    assert call.outcome.status == "timeout"


class Racing(Scripted):
    """Its last frames but one come in the very turn of the loop in which the idle time ends."""

    dog = None

    async def pour(self, take):
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        while (piece := await self.next()) is not None:
            if not take(piece):
                return piece
            if len(self.pieces) == 2:
                break
        taken = loop.create_future()

        def arrives():
            _, piece = self.pieces.pop(0)
            assert not take(piece)
            taken.set_result(piece)
            self.dog.fired = "upstream"
            task.cancel()

        loop.call_later(0.01, arrives)
        return await taken


@pytest.mark.parametrize("last", [finish(), words("c")])
def test_a_frame_that_comes_in_the_turn_in_which_time_is_over_still_goes_out(monkeypatch, last):
    reply = Racing([(0, words("a")), (0.01, words("b")), (0.01, last), (0.01, DONE)])
    honest = under_way.Watchdog

    def watched(*args, **members):
        reply.dog = honest(*args, **members)
        return reply.dog

    monkeypatch.setattr(under_way, "Watchdog", watched)
    call = call_of()

    def push(gone):
        def until_the_last(piece):
            if piece == last:
                return False
            gone.append(("past", piece))
            return True

        return until_the_last

    gone, _ = asyncio.run(poured(reply, call, push=push))
    told = bytes_of(gone)
    assert told.startswith(words("a") + words("b") + last)
    assert told.endswith(DONE)
    assert call.outcome.status == ("complete" if last == finish() else "timeout")
