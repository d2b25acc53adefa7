"""A small house around ``attempt``: a provider that follows a script, and a tab that remembers."""

import asyncio
import time
from dataclasses import dataclass, field

from dragoman.attempt.attempt import attempt
from dragoman.attempt.means import Means
from dragoman.attempt.policy import Policy
from dragoman.core.ask import read_ask
from dragoman.core.call import Answer, Call
from dragoman.core.provider import Candidate, Plan, Provider
from dragoman.health.health import Health
from dragoman.transport.pour import pour_by_next

ROLE = b'data: {"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
DONE = b"data: [DONE]\n\n"
PING = b": ping\n\n"
EVER = 3600.0


def words(text, index=0):
    said = b'"delta":{"content":"%b"},"finish_reason":null' % text.encode()
    return b'data: {"id":"c","choices":[{"index":%d,%b}]}\n\n' % (index, said)


def finish(index=0):
    said = b'"delta":{},"finish_reason":"stop"'
    return b'data: {"id":"c","choices":[{"index":%d,%b}]}\n\n' % (index, said)


@dataclass
class Scripted:
    """A reply whose pieces are ``(seconds before it, bytes)``; it is also its own transport."""

    pieces: list[tuple[float, bytes]] = field(default_factory=list)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    asked: list = field(default_factory=list)
    read_to_end: bool = False

    async def send(self, request, again=None):
        self.asked.append(request)
        return self

    async def next(self):
        if not self.pieces:
            self.read_to_end = True
            return None
        pause, piece = self.pieces.pop(0)
        # Even what is there at once lets others run, as a socket does.
        await asyncio.sleep(pause)
        return piece

    def at_hand(self):
        """What is there is told by ``next`` alone."""

    def is_over(self):
        return False

    async def pour(self, take):
        return await pour_by_next(self.next, take)

    async def read(self, limit):
        del limit
        return b"".join([piece for _, piece in self.pieces])

    async def close(self):
        """Nothing is open."""


class Tab:
    """Keeps every record in memory."""

    purse = None

    def opened(self, attempt):
        """Every record can be kept."""

    def closed(self, attempt):
        """Nothing costs."""

    def finish(self):
        """Nobody waits for it."""

    def kept(self):
        """At once."""

    def cost(self, candidate, usage):
        return None


def candidate(name="p", model="m", family="chat"):
    path = {
        "chat": "/chat/completions",
        "anthropic": "/v1/messages",
        "gemini": "/v1beta/models/{model}:streamGenerateContent",
    }[family]
    provider = Provider(
        name=name, family=family, base_url=f"http://{name}.test", paths={"chat": path}
    )
    return Candidate(provider, model)


def means_of(transport, policy=None, health=None):
    return Means(
        transport=transport,
        stub=transport,
        health=health or Health(),
        policy=policy or Policy(),
        monotonic=time.monotonic,
        wall=time.time,
        dice=lambda: 0.0,
        new_id=lambda: "0" * 32,
        user_agent="test",
        report=lambda error, call: None,
    )


def call_of(dialect="chat"):
    return Call(
        id="0" * 32,
        request_id="r",
        trace_id="0" * 32,
        dialect=dialect,
        operation="chat",
        route="/",
        proof=None,
        headers={},
        read_body=lambda: None,
        received=0.0,
        wall=0.0,
    )


async def answered(means, call=None, *, stream=True, body=None, candidates=None) -> Answer:
    if body is None:
        streamed = b"true" if stream else b"false"
        hello = b'"messages":[{"role":"user","content":"x"}]'
        body = b'{"model":"p/m","max_tokens":9,"stream":%b,%b}' % (streamed, hello)
    plan = Plan("p/m", tuple(candidates or [candidate()]))
    return await attempt(plan, read_ask(body), call or call_of(), Tab(), means)


async def streamed(means, call=None, **more) -> list[tuple[float, bytes]]:
    """The pieces that the caller gets, each with the seconds since it asked."""
    start = time.monotonic()
    answer = await answered(means, call, **more)
    return [(time.monotonic() - start, piece) async for piece in answer.pieces]


async def tried(plan, body, call, tab, means):
    """The answer, its pieces read; or what it has failed with, which the tests look at."""
    try:
        answer = await attempt(plan, read_ask(body), call, tab, means)
        if answer.pieces is not None:
            async for _ in answer.pieces:
                pass
    except Exception as error:  # noqa: BLE001
        return error
    return answer
