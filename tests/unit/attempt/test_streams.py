"""How long a stream may take to begin and to end, and in which order its pieces leave."""

import asyncio
import time

import pytest

from dragoman.attempt.policy import Policy
from dragoman.core.errors import UpstreamError
from scripted import (
    DONE,
    EVER,
    PING,
    ROLE,
    Scripted,
    call_of,
    candidate,
    finish,
    means_of,
    streamed,
    words,
)


def told(pieces):
    return b"".join([piece for _, piece in pieces])


@pytest.mark.req("R-ADD-025")
def test_pings_do_not_hold_a_stream_beyond_the_time_of_its_first_event():
    call = call_of()
    policy = Policy(gate_s=0.05, first_event_s=0.4, idle_s=5)
    reply = Scripted([(0.02, PING)] * 200)
    pieces = asyncio.run(streamed(means_of(reply, policy), call))
    assert pieces[0][0] < 0.2
    assert 0.3 < pieces[-1][0] < 1
    assert told(pieces).endswith(DONE)
    assert b'"read_timeout"' in pieces[-1][1]
    assert call.outcome.status == "timeout"


def test_a_stream_with_content_may_be_as_long_as_it_likes():
    call = call_of()
    policy = Policy(gate_s=0.05, first_event_s=0.2, idle_s=5)
    reply = Scripted([(0.02, PING)] * 5 + [(0.05, words("a"))] * 8 + [(0, finish() + DONE)])
    pieces = asyncio.run(streamed(means_of(reply, policy), call))
    assert pieces[-1][0] > 0.4
    assert b"error" not in told(pieces)
    assert call.outcome.status == "complete"


@pytest.mark.req("R-ADD-025")
def test_a_first_event_time_that_ends_behind_the_gate_is_an_error_before_the_head():
    for piece in (PING, ROLE):
        reply = Scripted([(0.01, piece)] * 500)
        start = time.monotonic()
        with pytest.raises(UpstreamError) as failure:
            asyncio.run(streamed(means_of(reply, Policy(first_event_s=0.2))))
        assert failure.value.code == "read_timeout"
        assert failure.value.status == 504
        assert 0.15 < time.monotonic() - start < 1


def test_pings_that_come_all_at_once_do_not_keep_the_gate_shut():
    policy = Policy(gate_s=0.05, first_event_s=0.3)
    pieces = asyncio.run(streamed(means_of(Scripted([(0, PING)] * 10**6), policy)))
    assert pieces[0][0] < 0.3


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("dialect", ["chat", "anthropic"])
def test_a_terminal_frame_ends_the_stream_though_the_socket_stays_open(dialect, together):
    ending = (
        [(0, words("a") + finish() + DONE)]
        if together
        else [(0, words("a")), (0.01, finish()), (0.01, DONE)]
    )
    call = call_of(dialect)
    pieces = asyncio.run(streamed(means_of(Scripted([*ending, (EVER, b"")])), call))
    assert pieces[-1][0] < 0.6
    last = b"message_stop" if dialect == "anthropic" else DONE
    assert last in pieces[-1][1]
    assert b"error" not in told(pieces)
    assert call.outcome.status == "complete"


def test_an_anthropic_stream_ends_at_message_stop():
    frames = (
        b'event: message_start\ndata: {"type":"message_start","message":{"id":"i","model":"m"}}\n\n'
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
        b'"delta":{"type":"text_delta","text":"a"}}\n\n'
        b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"}}\n\n'
    )
    stop = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    for family in ("anthropic", "chat"):
        reply = Scripted([(0, frames), (0.01, stop), (EVER, b"")])
        at = [candidate(family="anthropic")]
        pieces = asyncio.run(streamed(means_of(reply), call_of(family), candidates=at))
        assert pieces[-1][0] < 0.6
        assert (stop if family == "anthropic" else DONE) in pieces[-1][1]


def test_what_stands_behind_the_terminal_frame_is_read_so_that_the_connection_lives():
    reply = Scripted([(0, words("a")), (0, finish()), (0, DONE), (0.02, b"\n")])
    pieces = asyncio.run(streamed(means_of(reply)))
    assert reply.read_to_end
    assert pieces[-1][1].endswith(DONE)


class Broken(Scripted):
    """Resets the connection where it should end."""

    async def next(self):
        if not self.pieces:
            raise UpstreamError("upstream", "reset", code="stream_connection_lost")
        return await super().next()


def test_a_reset_behind_the_terminal_frame_is_nothing_to_anybody():
    call = call_of()
    reported = []
    means = means_of(Broken([(0, words("a")), (0, finish() + DONE)]))
    means.report = lambda error, call: reported.append(error)
    pieces = asyncio.run(streamed(means, call))
    assert pieces[-1][1].endswith(DONE)
    assert call.outcome.status == "complete"
    assert reported == []


def test_a_reset_behind_a_bare_finish_reason_is_the_end():
    call = call_of()
    pieces = asyncio.run(streamed(means_of(Broken([(0, words("a")), (0, finish())])), call))
    assert told(pieces) == words("a") + finish() + DONE
    assert call.outcome.status == "complete"


