"""Errors of providers read, and told to a chat client."""

from __future__ import annotations

import json

import pytest

from dragoman.core.errors import CallerError, HouseError, UpstreamError, invalid
from dragoman.dialects.base import ErrorContext
from dragoman.dialects.chat.error import write_error
from dragoman.dialects.openai_errors import read_error
from dragoman.dialects.redact import redact


def read(status, body, **headers):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_error(
        status, {name.replace("_", "-"): value for name, value in headers.items()}, data
    )


def openai(message="m", kind="invalid_request_error", code=None, param=None):
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


@pytest.mark.pitfall(141)
@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        (openai("said", code="c", param="p"), "said", "c"),
        ({"code": "Client error", "error": "said"}, "said", "Client error"),
        ({"error": "said"}, "said", None),
        (
            {"object": "error", "message": "said", "type": "t", "param": None, "code": "3051"},
            "said",
            "3051",
        ),
        ({"detail": "said"}, "said", None),
        ({"message": {"detail": [{"loc": ["body", "x"], "msg": "bad"}]}}, "body.x: bad", None),
        (
            {
                "detail": [
                    {"loc": ["a", 0], "msg": "one"},
                    {"msg": "two"},
                    {"loc": ["b"]},
                    "three",
                    5,
                ]
            },
            "a.0: one; two; b; three",
            None,
        ),
        ({"code": 400, "message": "said", "type": "Bad Request"}, "said", None),
        ({"id": "x", "message": "said"}, "said", None),
        ({"error": {"code": 400, "message": "said"}, "user_id": "u"}, "said", None),
        ([{"error": {"code": 400, "message": "said"}}], "said", None),
        ({"error": {"error": "said"}}, "said", None),
        ("said", "said", None),
        (b"plain  words\nof a proxy", "plain words of a proxy", None),
        (
            b"<html><h1>Nope</h1></html>",
            "The provider answered with status 400 and no reason.",
            None,
        ),
        (b"", "The provider answered with status 400 and no reason.", None),
        ({}, "The provider answered with status 400 and no reason.", None),
        ([], "The provider answered with status 400 and no reason.", None),
        (
            {"error": None, "message": 5},
            "The provider answered with status 400 and no reason.",
            None,
        ),
        (b"\xff\xfe", "\ufffd\ufffd", None),
        (rb'{"error":"half \ud83c"}', "half \N{REPLACEMENT CHARACTER}", None),
        (b'{"a":' * 3000, None, None),
    ],
)
def test_every_envelope_is_opened(body, message, code):
    error = read(400, body)
    assert error.code == code
    if message is not None:
        assert error.message == message
    assert (error.kind, error.status, error.upstream_status) == ("invalid_request", 400, 400)
    assert not error.retryable


@pytest.mark.req("R-ADD-025")
@pytest.mark.parametrize(
    ("status", "kind", "outward", "retryable"),
    [
        (400, "invalid_request", 400, False),
        (404, "not_found", 404, False),
        (405, "not_found", 404, False),
        (408, "timeout", 504, True),
        (409, "conflict", 409, False),
        (413, "too_large", 413, False),
        (415, "invalid_request", 400, False),
        (418, "invalid_request", 400, False),
        (422, "unprocessable", 422, False),
        (429, "rate_limit", 429, True),
        (498, "overloaded", 503, True),
        (500, "server", 500, True),
        (501, "upstream", 502, False),
        (502, "upstream", 502, True),
        (503, "overloaded", 503, True),
        (504, "timeout", 504, True),
        (520, "upstream", 502, True),
        (529, "overloaded", 503, True),
    ],
)
def test_statuses_have_their_kinds(status, kind, outward, retryable):
    error = read(status, openai())
    assert (error.kind, error.status, error.retryable) == (kind, outward, retryable)
    assert error.upstream_status == status


@pytest.mark.pitfall(144)
@pytest.mark.parametrize(
    ("status", "code"), [(401, "upstream_auth"), (402, "upstream_billing"), (403, "upstream_auth")]
)
def test_a_refusal_of_our_own_credential_is_a_bad_gateway(status, code):
    error = read(
        status, openai("Incorrect API key provided: sk-abcdef123456", code="invalid_api_key")
    )
    assert (error.kind, error.status, error.code) == ("upstream", 502, code)
    assert error.upstream_status == status
    assert error.body is None
    assert "sk-abcdef" not in error.message
    assert not error.retryable
    assert read(status, b"").message.endswith(("(status 401).", f"(status {status})."))


