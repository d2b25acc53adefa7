"""Failures in both directions (`dialects.md` §1.2, §3.2)."""

from __future__ import annotations

import json

import pytest

from dragoman.core.errors import CallerError, HouseError, UpstreamError
from dragoman.dialects.base import ErrorContext
from dragoman.dialects.responses import RESPONSES

CONTEXT = ErrorContext("req_1", "t" * 32, fallback=False)


def read(status, body=b"", **headers) -> UpstreamError:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return RESPONSES.read_error(status, named, data)


def openai(code=None, kind="invalid_request_error", message="Bad.", param=None):
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


@pytest.mark.parametrize(
    ("status", "kind", "outward"),
    [
        (400, "invalid_request", 400),
        (404, "not_found", 404),
        (409, "conflict", 409),
        (413, "too_large", 413),
        (418, "invalid_request", 400),
        (422, "unprocessable", 422),
        (429, "rate_limit", 429),
        (498, "overloaded", 503),
        (500, "server", 500),
        (502, "upstream", 502),
        (503, "overloaded", 503),
        (504, "timeout", 504),
        (599, "upstream", 502),
    ],
)
def test_statuses(status, kind, outward):
    error = read(status, openai())
    assert (error.kind, error.status, error.upstream_status) == (kind, outward, status)
    assert error.message == "Bad."


@pytest.mark.pitfall(144)
@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_refusal_of_the_gateways_key_is_a_bad_gateway(status):
    error = read(status, openai(message="Incorrect API key provided: sk-abcdef123456"))
    assert (error.kind, error.status, error.body) == ("upstream", 502, None)
    assert "sk-abc" not in error.message


@pytest.mark.pitfall(142, 143)
@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, openai("context_length_exceeded"), "context_length"),
        (400, openai(message="This model's maximum context length is 8 tokens"), "context_length"),
        (429, openai("insufficient_quota", "insufficient_quota"), "quota"),
        (429, openai(message="You exceeded your current quota"), "quota"),
        (400, openai("content_policy_violation"), "content_policy"),
    ],
)
def test_words_say_more_than_the_status(status, body, kind):
    error = read(status, body)
    assert error.kind == kind
    assert not error.retryable


def test_a_routers_word_for_an_error_counts_as_a_code():
    told = {"error": {"message": "No", "metadata": {"error_type": "provider_overloaded"}}}
    assert read(200, told).kind == "overloaded"


@pytest.mark.pitfall(141)
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"code": "bad", "error": "Wrong model"}, "Wrong model"),
        ({"error": {"message": "Busy", "code": 503}}, "Busy"),
        ({"detail": [{"loc": ["body"], "msg": "field required"}]}, "body: field required"),
        ({"message": "No"}, "No"),
        (
            {"error": "no key at https://e.x/v1?key=hunter2"},
            "no key at https://e.x/v1?key=[redacted]",
        ),
        ({"type": "error", "message": "No"}, "No"),
        ({"response": {"error": {"message": "No"}}}, "No"),
        (b"plain words", "plain words"),
        (b"<html><h1>502</h1>", "The provider answered with status 500 and no reason."),
        (b"", "The provider answered with status 500 and no reason."),
        (b'{"error":{"message":"half \\ud83d"}}', "half \N{REPLACEMENT CHARACTER}"),
    ],
)
def test_shapes(body, message):
    assert read(500, body).message == message


@pytest.mark.pitfall(17)
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "7"}, 7.0),
        ({"retry_after_ms": "250", "retry_after": "7"}, 0.25),
        (
            {
                "retry_after": "Thu, 01 Jan 2026 00:00:10 GMT",
                "date": "Thu, 01 Jan 2026 00:00:00 GMT",
            },
            10.0,
        ),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "inf"}, None),
        ({}, None),
    ],
)
def test_when_to_come_back(headers, seconds):
    assert read(429, openai(), **headers).retry_after_s == seconds


def test_the_request_and_what_is_retryable():
    error = read(503, openai(), x_request_id="up_1")
    assert error.provider_request_id == "up_1"
    assert error.retryable
    assert not read(400, openai()).retryable


# --------------------------------------------------------------------------- to the caller


def told(error) -> tuple[int, dict]:
    reply = RESPONSES.write_error(error, CONTEXT)
    return reply.status, json.loads(reply.body)["error"]


@pytest.mark.req("R-ADD-024")
def test_an_error_has_openais_members_and_ours():
    status, error = told(
        CallerError("unsupported_feature", "No.", code="unsupported_feature", param="n")
    )
    assert status == 400
    assert error == {
        "message": "No.",
        "type": "invalid_request_error",
        "param": "n",
        "code": "unsupported_feature",
        "dragoman": {
            "type": "semantic_error",
            "retryable": False,
            "request_id": "req_1",
            "trace_id": "t" * 32,
            "fallback_attempted": False,
        },
    }


@pytest.mark.parametrize(
    ("error", "status", "kind", "code"),
    [
        (CallerError("authentication", "x"), 401, "invalid_request_error", "invalid_api_key"),
        (CallerError("quota", "x"), 429, "insufficient_quota", "insufficient_quota"),
        (UpstreamError("rate_limit", "x"), 429, "rate_limit_error", "rate_limit_exceeded"),
        (UpstreamError("overloaded", "x"), 503, "server_error", "overloaded"),
        (UpstreamError("upstream", "x"), 502, "server_error", "provider_error"),
        (HouseError("server", "x"), 500, "server_error", "server_error"),
    ],
)
def test_kinds_have_openais_words(error, status, kind, code):
    found, body = told(error)
    assert (found, body["type"], body["code"]) == (status, kind, code)


def test_which_limit_it_was_is_openais_own_word():
    assert told(read(429, openai(kind="tokens")))[1]["type"] == "tokens"
