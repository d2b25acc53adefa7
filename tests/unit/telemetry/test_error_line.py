"""The line of a failed call: what is in it, and what never is."""

from __future__ import annotations

import json

import pytest

from dragoman.core.call import Attempt, Caller
from dragoman.telemetry.error_line import error_line
from scripted import call_of

pytestmark = pytest.mark.req("R-STOR-008")


def failed(status=502, code="provider_error", caller=None, **outcome):
    call = call_of()
    call.caller = caller
    call.outcome.http_status, call.outcome.error_code = status, code
    for name, value in outcome.items():
        setattr(call.outcome, name, value)
    return call


ALICE = Caller(key_id="k1", tenant="acme", name="alice")


def test_a_call_that_did_not_fail_has_none():
    assert error_line(failed(200, None, ALICE), 1.0) is None


def test_a_caller_who_is_not_known_cannot_fill_the_log():
    assert error_line(failed(401, "invalid_api_key"), 1.0) is None
    assert error_line(failed(500, "internal"), 1.0) is not None


def test_it_tells_who_asked_for_what_and_who_failed():
    tried = Attempt("a", 1, "openai", "gpt-4o", "key-1", 0.0, 0.0, status="upstream_error")
    tried.upstream_status, tried.error_kind = 503, "overloaded"
    line = json.loads(
        error_line(failed(caller=ALICE, attempts=[tried], requested_model="openai/gpt-4o"), 0.25)
    )
    assert line == {
        "timestamp": "1970-01-01T00:00:00.000Z",
        "status": 502,
        "error": "provider_error",
        "method": "POST",
        "route": "/",
        "request_id": "r",
        "call_id": "0" * 32,
        "trace_id": "0" * 32,
        "duration_ms": 250.0,
        "key": "k1",
        "tenant": "acme",
        "requested_model": "openai/gpt-4o",
        "caller": "alice",
        "dialect": "chat",
        "stream": False,
        "attempts": [
            {
                "provider": "openai",
                "model": "gpt-4o",
                "status": "upstream_error",
                "upstream_status": 503,
                "error": "overloaded",
            }
        ],
    }


@pytest.mark.req("R-OBS-011", "R-USE-014")
def test_it_names_the_chain_of_callers_where_the_request_does():
    call = failed(caller=ALICE)
    call.headers = {"x-dragoman-caller": "bot:run->step%201"}
    assert json.loads(error_line(call, 1.0))["caller"] == "bot:run->step 1"


@pytest.mark.req("R-OBS-007")
def test_no_key_is_in_what_a_caller_writes_of_itself():
    secret = "sk-0123456789abcdefghijkl"
    call = failed(caller=ALICE, attempts=[Attempt("a", 1, "p", "m", None, 0.0, 0.0)])
    call.request_id, call.headers = secret, {"x-dragoman-caller": f"bot->{secret}"}
    call.outcome.attempts[0].error_code = secret
    line = json.loads(error_line(call, 1.0))
    assert (line["request_id"], line["caller"]) == ("[redacted]", "bot->[redacted]")
    assert line["attempts"][0]["error"] == "[redacted]"


def test_what_a_caller_writes_for_a_model_is_cleaned_and_cut():
    secret = "sk-0123456789abcdefghijkl"
    line = error_line(failed(caller=ALICE, requested_model=f"x {secret} \ud800" + "y" * 500), 1.0)
    assert secret.encode() not in line
    assert b"[redacted]" in line
    assert len(line) < 600
    assert b"\n" not in line
