"""An errand shows its credential to its provider alone, and tells failures in the caller's dialect."""

from __future__ import annotations

import asyncio
import time

import pytest

from dragoman.attempt.errand import run_errand
from dragoman.catalog.base_url import origin_of
from dragoman.core.call import Call
from dragoman.core.errors import HouseError, UpstreamError
from dragoman.core.provider import Credential, Provider
from dragoman.core.secret import Secret
from scripted import Scripted, means_of

SECRET = "sk-0123456789abcdef"
OPENAI = Provider(
    name="openai",
    family="responses",
    base_url="https://api.test/v1",
    paths={"chat": "/responses"},
    headers={"x-own": "1"},
)


def credential(base="https://api.test/v1"):
    return Credential(id="key-1", secret=Secret(SECRET), origin=origin_of(base))


def call(**headers):
    return Call(
        id="01990000-0000-7000-8000-000000000001",
        request_id="r",
        trace_id="f" * 32,
        dialect="responses",
        operation="chat",
        route="/v1/responses/{id}",
        proof=None,
        headers=headers,
        read_body=None,
        received=time.monotonic(),
        wall=0,
    )


def run(transport, given=None, **headers):
    return asyncio.run(
        run_errand(
            OPENAI,
            given or credential(),
            "DELETE",
            "/responses/resp_1",
            call(**headers),
            means_of(transport),
        )
    )


def test_it_is_sent_as_it_is_told_with_our_credential_and_little_else():
    transport = Scripted([(0, b'{"id":"resp_1"}')])
    reply = run(
        transport, **{"openai-beta": "x=1", "cookie": "a", "authorization": "Bearer theirs"}
    )
    assert reply.status == 200
    (request,) = transport.asked
    assert (request.method, request.url) == ("DELETE", "https://api.test/v1/responses/resp_1")
    assert request.body is None
    assert request.headers["authorization"] == f"Bearer {SECRET}"
    assert request.headers["openai-beta"] == "x=1"
    assert request.headers["x-own"] == "1"
    assert "cookie" not in request.headers


@pytest.mark.parametrize(
    ("status", "told"), [(404, 404), (400, 400), (401, 502), (503, 503), (302, 502)]
)
def test_a_refusal_is_the_providers_error_without_our_key(status, told):
    body = b'{"error":{"message":"no %b","type":"invalid_request_error"}}' % SECRET.encode()
    with pytest.raises(UpstreamError) as error:
        run(Scripted([(0, body)], status=status))
    assert error.value.status == told
    assert error.value.provider == "openai"
    assert SECRET not in error.value.message
    assert SECRET.encode() not in (error.value.body or b"")


class Unreachable(Scripted):
    async def send(self, request, again=None):
        raise UpstreamError("upstream", "no", sent="no")


class Endless(Scripted):
    async def read(self, limit):
        raise UpstreamError("upstream", "too long")


def test_a_provider_that_is_not_there_is_named():
    with pytest.raises(UpstreamError) as error:
        run(Unreachable())
    assert error.value.provider == "openai"


def test_an_error_without_a_readable_body_is_told_by_its_status():
    with pytest.raises(UpstreamError) as error:
        run(Endless(status=500))
    assert error.value.status == 500


def test_a_credential_of_another_place_is_not_sent():
    transport = Scripted()
    with pytest.raises(HouseError):
        run(transport, credential("https://elsewhere.test"))
    assert transport.asked == []
