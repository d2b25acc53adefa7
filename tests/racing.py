"""Two providers in one plan, each with replies of its own: who is asked, who answers, how each ends."""

import asyncio
from dataclasses import dataclass, field

import pytest

from dragoman.attempt.attempt import attempt
from dragoman.attempt.policy import Policy
from dragoman.core.ask import read_ask
from dragoman.core.provider import Plan
from scripted import DONE, ROLE, Scripted, Tab, call_of, candidate, finish, means_of, words

WHOLE = (
    b'{"id":"c","choices":[{"index":0,"message":{"content":"%b"}}],"usage":{"prompt_tokens":3}}'
)
HELLO = b'"messages":[{"role":"user","content":"x"}]'


class Whole(Scripted):
    """A whole reply that takes its time."""

    async def read(self, limit):
        del limit
        body = b""
        for pause, piece in self.pieces:
            await asyncio.sleep(pause)
            body += piece
        return body


@dataclass
class Providers:
    """Each host's replies, in their order; the last is given again and again."""

    replies: dict[str, list]
    asked: list[str] = field(default_factory=list)

    async def send(self, request, again=None):
        host = request.url.split("/")[2].removesuffix(".test")
        self.asked.append(host)
        replies = self.replies[host]
        reply = replies.pop(0) if len(replies) > 1 else replies[0]
        if isinstance(reply, Exception):
            raise reply
        return await reply.send(request)


def said(text, after=0.0):
    return [(after, ROLE), (0, words(text)), (0, finish()), (0, DONE)]


def slow(text, after, *, stream):
    if stream:
        return Scripted(said(text, after))
    return Whole([(after, WHOLE % text.encode())])


def failing(status, after):
    class Late(Scripted):
        async def send(self, request, again=None):
            await asyncio.sleep(after)
            return await super().send(request)

    return Late([(0, b"{}")], status=status)


def furnished(replies, **policy):
    """Means that know what is late, and may hedge."""
    providers = Providers(replies)
    means = means_of(providers, Policy(**policy))
    for name in replies:
        for whole in (True, False):
            for _ in range(30):
                means.health.paces.note(name, "m", failed=False, first_event_s=0.02, whole=whole)
    for _ in range(40):
        means.hedges.request(0.0)
    return means, providers


async def outcome_of(means, *, stream, hedge=True, names=("p", "q"), attempts=None, tab=None):
    call = call_of()
    call.gone = False
    body = b'{"model":"p/m","stream":%b,%b}' % (b"true" if stream else b"false", HELLO)
    plan = Plan("p/m", tuple(candidate(name) for name in names), attempts, hedge=hedge)
    try:
        answer = await attempt(plan, read_ask(body), call, tab or Tab(), means)
    except Exception as error:  # noqa: BLE001  what it is, the tests look at
        return call.outcome, error
    if answer.pieces is not None:
        return call.outcome, b"".join([piece async for piece in answer.pieces])
    return call.outcome, answer.head.body


def run(means, **more):
    return asyncio.run(outcome_of(means, **more))


both = pytest.mark.parametrize("stream", [True, False])


def ends(outcome):
    return [(one.provider, one.status) for one in outcome.attempts]
