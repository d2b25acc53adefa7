"""Every try is paid for before it is made: the first, the next, and the one beside it."""

from __future__ import annotations

import asyncio

import pytest

from dragoman.attempt.policy import Policy
from dragoman.core.errors import CallerError, UpstreamError
from dragoman.core.provider import Plan
from scripted import DONE, ROLE, Scripted, Tab, call_of, candidate, finish, means_of, tried, words

BODY = b'{"model":"p/m","max_tokens":9,"messages":[{"role":"user","content":"x"}]}'
WHOLE = b'{"id":"c","choices":[{"index":0,"message":{"content":"a"}}]}'


class Purse:
    """Pays for so many tries."""

    def __init__(self, tries):
        self.tries = tries
        self.asked = []

    def affords_now(self, at):
        return False

    async def affords(self, at):
        await asyncio.sleep(0)
        self.asked.append(at.provider.name)
        self.tries -= 1
        return self.tries >= 0


class Paid(Tab):
    """Remembers how each attempt ended."""

    def __init__(self, tries):
        self.purse = Purse(tries)
        self.ends = []

    def closed(self, attempt):
        self.ends.append((attempt.status, attempt.may_cost))


def made(transport, tries, *, names=("p",), body=BODY, **policy):
    async def go():
        call, tab = call_of(), Paid(tries)
        means = means_of(transport, Policy(**policy))
        plan = Plan("p/m", tuple(candidate(name) for name in names))
        return call, tab, await tried(plan, body, call, tab, means)

    return asyncio.run(go())


class Failing(Scripted):
    """Fails in one way, always."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    async def send(self, request, again=None):
        self.asked.append(request)
        raise self.error


def lost(sent):
    return UpstreamError("upstream", "lost", sent=sent, code="network_error", retryable=True)


def test_a_try_that_nobody_pays_for_is_not_made():
    call, _, error = made(Scripted([(0, WHOLE)]), 0)
    assert isinstance(error, CallerError)
    assert (error.kind, call.outcome.attempts) == ("quota", [])


def test_the_failure_before_it_is_the_answer_where_nothing_is_left():
    transport = Failing(lost("maybe"))
    call, tab, error = made(transport, 1, names=("p", "q"))
    assert isinstance(error, UpstreamError)
    assert len(transport.asked) == 1
    # Of the first no second try is paid for, and then the other one is asked about.
    assert [each.reason for each in call.outcome.passed] == ["the budget was used up"] * len(
        call.outcome.passed
    )
    assert tab.purse.asked[:1] == ["p"]
    assert len(tab.purse.asked) > 1


@pytest.mark.req("D27")
@pytest.mark.parametrize(
    ("transport", "may_cost"),
    [
        (Failing(lost("no")), False),
        (Failing(lost("maybe")), True),
        (Scripted([(0, b"{}")], status=400), False),
        (Scripted([(0, b"{}")], status=503), False),
        (Scripted([(0, b"not json")]), True),
        (Scripted([(0, WHOLE)]), True),
    ],
)
def test_what_was_refused_or_never_sent_costs_nothing(transport, may_cost):
    _, tab, _ = made(transport, 1, max_retries=0)
    assert [end[1] for end in tab.ends] == [may_cost]


STREAM = BODY[:-1] + b',"stream":true}'
ERROR = b'data: {"error":{"message":"busy","type":"server_error"}}\n\n'


@pytest.mark.parametrize(
    ("pieces", "may_cost"),
    [
        ([(0, ERROR)], False),
        ([(0, ROLE), (0, ERROR)], False),
        ([(0, ROLE), (0, words("a")), (0, ERROR)], True),
        ([(0, ROLE), (0, words("a")), (0, finish()), (0, DONE)], True),
    ],
)
def test_an_error_in_place_of_a_stream_costs_nothing(pieces, may_cost):
    _, tab, _ = made(Scripted(pieces), 1, body=STREAM, max_retries=0)
    assert [end[1] for end in tab.ends] == [may_cost]