@pytest.mark.pitfall(142)
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (
            400,
            openai(
                "This model's maximum context length is 8192 tokens.",
                code="context_length_exceeded",
            ),
        ),
        (400, openai("too long", kind="exceed_context_size_error")),
        (400, {"error": {"message": "x", "type": "too_many_prompt_tokens", "code": 400}}),
        (413, openai("Please reduce the length of the messages or completion.")),
        (400, openai("prompt too long; exceeded max context length by 5 tokens")),
        (422, {"detail": "Prompt is too long"}),
        (400, {"error": {"message": "x", "metadata": {"error_type": "context_length_exceeded"}}}),
    ],
)
def test_an_overflowing_context_is_known_by_any_word(status, body):
    error = read(status, body)
    if "metadata" in json.dumps(body):
        assert error.details["metadata"] == {"error_type": "context_length_exceeded"}
    assert (error.kind, error.status, error.code) == (
        "context_length",
        400,
        "context_length_exceeded",
    )


@pytest.mark.pitfall(143)
@pytest.mark.parametrize(
    "body",
    [
        openai("x", kind="insufficient_quota", code="insufficient_quota"),
        openai("You exceeded your current quota, please check your plan."),
    ],
)
def test_a_spent_quota_is_no_rate_limit(body):
    error = read(429, body, retry_after="5")
    assert (error.kind, error.status, error.code) == ("quota", 429, "insufficient_quota")
    assert not error.retryable


def test_a_content_policy_is_known_by_its_code():
    error = read(403, openai("flagged", code="content_policy_violation"))
    assert (error.kind, error.status) == ("content_policy", 400)
    azure = read(400, openai("filtered", code="content_filter"))
    assert (azure.kind, azure.code) == ("content_policy", "content_filter")


@pytest.mark.pitfall(140)
@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"error": {"message": "m", "code": 429}}, 429),
        ({"error": {"message": "m", "status_code": 400}}, 400),
        ({"error": {"message": "m", "code": "429"}}, 429),
        ({"error": {"message": "m", "code": "rate_limit_exceeded"}}, 429),
        ({"error": {"message": "m", "type": "server_error"}}, 500),
        ({"error": {"message": "m", "code": True}}, 502),
        ({"error": {"message": "m", "code": 12}}, 502),
    ],
)
def test_an_error_inside_a_200_has_the_status_of_its_own_words(body, status):
    assert read(200, body).status == status
    assert read(200, body).upstream_status == 200


@pytest.mark.pitfall(17)
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry_after": "17"}, 17.0),
        ({"retry_after": " 1.5 "}, 1.5),
        ({"retry_after": "-3"}, 0.0),
        ({"retry_after": "nan"}, None),
        ({"retry_after": "inf"}, None),
        ({"retry_after": "soon"}, None),
        ({"retry_after_ms": "250", "retry_after": "1"}, 0.25),
        ({"retry_after_ms": "x", "retry_after": "1"}, 1.0),
        ({"retry_after": "Wed, 21 Oct 2026 07:28:10 GMT"}, None),
        (
            {
                "retry_after": "Wed, 21 Oct 2026 07:28:10 GMT",
                "date": "Wed, 21 Oct 2026 07:28:00 GMT",
            },
            10.0,
        ),
        (
            {
                "retry_after": "Wed, 21 Oct 2026 07:28:00 GMT",
                "date": "Wed, 21 Oct 2026 07:28:10 GMT",
            },
            0.0,
        ),
    ],
)
def test_when_to_come_back_is_read_in_every_spelling(headers, seconds):
    assert read(429, openai(), **headers).retry_after_s == seconds


def test_the_providers_request_id_body_and_details_are_kept():
    body = openai("m", code="tool_use_failed")
    body["error"]["failed_generation"] = '{"name": "f", "key": "gsk_abcdefghijklmnop"}'
    error = read(400, body, x_request_id="req_1")
    assert error.provider_request_id == "req_1"
    assert error.body == json.dumps(body).encode()
    assert error.details["failed_generation"] == '{"name": "f", "key": "[redacted]"}'


def test_long_messages_are_cut_and_long_details_too():
    assert len(read(400, openai("x" * 5000)).message) == 1000
    body = {"error": {"message": "m", "metadata": {"raw": ["y" * 5000] * 60, "n": 1}}}
    kept = read(400, body).details["metadata"]
    assert (len(kept["raw"]), len(kept["raw"][0]), kept["n"]) == (50, 1000, 1)


@pytest.mark.pitfall(141)
@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-abc123DEF456",
        "sk-ant-api03-abcdef",
        "sk-or-v1-0123456789abcdef",
        "gsk_0123456789abcdef",
        "xai-0123456789abcdefgh",
        "AIzaSyA0123456789abcdefgh",
        "hf_0123456789abcdef",
        "drg_abcdefgh_0123456789",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
    ],
)
def test_nothing_that_looks_like_a_key_gets_out(secret):
    for text in (
        f"Incorrect key: {secret}.",
        f"https://e.x/?key={secret}&a=1",
        f"Bearer {secret}",
    ):
        assert secret not in read(400, openai(text)).message
        assert secret not in read(400, text.encode()).message


