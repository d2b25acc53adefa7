import json

import pytest

from dragoman.surface.sockets.failures import broken, code_of, refused
from dragoman.surface.sockets.frames import encode


@pytest.mark.req("R-ADD-017")
@pytest.mark.parametrize(
    ("status", "code", "streams", "told"),
    [
        (401, "invalid_api_key", False, "auth"),
        (403, "insufficient_permissions", True, "auth"),
        (403, "no_own_credential", True, "config"),
        (503, "configuration_error", True, "config"),
        (402, "insufficient_quota", False, "rate_limited"),
        (429, "rpm_exceeded", True, "rate_limited"),
        (400, "invalid_request", True, "bad_request"),
        (404, "model_not_found", False, "bad_request"),
        (500, "server_error", False, "internal"),
        (502, "provider_error", True, "stream_error"),
    ],
)
def test_each_failure_has_one_of_the_codes(status, code, streams, told):
    assert code_of(status, code, streams=streams) == told


def test_a_limit_says_so_in_the_words_of_the_interface_and_why_beside_them():
    error = {"message": "2 per minute", "type": "rate_limit_error", "code": "rpm_exceeded"}
    frame = refused(
        "a",
        429,
        {"retry-after": "2", "retry-after-ms": "1500"},
        encode({"error": error}),
        streams=False,
    )
    assert json.loads(encode(frame)) == {
        "type": "error",
        "code": "rate_limited",
        "message": "Rate limit exceeded",
        "requestId": "a",
        "status": 429,
        "retryAfter": 1.5,
        "error": error,
        "headers": {"retry-after": "2", "retry-after-ms": "1500"},
    }


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "1500.5"}, 1.5005),
        ({"retry-after": "0.5"}, 0.5),
        (
            {
                "retry-after": "Wed, 21 Oct 2026 07:28:00 GMT",
                "date": "Wed, 21 Oct 2026 07:27:00 GMT",
            },
            60,
        ),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_a_wait_is_told_in_whatever_form_it_comes(headers, seconds):
    frame = refused("a", 429, headers, b"", streams=False)
    assert json.loads(encode(frame)).get("retryAfter") == seconds


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error":7}', b'{"error":{"code":[]}}'])
def test_a_body_of_no_known_shape_is_told_all_the_same(body):
    frame = refused("a", 500, {}, body, streams=False)
    assert frame.code == "internal"
    assert frame.message
    json.loads(encode(frame))


def test_a_stream_that_breaks_off():
    frame = broken("a", b'{"error":{"message":"cut"}}', {"x-request-id": "a"})
    assert (frame.code, frame.message) == ("stream_error", "cut")
