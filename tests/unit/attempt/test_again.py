"""A request that is sent once more as its kept connection was stale: an attempt of its own (U15)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import count

import pytest

from dragoman.attempt.policy import Policy
from dragoman.core.call import STALE
from dragoman.core.errors import HouseError, UpstreamError
from dragoman.core.provider import Plan
from dragoman.core.trace import span_of
from scripted import DONE, ROLE, Scripted, Tab, call_of, candidate, finish, means_of, tried, words

WHOLE = b'{"id":"c","choices":[{"index":0,"message":{"content":"a"}}]}'
BODY = b'{"model":"p/m","messages":[{"role":"user","content":"x"}]}'
STREAM = BODY[:-1] + b',"stream":true}'
SAID = [(0, ROLE), (0, words("a")), (0, finish()), (0, DONE)]
GONE = UpstreamError("upstream", "gone", sent="maybe", code="connection_reset", retryable=True)


class Stale(Scripted):
    """The first request goes into a connection that has ended."""

    async def send(self, request, again=None):
        self.asked.append(request)
        if len(self.asked) == 1:
            repeated = await again(request)
            if repeated is None:
                raise GONE
            self.asked.append(repeated)
        return self


class Books(Tab):
    """Remembers every record, in its order; keeps so many."""

    def __init__(self, most=9, purse=None):
        self.most = most
        self.records = []
        self.purse = purse

    def opened(self, attempt):
        if sum(word == "opened" for word, *_ in self.records) >= self.most:
            raise HouseError("overloaded", "full", code="storage_full")
        self.records.append(("opened", attempt.id, attempt.number))

    def closed(self, attempt):
        self.records.append(("closed", attempt.id, attempt.status, attempt.error_code))


class Purse:
    """Pays for so many tries."""

    def __init__(self, tries):
        self.tries = tries

    def affords_now(self, at):
        return False

    async def affords(self, at):
        self.tries -= 1
        return self.tries >= 0


def made(transport, books, *, body=BODY, headers=None, **policy):
    async def go():
        numbers = count(1)
        call = call_of()
        call.headers.update(headers or {})
        means = replace(
            means_of(transport, Policy(**policy)), new_id=lambda: f"{next(numbers):032x}"
        )
        plan = call.outcome.plan = Plan("p/m", (candidate(),), max_attempts=1)
        return call, means, await tried(plan, body, call, books, means)

    return asyncio.run(go())


@pytest.mark.req("U15", "D26")
@pytest.mark.parametrize(("body", "pieces"), [(BODY, [(0, WHOLE)]), (STREAM, SAID)])
def test_both_are_written_down_before_the_second_is_sent(body, pieces):
    transport, books = Stale(list(pieces)), Books()
    call, means, _ = made(transport, books, body=body)
    first, second = f"{1:032x}", f"{2:032x}"
    assert books.records == [
        ("opened", first, 1),
        ("opened", second, 2),
        ("closed", first, "upstream_error", STALE),
        ("closed", second, "complete", None),
    ]
    stale, served = call.outcome.attempts
    assert (stale.may_cost, stale.usage) == (True, None)
    assert call.outcome.served is served
    assert call.outcome.tries == 1, "the bound of one try is kept"
    assert transport.asked[0].body == transport.asked[1].body
    whose = means.health.busy
    assert not whose.of("p", "m"), "nothing is under way any more"


@pytest.mark.req("U15", "R-OBS-010")
@pytest.mark.parametrize("headers", [{}, {"anthropic-beta": "x", "openai-beta": "y"}])
def test_each_has_its_own_name_in_the_trace(headers):
    transport = Stale([(0, WHOLE)])
    made(transport, Books(), headers=headers)
    spans = [request.headers["traceparent"].split("-")[2] for request in transport.asked]
    assert spans == [span_of(f"{number:032x}") for number in (1, 2)]


@pytest.mark.req("U15", "D27")
@pytest.mark.parametrize("books", [Books(most=1), Books(purse=Purse(1))])
def test_what_is_not_paid_for_or_cannot_be_written_down_is_not_sent_again(books):
    transport = Stale([(0, WHOLE)])
    call, _, error = made(transport, books, max_retries=0)
    assert isinstance(error, UpstreamError)
    assert error.code == "connection_reset"
    assert len(transport.asked) == len(call.outcome.attempts) == 1
    assert [record[0] for record in books.records] == ["opened", "closed"]