def test_addresses_lose_their_passwords_and_words_stay_words():
    assert redact("at https://me:hunter2@e.x/y") == "at https://[redacted]@e.x/y"
    words = "The task-force risk-assessment of xai-responses-v1 and sk- is fine; key=value."
    assert redact(words) == words
    assert redact("key ghp_abcdefghijklmnop, BEARER\tabcdefghijklmnop.") == (
        "key [redacted], [redacted]"
    )


# --------------------------------------------------------------------------- writing

CONTEXT = ErrorContext("req-1", "abc", fallback=True)


def write(error, context=CONTEXT):
    reply = write_error(error, context)
    assert reply.content_type == "application/json"
    return reply.status, json.loads(reply.body)["error"]


@pytest.mark.req("R-ADD-024", "R-ADD-026")
def test_an_error_has_openais_members_and_ours_beside_them():
    error = UpstreamError(
        "rate_limit",
        "slow down",
        provider="groq",
        provider_request_id="r",
        retry_after_s=2.5,
        retryable=True,
        upstream_status=429,
        details={"upstream_type": "tokens", "x": 1},
    )
    assert write(error) == (
        429,
        {
            "message": "slow down",
            "type": "tokens",
            "param": None,
            "code": "rate_limit_exceeded",
            "dragoman": {
                "type": "infra_error",
                "request_id": "req-1",
                "trace_id": "abc",
                "fallback_attempted": True,
                "retryable": True,
                "provider": "groq",
                "provider_request_id": "r",
                "retry_after": 2.5,
                "details": {"x": 1},
            },
        },
    )


def test_members_that_say_nothing_are_left_out():
    _, error = write(invalid("bad", "messages[0]"), ErrorContext("req-1"))
    assert error == {
        "message": "bad",
        "type": "invalid_request_error",
        "param": "messages[0]",
        "code": "invalid_request",
        "dragoman": {"type": "semantic_error", "request_id": "req-1", "retryable": False},
    }


@pytest.mark.parametrize(
    ("kind", "status", "type_", "code", "ours"),
    [
        ("invalid_request", 400, "invalid_request_error", None, "semantic_error"),
        (
            "unsupported_feature",
            400,
            "invalid_request_error",
            "unsupported_feature",
            "semantic_error",
        ),
        ("authentication", 401, "invalid_request_error", "invalid_api_key", "semantic_error"),
        ("billing", 402, "insufficient_quota", "insufficient_quota", "semantic_error"),
        ("permission", 403, "invalid_request_error", "insufficient_permissions", "semantic_error"),
        ("not_found", 404, "invalid_request_error", "model_not_found", "semantic_error"),
        ("conflict", 409, "invalid_request_error", "conflict", "semantic_error"),
        ("too_large", 413, "invalid_request_error", "request_too_large", "semantic_error"),
        ("unprocessable", 422, "invalid_request_error", None, "semantic_error"),
        ("rate_limit", 429, "rate_limit_error", "rate_limit_exceeded", "infra_error"),
        ("quota", 429, "insufficient_quota", "insufficient_quota", "infra_error"),
        ("timeout", 504, "server_error", "timeout", "infra_error"),
        ("server", 500, "server_error", "server_error", "infra_error"),
        ("overloaded", 503, "server_error", "overloaded", "infra_error"),
        (
            "content_policy",
            400,
            "invalid_request_error",
            "content_policy_violation",
            "semantic_error",
        ),
        (
            "context_length",
            400,
            "invalid_request_error",
            "context_length_exceeded",
            "semantic_error",
        ),
        ("upstream", 502, "server_error", "provider_error", "infra_error"),
    ],
)
def test_every_kind_has_openais_words(kind, status, type_, code, ours):
    given, error = write(UpstreamError(kind, "m"))
    assert (given, error["type"], error["code"]) == (status, type_, code)
    assert error["dragoman"]["type"] == ours


def test_our_own_failures_are_the_infrastructures_and_the_callers_are_not():
    assert write(HouseError("server", "m"))[1]["dragoman"]["type"] == "infra_error"
    assert write(CallerError("rate_limit", "m", code="rpm_exceeded"))[1]["code"] == "rpm_exceeded"
    assert write(CallerError("quota", "m"))[1]["dragoman"]["type"] == "infra_error"


def test_a_providers_error_is_told_again_in_its_own_words():
    given = openai("said", kind="invalid_request_error", code="c", param="p")
    status, error = write(read(400, given))
    assert status == 400
    assert {name: error[name] for name in ("message", "type", "code", "param")} == given["error"]
