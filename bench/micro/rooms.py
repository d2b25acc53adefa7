"""The rooms of a running gateway, one by one, without a server and without a network.

Everything is as ``dragoman serve`` furnishes it: a stored key with limits, the journal and the
ledger in a folder, metrics, the access log to a file. Providers are not reached; for the way as a
whole the stub answers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dragoman.app import Application, surface
from dragoman.attempt.policy import Policy
from dragoman.attempt.prepare import prepare
from dragoman.config.settings import Settings
from dragoman.core.ask import read_ask
from dragoman.core.call import Attempt, Call, Limits
from dragoman.identity.proof import read_proof
from dragoman.pipeline import choose, identify, let_in
from dragoman.services import new_id
from dragoman.store.sql.keys import NewKey
from dragoman.stores import open_keys
from dragoman.surface.answer import answer_headers
from dragoman.surface.app import Surface
from dragoman.surface.endpoint import new_call
from dragoman.surface.table import ROUTES
from traffic import CHAT_PATH, question

MODEL = "openai/gpt-4o-mini"
_ROUTE = next(row for row in ROUTES if row.path == CHAT_PATH)
_MANY = Limits(rps=1_000_000, rpm=60_000_000, rpd=2_000_000_000)


@dataclass(frozen=True)
class Step:
    """Something that a room does once for each request."""

    name: str
    work: Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Open:
    """A gateway that is open, and a request to it."""

    application: Application
    surface: Surface
    scope: dict[str, Any]
    body: bytes

    def receiver(self) -> Callable[[], Awaitable[dict[str, Any]]]:
        """What the server gives: the body, and then nothing, for the caller stays."""
        messages = [{"type": "http.request", "body": self.body, "more_body": False}]

        async def receive() -> dict[str, Any]:
            if messages:
                return messages.pop()
            return await asyncio.get_running_loop().create_future()

        return receive

    def call(self) -> Call:
        call = new_call(self.scope, self.receiver(), _ROUTE, self.surface.entry)
        call.proof = read_proof(call.headers, call.query)
        return call


@asynccontextmanager
async def opened(home: Path) -> AsyncIterator[Open]:
    """A gateway in local mode with a stored key; its log goes to standard error."""
    settings = Settings(mode="local", dragoman_home=home, log_level="info", use_stub_adapters=True)
    async with open_keys(settings) as keys:
        await keys.create(NewKey("admin", role="admin"))  # so that no first one is made and told
        _, secret = await keys.create(NewKey("bench", limits=_MANY))
    application = Application(settings)
    await application.open()
    assert application.services is not None, "it is open"
    assert application.reloader is not None, "it is open"
    try:
        yield Open(
            application,
            surface(application, application.services, application.reloader),
            _scope(secret.reveal()),
            question(MODEL).encode(),
        )
    finally:
        await application.close()


def _scope(key: str) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": CHAT_PATH,
        "raw_path": CHAT_PATH.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [
            (b"host", b"127.0.0.1:8000"),
            (b"content-type", b"application/json"),
            (b"accept", b"application/json"),
            (b"authorization", f"Bearer {key}".encode()),
        ],
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 8000),
    }


async def steps(house_open: Open) -> list[Step]:
    """Every step of a request that has its answer at once."""
    entry, house = house_open.surface.entry, house_open.surface.house
    call = house_open.call()
    caller = await identify(call, _ROUTE.permission, house)
    ask = read_ask(house_open.body)
    plan = await choose(ask, call, caller.limits, house)
    candidate = plan.candidates[0]
    done = _answered(house_open, call)

    async def begin() -> None:
        house_open.call()

    async def written() -> None:
        prepare(call, ask, candidate, Policy(), lambda _: None, "dragoman")

    async def accounted() -> None:
        tab = house.accountant.open_tab(call, caller)
        record = _attempt(candidate.provider.name, candidate.model)
        tab.opened(record)
        record.status = "complete"
        tab.closed(record)
        if (keeping := tab.kept()) is not None:
            await keeping
        tab.finish()

    async def told() -> None:
        answer_headers(done, "application/json", 800, time.monotonic())

    async def finished() -> None:
        entry.started()
        entry.finished(done, 0.001)

    return [
        Step("make a call of a request", begin),
        Step("identify a stored key", lambda: identify(call, _ROUTE.permission, house)),
        Step("admit under three limits", lambda: let_in(call, caller, house)),
        Step("route", lambda: choose(ask, call, caller.limits, house)),
        Step("prepare, same dialect", written),
        Step("journal and settle", accounted),
        Step("headers of the answer", told),
        Step("metrics and access log", finished),
        Step("the whole way, with the stub", lambda: _served(house_open)),
    ]


def _attempt(provider: str, model: str) -> Attempt:
    return Attempt(new_id(), 1, provider, model, None, time.monotonic(), time.time())


def _answered(house_open: Open, call: Call) -> Call:
    """A call that is over."""
    done = house_open.call()
    done.caller, done.allowed = call.caller, call.allowed
    record = _attempt("openai", "gpt-4o-mini")
    record.status, record.first_event_s, record.duration_s = "complete", 0.001, 0.001
    done.outcome.attempts.append(record)
    done.outcome.http_status, done.outcome.status = 200, "complete"
    return done


async def _served(house_open: Open) -> None:
    """One request through the application as the server would call it."""
    statuses: list[int] = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await house_open.application(house_open.scope, house_open.receiver(), send)
    await asyncio.sleep(0)  # the ledger's writer and whoever watched the caller have their turn
    assert statuses == [200], f"the stub answered {statuses}"
