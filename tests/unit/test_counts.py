"""Counts of tokens: by the provider's counter, and by an estimate where there turns out to be none."""

import asyncio
import json
from types import SimpleNamespace
from typing import cast

import pytest
from msgspec.structs import replace

from dragoman.core.ask import read_ask
from dragoman.core.errors import UpstreamError
from dragoman.core.provider import Plan
from dragoman.pipeline import House, count
from scripted import Tab, call_of, candidate, means_of

ASK = read_ask(b'{"model":"p/m","messages":[{"role":"user","content":"hi"}]}')


class Answering:
    """A provider that says one thing."""

    def __init__(self, status, body):
        self.status, self.body, self.headers, self.asked = status, body, {}, []

    async def send(self, request, again=None):
        self.asked.append(request)
        return self

    async def read(self, limit):
        del limit
        return self.body

    async def close(self):
        """Nothing is open."""


def counted(provider, dialect="anthropic", family="anthropic", *, known=True):
    spoken = replace(candidate(family=family), known=known)
    paths = {**spoken.provider.paths, "count_tokens": "/count"}
    spoken = replace(spoken, provider=replace(spoken.provider, paths=paths))
    call = call_of(dialect)
    call.operation = "count_tokens"
    house = cast("House", SimpleNamespace(means=means_of(provider)))
    answer = asyncio.run(count(Plan("p/m", (spoken,)), ASK, call, Tab(), house))
    return call, json.loads(answer.head.body)


def test_a_provider_with_a_counter_counts():
    call, said = counted(Answering(200, b'{"input_tokens":17}'), "chat")
    assert said["input_tokens"] == 17
    assert not call.outcome.estimated


def test_nobody_is_asked_who_has_no_counter():
    provider = Answering(500, b"")
    call, said = counted(provider, family="chat")
    assert said["input_tokens"] > 0
    assert call.outcome.estimated
    assert not provider.asked


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_counter_that_is_not_there_gives_an_estimate_that_says_so(status):
    provider = Answering(status, b'{"type":"error","error":{"type":"api_error","message":"?"}}')
    call, said = counted(provider, "chat")
    assert said["input_tokens"] > 0
    assert call.outcome.estimated
    assert (call.outcome.status, call.outcome.http_status) == ("complete", 200)


@pytest.mark.parametrize(
    ("status", "dialect"), [(400, "chat"), (401, "chat"), (404, "anthropic"), (501, "anthropic")]
)
def test_any_other_failure_and_any_of_its_own_dialect_is_told(status, dialect):
    provider = Answering(status, b'{"type":"error","error":{"type":"api_error","message":"?"}}')
    with pytest.raises(UpstreamError) as failure:
        counted(provider, dialect)
    assert failure.value.upstream_status == status


def test_a_model_that_is_not_there_is_not_counted():
    told = b'{"type":"error","error":{"type":"not_found_error","message":"model: m"}}'
    with pytest.raises(UpstreamError):
        counted(Answering(404, told), "chat", known=False)
