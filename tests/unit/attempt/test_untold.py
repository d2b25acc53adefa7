"""Usage that a provider does not tell: what is counted of it, of which tries, and what costs nothing."""

import asyncio
import json

import pytest

from dragoman.attempt.policy import Policy
from dragoman.attempt.untold import Words, completed, size_of
from dragoman.core.events import PartDelta, PartStart
from dragoman.core.parts import Media, Refusal, Text, Thinking, ToolCall, Url
from dragoman.core.usage import Usage
from dragoman.dialects.base import Facts
from dragoman.dialects.overheard import Beside
from scripted import (
    DONE,
    Scripted,
    answered,
    call_of,
    candidate,
    finish,
    means_of,
    streamed,
    words,
)

ON = Policy(estimate_missing_usage=True)
USED = b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}\n\n'
START = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"i","model":"m",'
    b'"usage":{"input_tokens":11,"output_tokens":1}}}\n\n'
)
SAID = (
    b'event: content_block_start\ndata: {"type":"content_block_start","index":0,'
    b'"content_block":{"type":"text","text":""}}\n\n'
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
    b'"delta":{"type":"text_delta","text":"twelve bytes"}}\n\n'
)


def quarter(size):
    return -(-size // 4)


def tried(pieces, policy=ON, dialect="chat", family="chat", *, stream=True):
    """The attempt, what it was asked, and what its caller got."""
    call = call_of(dialect)
    reply = Scripted([(0, piece) for piece in pieces])
    means = means_of(reply, policy)
    at = [candidate(family=family)]
    if stream:
        got = b"".join(piece for _, piece in asyncio.run(streamed(means, call, candidates=at)))
    else:
        got = asyncio.run(answered(means, call, stream=False, candidates=at)).head.body
    (attempt,) = call.outcome.attempts
    return attempt, reply.asked[0].body, got


# --------------------------------------------------------------------------- counting


@pytest.mark.parametrize(
    ("part", "size"),
    [
        (Text("four"), 4),
        (Text("groß"), 5),
        (Refusal("no"), 2),
        (Thinking("hm", signature="x" * 99), 2),
        (Thinking(encrypted="x" * 99, redacted=True), 0),
        (ToolCall("id", "name", '{"a":1}'), 7),
        (Media("image", Url("https://example.org/a.png")), 0),
        (Media("audio", Url("https://example.org/a.wav"), transcript="said"), 4),
    ],
)
def test_of_a_part_the_words_are_counted(part, size):
    assert size_of(part) == size


def test_of_a_stream_the_words_are_counted_and_no_seals():
    heard = Words()
    heard.hear(
        [PartStart(0, Thinking("a")), PartDelta(0, "bc"), PartDelta(0, "x" * 50, "signature")]
    )
    heard.hear([PartStart(1, ToolCall("i", "f")), PartDelta(1, '{"é":1}', "arguments")])
    assert heard.size == 1 + 2 + 8


@pytest.mark.req("D25", "D38")
def test_only_what_is_missing_is_filled_in():
    sent = (b"x" * 41,)
    assert completed(None, sent, 9) == Usage(input=11, output=3)
    assert completed(Usage(input=5), sent, 9) == Usage(input=5, output=3)
    assert completed(Usage(output=0, reasoning=2), sent, 9) == Usage(
        input=11, output=0, reasoning=2
    )
    assert completed(Usage(input=5, output=0), sent, 9) is None
    assert completed(Usage(input=5), sent, None) is None
    assert completed(None, (b"x" * 4, b"x" * 5), None) == Usage(input=3)


def test_a_picture_in_a_request_does_not_count_by_its_bytes():
    picture = "iVBORw0KGgo" * 40_000
    urls = [f"data:image/png;base64,{picture}", picture]
    body = json.dumps({"text": "word " * 1000, "of": urls}).encode()
    (usage,) = [completed(None, (body,), 0)]
    bare = len(body) - 2 * len(picture)
    assert 2000 + quarter(bare) - 1 <= usage.input <= 2000 + quarter(bare)


# --------------------------------------------------------------------------- tries


@pytest.mark.req("D25", "R-USE-001")
@pytest.mark.parametrize("dialect", ["chat", "anthropic"])
def test_a_stream_without_usage_is_estimated_in_the_ledger_alone(dialect):
    pieces = [words("Once "), words("upon a time"), finish(), DONE]
    attempt, sent, got = tried(pieces, dialect=dialect)
    assert attempt.estimated == Usage(input=quarter(len(sent)), output=4)
    assert (attempt.tokens_from, attempt.usage, attempt.status) == ("estimated", None, "complete")
    assert got == tried(pieces, Policy(), dialect)[2]


def test_a_stream_with_usage_is_as_it_was():
    attempt, _, _ = tried([words("a"), finish(), USED, DONE])
    assert attempt.usage == Usage(input=7, output=3)
    assert (attempt.estimated, attempt.tokens_from) == (None, "none")


@pytest.mark.req("D25")
def test_off_nothing_is_estimated_and_nothing_listens(monkeypatch):
    monkeypatch.setattr(Beside, "__init__", None)
    attempt, _, _ = tried([words("a"), finish(), DONE], Policy())
    assert (attempt.estimated, attempt.tokens_from, attempt.usage) == (None, "none", None)
    body = b'{"id":"c","choices":[{"index":0,"message":{"content":"a"},"finish_reason":"stop"}]}'
    attempt, _, _ = tried([body], Policy(), stream=False)
    assert (attempt.estimated, attempt.tokens_from) == (None, "none")


@pytest.mark.parametrize("dialect", ["chat", "anthropic"])
def test_of_a_stream_that_is_cut_what_was_told_stays(dialect):
    attempt, _, _ = tried([START, SAID], dialect=dialect, family="anthropic")
    assert attempt.status == "upstream_cut"
    assert attempt.estimated == Usage(input=11, output=3)
    assert attempt.usage == Usage(input=11)
    assert attempt.tokens_from == "estimated"


@pytest.mark.parametrize("dialect", ["chat", "anthropic"])
def test_a_whole_reply_without_usage_is_estimated(dialect):
    call = {"id": "t", "type": "function", "function": {"name": "f", "arguments": '{"a":12}'}}
    message = {"role": "assistant", "content": "four", "tool_calls": [call]}
    body = {"id": "c", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    pieces = [json.dumps(body).encode()]
    attempt, sent, got = tried(pieces, dialect=dialect, stream=False)
    assert attempt.estimated == Usage(input=quarter(len(sent)), output=3)
    assert got == tried(pieces, Policy(), dialect, stream=False)[2]


def test_who_said_nothing_has_used_nothing_for_certain():
    words_heard = Words()
    words_heard.facts = Facts()
    assert not words_heard.came("client_cut")
    assert not words_heard.came("upstream_error")
    words_heard.facts.content = True
    assert words_heard.came("client_cut")
    assert not words_heard.came("hedge_lost")
    assert Words().came("complete")
    assert not Words().came("client_cut")


def test_a_reader_that_fails_costs_the_estimate_and_not_the_answer():
    class Inner:
        facts = Facts()

        def feed(self, data):
            return data

        def close(self):
            return b"!"

    class Failing:
        def feed(self, data):
            raise ZeroDivisionError

        def close(self):
            return [PartDelta(0, "late")]

    heard = Words()
    relay = Beside(Inner(), Failing(), heard.hear)
    assert relay.feed(b"a") + relay.close() == b"a!"
    assert heard.size == 0
