"""Failures in Anthropic's words, both ways."""

from __future__ import annotations

import json

import pytest

from dragoman.core.errors import STATUS, CallerError, HouseError, UpstreamError
from dragoman.dialects.anthropic import ANTHROPIC
from dragoman.dialects.anthropic.error import LONGEST
from dragoman.dialects.base import ErrorContext
from dragoman.dialects.redact import redact

CONTEXT = ErrorContext("req-1", "trace", fallback=True)


def body(kind: str, message: str = "words", **members) -> bytes:
    error = {"type": kind, "message": message, **members}
    return json.dumps({"type": "error", "error": error, "request_id": "req_up"}).encode()


def read(status: int, given: bytes = b"", **headers: str) -> UpstreamError:
    return ANTHROPIC.read_error(
        status, {name.replace("_", "-"): said for name, said in headers.items()}, given
    )


def write(error):
    reply = ANTHROPIC.write_error(error, CONTEXT)
    assert reply.content_type == "application/json"
    return reply.status, json.loads(reply.body)


# --------------------------------------------------------------------------- from the provider


@pytest.mark.parametrize(
    ("status", "type_", "kind", "shown", "retryable"),
    [
        (400, "invalid_request_error", "invalid_request", 400, False),
        (404, "not_found_error", "not_found", 404, False),
        (408, "timeout_error", "timeout", 504, True),
        (409, "conflict_error", "conflict", 409, True),
        (413, "request_too_large", "too_large", 413, False),
        (422, "invalid_request_error", "unprocessable", 422, False),
        (415, "invalid_request_error", "invalid_request", 415, False),
        (429, "rate_limit_error", "rate_limit", 429, True),
        (500, "api_error", "server", 500, True),
        (502, "api_error", "upstream", 502, True),
        (503, "api_error", "overloaded", 503, True),
        (504, "timeout_error", "timeout", 504, True),
        (520, "api_error", "server", 500, True),
        (529, "overloaded_error", "overloaded", 503, True),
        (302, "odd", "upstream", 502, True),
    ],
)
def test_a_refusal_is_known_by_its_type_and_status(status, type_, kind, shown, retryable):
    error = read(status, body(type_))
    assert (error.kind, error.status) == (kind, shown)
    assert error.upstream_status == status
    if status != 302:
        assert error.retryable is retryable
    assert (error.message, error.provider_request_id) == ("words", "req_up")


@pytest.mark.pitfall(144)
@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_refusal_of_our_own_credential_is_not_the_callers(status):
    error = read(status, b'{"type":"error","error":{"message":"invalid x-api-key"}}')
    assert (error.kind, error.status, error.code) == ("upstream", 502, "upstream_auth")
    assert error.upstream_status == status
    shown, told = write(error)
    assert (shown, told["error"]["type"]) == (502, "api_error")
    assert "gateway's own credential" in told["error"]["message"]


@pytest.mark.pitfall(142)
def test_a_full_context_is_known_by_its_words():
    error = read(400, body("invalid_request_error", "prompt is too long: 5 tokens > 4 maximum"))
    assert (error.kind, error.status, error.code) == (
        "context_length",
        400,
        "context_length_exceeded",
    )


def test_details_and_the_wish_to_be_asked_again_are_kept():
    details = {"error_code": "thread_not_found", "x": 1}
    error = read(404, body("not_found_error", details=details), x_should_retry="true")
    assert (error.code, error.details, error.retryable) == ("thread_not_found", details, True)
    assert read(500, x_should_retry="false").retryable is False
    assert read(400, body("x", details=[1])).details is None
    assert read(400, body("x", details={"error_code": 5})).code is None
    assert read(500, request_id="req_h").provider_request_id == "req_h"


@pytest.mark.pitfall(141)
@pytest.mark.parametrize(
    ("given", "message"),
    [
        (b'{"error":"plain"}', "plain"),
        (b'{"message":"flat"}', "flat"),
        (b'{"detail":"deep"}', "deep"),
        (b"just words", "just words"),
        (b"<html><body>Bad gateway</body></html>", "The provider answered with status 400."),
        (b"", "The provider answered with status 400."),
        (b"{}", "The provider answered with status 400."),
        (b"\xff", "\ufffd"),
        (b'{"error":{"message":null}}', "The provider answered with status 400."),
    ],
)
def test_other_spellings_and_bodies_for_people(given, message):
    assert read(400, given).message == message


def test_a_message_has_an_end():
    assert len(read(400, b"x" * 5000).message) == LONGEST


