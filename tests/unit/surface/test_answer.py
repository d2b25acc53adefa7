"""The headers of an answer."""

import json
from decimal import Decimal

import pytest

from dragoman.core.call import Allowed, Attempt, Call, Gauge, Proof
from dragoman.core.errors import STATUS, CallerError, HouseError, UpstreamError
from dragoman.core.loss import Loss
from dragoman.core.usage import Usage
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
    made.allowed = Allowed(Gauge(100, 99, 60.0))
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


def test_an_estimate_is_told_to_no_caller():
    guess = tried(
        cost=Decimal("0.1"),
        cost_from="estimated",
        estimated=Usage(input=1, output=1),
        tokens_from="estimated",
    )
    assert "x-dragoman-cost-usd" not in headers(call(attempts=[guess]))


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


DIALECTS = pytest.mark.parametrize("dialect", ["chat", "anthropic"])


def both(error, made):
    """An error's headers, and our members of its body."""
    reply = error_reply(error, made.dialect, made)
    return headers(made, extra=error_headers(error)), json.loads(reply.body)["error"]


@DIALECTS
@pytest.mark.parametrize(
    ("attempts", "told"),
    [
        ([], None),
        ([tried()], False),
        ([tried(), tried(), tried()], False),
        ([tried(), tried(model="gpt-4o-mini")], True),
        ([tried(), tried(provider="azure")], True),
    ],
)
def test_header_and_body_agree_on_whether_another_candidate_was_tried(dialect, attempts, told):
    found, error = both(UpstreamError("server", "x"), call(dialect, attempts=attempts))
    header = None if told is None else str(told).lower()
    assert found.get("x-fallback-attempted") == header
    assert error["dragoman"].get("fallback_attempted") is told


@DIALECTS
@pytest.mark.req("R-ADD-024")
@pytest.mark.parametrize(
    ("error", "again"),
    [
        (CallerError("rate_limit", "x", retry_after_s=61, code="rpm_exceeded"), True),
        (CallerError("rate_limit", "x", code="rpm_exceeded"), False),
        (UpstreamError("rate_limit", "x", retryable=True), True),
        (UpstreamError("quota", "x", retry_after_s=61), False),
        (UpstreamError("server", "x", upstream_status=500, retryable=True), False),
        (UpstreamError("overloaded", "x", upstream_status=503, retry_after_s=1.0), False),
        (HouseError("overloaded", "x", retryable=True), True),
        (CallerError("not_found", "x"), False),
    ],
)
def test_retryable_says_what_the_headers_say(dialect, error, again):
    found, told = both(error, call(dialect))
    assert told["dragoman"]["retryable"] is again
    assert not (again and "x-should-retry" in found)


@DIALECTS
def test_a_provider_at_rest_was_not_tried_and_may_be_asked_again_later(dialect):
    resting = UpstreamError("overloaded", "x", sent="no", retry_after_s=9.5, retryable=True)
    found, told = both(resting, call(dialect))
    assert "x-should-retry" not in found
    assert told["dragoman"]["retryable"] is True


@DIALECTS
def test_a_wait_is_told_to_the_millisecond(dialect):
    late = CallerError("rate_limit", "x", retry_after_s=60.183773338999345)
    assert both(late, call(dialect))[1]["dragoman"]["retry_after"] == 60.184


@DIALECTS
@pytest.mark.parametrize("kind", STATUS)
def test_header_and_body_name_a_failure_by_the_same_word(dialect, kind):
    for code in (None, "own_word"):
        found, told = both(UpstreamError(kind, "x", code=code), call(dialect))
        said = told["code"] if dialect == "chat" else told["dragoman"]["code"]
        if said is None:  # OpenAI has no code for these, and the header says the kind
            assert kind in {"invalid_request", "unprocessable"}
            said = kind
        assert found["x-error-code"] == said
        assert found["x-error-type"] == told["dragoman"]["type"]


@pytest.mark.req("R-SURF-044", "R-SURF-047")
def test_openrouters_clients_get_the_status_as_the_code():
    made = call()
    made.flavour = "openrouter"
    error = UpstreamError("rate_limit", "Slow down.", retry_after_s=2.0)
    error.provider = "openai"
    reply = error_reply(error, "chat", made)
    told = json.loads(reply.body)["error"]
    assert (reply.status, told["code"], told["message"]) == (429, 429, "Slow down.")
    assert told["metadata"] == {"error_type": "rate_limit_exceeded", "provider_name": "openai"}
    assert told["dragoman"]["request_id"] == "req_1"
    assert "type" not in told