def test_blank_lines_before_a_stream_are_nothing():
    reply = Scripted([(0, b"\r\n"), (0, b" "), (0, words("a")), (0, finish() + DONE)])
    assert told(asyncio.run(streamed(means_of(reply)))) == words("a") + finish() + DONE


@pytest.mark.parametrize("gated", [True, False])
def test_a_bare_finish_reason_is_waited_behind_for_usage_and_not_for_ever(gated):
    usage = b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n'
    first = [(0, words("a") + finish())] if gated else [(0, words("a")), (0, finish())]
    call = call_of()
    policy = Policy(linger_s=0.3)
    pieces = asyncio.run(
        streamed(means_of(Scripted([*first, (0.1, usage), (EVER, b"")]), policy), call)
    )
    assert pieces[-1][0] < 1.5
    assert pieces[-1][1].endswith(DONE)
    assert call.outcome.status == "complete"
    assert call.outcome.attempts[0].usage.output == 2


def test_a_choice_that_begins_after_another_has_finished_keeps_order_and_time():
    pieces = [(0, words("a")), (0, finish()), (0.02, words("b", 1)), (0.4, words("c", 1))]
    reply = Scripted([*pieces, (0, finish(1) + DONE)])
    sent = asyncio.run(streamed(means_of(reply, Policy(linger_s=0.2))))
    expected = [words("a"), finish(), words("b", 1), words("c", 1), finish(1), DONE]
    assert told(sent) == b"".join(expected)


class Again:
    """A transport that gives the same reply to every try."""

    def __init__(self, steps):
        self.steps = steps

    async def send(self, request, again=None):
        return Scripted([*self.steps])


GEMINI_ARRAY = (
    b'[{"candidates":[{"content":{"parts":[{"text":"Hel"}],"role":"model"},"index":0}]}\n',
    b',\r\n{"candidates":[{"content":{"parts":[{"text":"lo"}]},"finishReason":"STOP"}]}\n]',
)


@pytest.mark.pitfall(10, 11)
@pytest.mark.parametrize("cut", [1, 9, 4096])
def test_an_array_is_a_stream_of_gemini_and_of_nobody_else(cut):
    data = b"".join(GEMINI_ARRAY)
    steps = [(0, data[at : at + cut]) for at in range(0, len(data), cut)]
    google = [candidate(family="gemini")]
    pieces = asyncio.run(streamed(means_of(Again(steps)), candidates=google))
    assert b'"content":"Hel"' in told(pieces)
    assert told(pieces).endswith(DONE)
    with pytest.raises(UpstreamError) as failure:
        asyncio.run(streamed(means_of(Again(steps))))
    assert "something else than a stream" in failure.value.message


@pytest.mark.pitfall(11, 140)
def test_a_whole_reply_of_gemini_becomes_a_stream_and_its_error_an_error():
    whole = b'{"candidates":[{"content":{"parts":[{"text":"Hi"}]},"finishReason":"STOP"}]}'
    google = [candidate(family="gemini")]
    pieces = asyncio.run(streamed(means_of(Scripted([(0, whole)])), candidates=google))
    assert b'"content":"Hi"' in told(pieces)
    for body in (
        b'{"error":{"code":429,"message":"slow","status":"RESOURCE_EXHAUSTED"}}',
        b'[{"error":{"code":429,"message":"slow","status":"RESOURCE_EXHAUSTED"}}]',
    ):
        with pytest.raises(UpstreamError) as failure:
            asyncio.run(streamed(means_of(Again([(0, body)])), candidates=google))
        assert failure.value.kind == "rate_limit"


class There(Scripted):
    """What comes without a pause is there already, all of it at once."""

    def at_hand(self):
        found = b""
        while self.pieces and self.pieces[0][0] == 0:
            found += self.pieces.pop(0)[1]
        return found or None

    def is_over(self):
        return not self.pieces

    async def next(self):
        assert not (self.pieces and self.pieces[0][0] == 0), "it was there"
        return await super().next()


@pytest.mark.parametrize(
    "script",
    [
        [(0, ROLE), (0, words("a")), (0, finish()), (0, DONE)],
        [(0, ROLE), (0.01, words("a")), (0.01, finish() + DONE), (0.01, b"\n")],
        [(0, ROLE), (0, words("a")), (0.01, finish() + DONE)],
        [(0, ROLE), (0, words("a"))],
        [(0, ROLE + words("a")), (EVER, b"")],
        [(0, PING), (0.3, words("a")), (0.01, finish() + DONE)],
    ],
)
def test_what_is_there_already_is_told_as_what_is_waited_for(script):
    policy = Policy(gate_s=0.05, idle_s=0.4)
    ends = []
    for kind in Scripted, There:
        call = call_of()
        pieces = asyncio.run(streamed(means_of(kind(list(script)), policy), call))
        ends.append((told(pieces), call.outcome.status, call.outcome.error_code))
    assert ends[0] == ends[1]


def test_a_stream_that_is_there_already_makes_no_task():
    async def tasks():
        made = []
        loop = asyncio.get_running_loop()
        loop.set_task_factory(
            lambda loop, work, **more: made.append(work) or asyncio.Task(work, loop=loop, **more)
        )
        await streamed(means_of(There([(0, ROLE + words("a") + finish() + DONE)])))
        return list(made)  # the loop makes some when it ends

    assert asyncio.run(tasks()) == []