@pytest.mark.pitfall(141)
@pytest.mark.parametrize(
    "secret",
    [
        "sk-ant-api03-abcdefghijklmnopqrstuvwxyz012345",
        "sk-proj-abcdefghijklmnopqrstuv",
        "gsk_abcdefghijklmnopqrstuvwx",
        "AIzaSyAbcdefghijklmnopqrstuv",
        "Bearer abcdefghijklmnop",
        "drg_ABCDEFGH_abcdefghijklmnop",
    ],
)
def test_nothing_that_looks_like_a_key_is_passed_on(secret):
    assert redact(f"Incorrect API key provided: {secret}.").startswith(
        "Incorrect API key provided: [redacted]"
    )
    error = read(400, body("invalid_request_error", f"key {secret} is bad"))
    assert secret not in error.message
    assert secret.encode() not in error.body
    assert secret not in json.dumps(write(error)[1])


def test_words_that_are_no_key_stay():
    said = "The monkey-business-of-this-model is a sk-thing, and bearer of news."
    assert redact(said) == said


@pytest.mark.pitfall(17)
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "17"}, 17.0),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({"retry-after": "-1"}, 0.0),
        ({"retry-after": "1e9"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({}, None),
    ],
)
def test_when_to_come_back(headers, seconds):
    assert ANTHROPIC.read_error(429, headers, b"").retry_after_s == seconds


# --------------------------------------------------------------------------- to the caller


@pytest.mark.req("R-ADD-015")
@pytest.mark.parametrize(
    ("kind", "type_", "status"),
    [
        ("invalid_request", "invalid_request_error", 400),
        ("unsupported_feature", "invalid_request_error", 400),
        ("authentication", "authentication_error", 401),
        ("billing", "billing_error", 402),
        ("permission", "permission_error", 403),
        ("not_found", "not_found_error", 404),
        ("conflict", "conflict_error", 409),
        ("too_large", "request_too_large", 413),
        ("unprocessable", "invalid_request_error", 422),
        ("rate_limit", "rate_limit_error", 429),
        ("quota", "rate_limit_error", 429),
        ("timeout", "timeout_error", 504),
        ("server", "api_error", 500),
        ("overloaded", "overloaded_error", 529),
        ("content_policy", "invalid_request_error", 400),
        ("context_length", "invalid_request_error", 400),
        ("upstream", "api_error", 502),
    ],
)
def test_every_kind_has_its_type_and_status(kind, type_, status):
    assert kind in STATUS
    shown, told = write(CallerError(kind, "words"))
    assert (shown, told["type"], told["error"]["type"]) == (status, "error", type_)
    assert told["request_id"] == "req-1"


@pytest.mark.req("R-ADD-024")
def test_what_the_gateway_knows_stands_in_a_corner_of_its_own():
    error = UpstreamError(
        "rate_limit",
        "slow",
        code="rate_limited",
        param="model",
        retry_after_s=2.5,
        provider="openai",
        provider_request_id="up",
        retryable=True,
        details={"a": 1},
    )
    assert write(error)[1]["error"] == {
        "type": "rate_limit_error",
        "message": "slow",
        "details": {"a": 1},
        "dragoman": {
            "code": "rate_limited",
            "type": "infra_error",
            "request_id": "req-1",
            "trace_id": "trace",
            "retryable": True,
            "fallback_attempted": True,
            "provider": "openai",
            "param": "model",
            "provider_request_id": "up",
            "retry_after": 2.5,
        },
    }
    own = write(HouseError("server", "We failed."))[1]["error"]["dragoman"]
    assert (own["code"], own["type"]) == ("server_error", "infra_error")
    wrong = write(CallerError("conflict", "x"))[1]["error"]["dragoman"]
    assert (wrong["code"], wrong["type"]) == ("conflict", "semantic_error")


@pytest.mark.pitfall(142)
def test_a_full_context_is_told_in_the_words_that_programs_look_for():
    told = write(UpstreamError("context_length", "maximum context length is 8192"))[1]
    assert told["error"]["message"] == "prompt is too long: maximum context length is 8192"
    kept = write(UpstreamError("context_length", "Prompt is too long"))[1]
    assert kept["error"]["message"] == "Prompt is too long"


@pytest.mark.parametrize("status", [400, 404, 408, 422, 429, 500, 503, 529])
def test_a_provider_of_this_dialect_keeps_its_status_and_its_words(status):
    error = read(status, body("special_error", "own words"))
    shown, told = write(error)
    assert shown == status
    assert (told["error"]["type"], told["error"]["message"]) == ("special_error", "own words")


def test_a_provider_of_another_dialect_is_told_in_anthropics_words():
    error = UpstreamError(
        "overloaded",
        "busy",
        upstream_status=503,
        body=b'{"error":{"message":"theirs","type":"x"}}',
    )
    shown, told = write(error)
    assert (shown, told["error"]["type"], told["error"]["message"]) == (
        529,
        "overloaded_error",
        "busy",
    )
    odd = UpstreamError("server", "m", upstream_status=500, body=b'{"type":"error","error":5}')
    assert write(odd)[1]["error"]["message"] == "m"
    garbage = UpstreamError("server", "m", upstream_status=500, body=b"<html>")
    assert write(garbage)[0] == 500
