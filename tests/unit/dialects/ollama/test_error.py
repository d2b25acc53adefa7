"""Failures in Ollama's words, both ways."""

from __future__ import annotations

import json

import pytest

from dragoman.core.errors import CallerError, HouseError, UpstreamError
from dragoman.dialects.base import ErrorContext
from dragoman.dialects.ollama import GENERATE, OLLAMA

CONTEXT = ErrorContext("r1", "t1", fallback=True)


def read(status: int, body: bytes, **headers: str) -> UpstreamError:
    return OLLAMA.read_error(status, headers, body)


@pytest.mark.parametrize(
    ("status", "kind", "shown"),
    [
        (400, "invalid_request", 400),
        (404, "not_found", 404),
        (405, "invalid_request", 405),
        (408, "timeout", 504),
        (409, "conflict", 409),
        (413, "too_large", 413),
        (422, "unprocessable", 422),
        (429, "rate_limit", 429),
        (500, "server", 500),
        (502, "upstream", 502),
        (503, "overloaded", 503),
        (504, "timeout", 504),
        (529, "overloaded", 503),
        (599, "server", 500),
    ],
)
def test_a_status_has_its_kind(status, kind, shown):
    error = read(status, b'{"error":"because"}')
    assert (error.kind, error.status, error.upstream_status) == (kind, shown, status)
    assert error.message == "because"
    assert error.body == b'{"error":"because"}'


@pytest.mark.pitfall(144)
@pytest.mark.parametrize("status", [401, 402, 403])
def test_our_own_credential_is_not_the_callers_fault(status):
    error = read(status, b'{"error":"unauthorized"}')
    assert (error.kind, error.status, error.code) == ("upstream", 502, "upstream_auth")
    assert error.body is None
    assert error.retryable is False


@pytest.mark.pitfall(142)
@pytest.mark.parametrize(
    "words",
    [
        "the input exceeds the context length",
        "prompt is larger than num_ctx",
        "context window full",
    ],
)
def test_a_full_context_is_known_by_its_words(words):
    error = read(400, json.dumps({"error": words}).encode())
    assert (error.kind, error.code) == ("context_length", "context_length_exceeded")


@pytest.mark.pitfall(141)
@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error":{"message":"nested"}}', "nested"),
        (b'{"message":"plain"}', "plain"),
        (b'{"detail":"other"}', "other"),
        (b"just words", "just words"),
        (b"<html><body>Bad Gateway</body></html>", "The provider answered with status 502."),
        (b"", "The provider answered with status 502."),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b'{"error":"a\\ud83d"}', '{"error":"a\\ud83d"}'),
        (b'{"error":"key sk-abcdefghijklmnop1234 refused"}', "key [redacted] refused"),
        (b'{"error":""}', "The provider answered with status 502."),
    ],
)
def test_a_sentence_is_found_in_many_shapes(body, message):
    assert read(502, body).message == message


def test_when_to_come_back_is_kept():
    assert read(429, b"", **{"retry-after": "7"}).retry_after_s == 7
    assert read(429, b"", **{"retry-after-ms": "1500"}).retry_after_s == 1.5
    assert read(429, b"", **{"retry-after": "soon"}).retry_after_s is None
    assert read(429, b"", **{"x-request-id": "abc"}).provider_request_id == "abc"
    assert read(429, b"").retryable
    assert not read(404, b"").retryable


@pytest.mark.pitfall(140)
def test_an_error_inside_a_200_may_name_its_status():
    assert read(200, b'{"error":"x","status":404}').kind == "not_found"
    assert read(200, b'{"error":"x"}').kind == "server"
    assert read(200, b'{"error":"x","status":12}').kind == "server"


@pytest.mark.req("R-ADD-024")
@pytest.mark.parametrize("dialect", [OLLAMA, GENERATE], ids=lambda one: one.family)
def test_a_caller_is_told_a_sentence_and_ours_beside_it(dialect):
    error = CallerError("invalid_request", "no such option", code="bad", param="options.x")
    reply = dialect.write_error(error, CONTEXT)
    assert (reply.status, reply.content_type) == (400, "application/json")
    assert json.loads(reply.body) == {
        "error": "no such option",
        "dragoman": {
            "code": "bad",
            "type": "semantic_error",
            "request_id": "r1",
            "trace_id": "t1",
            "retryable": False,
            "fallback_attempted": True,
            "param": "options.x",
        },
    }


def test_statuses_that_ollama_does_not_know_become_those_that_it_does():
    assert OLLAMA.write_error(CallerError("unprocessable", "x"), CONTEXT).status == 400
    assert OLLAMA.write_error(HouseError("server", "x"), CONTEXT).status == 500
    assert OLLAMA.write_error(UpstreamError("upstream", "x"), CONTEXT).status == 502
    assert OLLAMA.write_error(UpstreamError("overloaded", "x"), CONTEXT).status == 503
    limited = UpstreamError("rate_limit", "x", retry_after_s=2.5, provider="ollama")
    told = json.loads(OLLAMA.write_error(limited, CONTEXT).body)["dragoman"]
    assert (told["retry_after"], told["retryable"], told["type"]) == (2.5, True, "infra_error")


def test_ollamas_own_words_and_status_pass_to_ollamas_own_caller():
    error = read(503, b'{"error":"server busy"}')
    reply = OLLAMA.write_error(error, CONTEXT)
    assert (reply.status, json.loads(reply.body)["error"]) == (503, "server busy")
    foreign = UpstreamError(
        "overloaded", "busy", upstream_status=529, body=b'{"error":{"message":"busy"}}'
    )
    reply = OLLAMA.write_error(foreign, CONTEXT)
    assert (reply.status, json.loads(reply.body)["error"]) == (503, "busy")
    garbled = UpstreamError("server", "broken", body=b"<html>")
    assert json.loads(OLLAMA.write_error(garbled, CONTEXT).body)["error"] == "broken"
