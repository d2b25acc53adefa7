"""The headers of an answer."""

from decimal import Decimal

import pytest

from dragoman.core.call import Allowed, Attempt, Call, Proof
from dragoman.core.errors import CallerError, HouseError, UpstreamError
from dragoman.core.loss import Loss
from dragoman.surface.answer import answer_headers, as_gateway_error, error_headers, error_reply


async def no_body():
    return b""


def call(dialect="chat", **outcome):
    made = Call(
        id="0190-aa",
        request_id="req_1",
        trace_id="t" * 32,
        dialect=dialect,
        operation="chat",
        route="/v1/x",
        proof=Proof("drg_x", "authorization"),
        headers={},
        read_body=no_body,
        received=10.0,
        wall=1.0,
    )
    for name, value in outcome.items():
        setattr(made.outcome, name, value)
    return made


def tried(provider="openai", model="gpt-4o", **members):
    made = Attempt(
        id="a", number=1, provider=provider, model=model, credential=None, started=0, wall=0
    )
    for name, value in members.items():
        setattr(made, name, value)
    return made


def headers(made, length=5, extra=None):
    found = answer_headers(made, "application/json", length, 10.25, extra)
    return {name.decode(): value.decode() for name, value in found}


@pytest.mark.req("R-ADD-030", "R-OBS-004")
def test_an_answer_says_who_served_it_and_what_it_cost():
    made = call(
        attempts=[tried(model="old"), tried(cost=Decimal("0.0025"), upstream_id="chatcmpl-1")],
        requested_model="fast",
        losses=(Loss("seed", "unknown there"),),
        adjusted=("max_tokens=8192",),
        estimated=True,
    )
    made.allowed = Allowed(100, 99, 60.0)
    found = headers(made, extra={"x-more": "1"})
    assert found["x-request-id"] == "req_1"
    assert found["x-dragoman-provider"] == found["x-provider"] == "openai"
    assert found["x-dragoman-model"] == "openai/gpt-4o"
    assert found["x-dragoman-requested-model"] == "fast"
    assert found["x-dragoman-attempts"] == "2"
    assert found["x-fallback-attempted"] == "true"
    assert found["x-dragoman-cost-usd"] == "0.0025"
    assert found["x-dragoman-dropped"].startswith("seed;")
    assert found["x-dragoman-adjusted"] == "max_tokens=8192"
    assert found["x-dragoman-estimated"] == "true"
    assert found["x-ratelimit-limit"] == "100"
    assert found["x-latency-ms"] == "250.0"
    assert found["content-length"] == "5"
    assert found["x-more"] == "1"


def test_a_stream_has_no_length_no_cost_and_is_not_buffered():
    found = headers(call(attempts=[tried(cost=Decimal(1))]), length=None)
    assert "content-length" not in found
    assert "x-dragoman-cost-usd" not in found
    assert found["x-accel-buffering"] == "no"


def test_anthropic_clients_get_the_request_id_under_their_name():
    assert headers(call("anthropic"))["request-id"] == "req_1"


@pytest.mark.parametrize("name", ["naïve\r\nx: y", "\x00", "a" * 5000])
def test_nothing_of_a_caller_can_make_a_header(name):
    found = answer_headers(call(requested_model=name), "a/b", 1, 10, None)
    value = dict(found)[b"x-dragoman-requested-model"]
    assert b"\r" not in value
    assert b"\n" not in value
    assert b"\x00" not in value
    assert len(value) <= 1024


def test_what_is_not_ours_to_tell_becomes_one_plain_error():
    told = as_gateway_error(KeyError("secret inside"))
    assert isinstance(told, HouseError)
    assert "secret" not in told.message
    own = CallerError("not_found", "x")
    assert as_gateway_error(own) is own


def test_an_error_says_when_to_come_back_and_whether_to():
    limited = error_headers(CallerError("rate_limit", "x", retry_after_s=1.2, code="rpm_exceeded"))
    assert limited["retry-after"] == "2"
    assert limited["retry-after-ms"] == "1200"
    assert limited["x-error-type"] == "infra_error"
    assert "x-should-retry" not in limited
    broken = error_headers(UpstreamError("server", "x"))
    assert broken["x-should-retry"] == "false"
    assert broken["x-error-type"] == "infra_error"
    assert error_headers(CallerError("authentication", "x"))["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("dialect", ["chat", "anthropic"])
def test_an_error_is_told_in_the_callers_dialect(dialect):
    reply = error_reply(CallerError("not_found", "no such thing"), dialect, call(dialect))
    assert reply.status == 404
    assert b"no such thing" in reply.body
