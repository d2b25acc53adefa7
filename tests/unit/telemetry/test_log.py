"""Log lines: their form, what is left out of them, and that they never stop a request."""

import json
import os

import pytest

from dragoman.telemetry.log import AccessLine, Log, timestamp
from dragoman.telemetry.redact import redact, redact_member


@pytest.fixture
def pipe():
    reading, writing = os.pipe()

    def lines():
        return os.read(reading, 1 << 16).decode().splitlines()

    yield writing, lines
    os.close(reading)
    os.close(writing)


def access(**members):
    common = {
        "timestamp": timestamp(1_700_000_000.1234),
        "level": "info",
        "message": "request",
        "request_id": "r",
        "trace_id": "t",
        "route": "/v1/x",
        "status": 200,
        "duration_ms": 1.5,
        "logger": "dragoman",
    }
    return AccessLine(**{**common, **members})


@pytest.mark.req("R-OBS-005", "R-OBS-010")
def test_a_requests_line_is_json_with_the_fields_that_tools_expect(pipe):
    writing, lines = pipe
    Log("info", "json", writing).access(
        access(provider="p", model="m", tokens={"input": 1, "output": 2})
    )
    line = json.loads(lines()[0])
    assert line["timestamp"] == "2023-11-14T22:13:20.123Z"
    assert (line["logger"], line["level"]) == ("dragoman", "info")
    assert line["tokens"] == {"input": 1, "output": 2}
    assert "cost_usd" not in line


def test_control_lines_are_json_too(pipe):
    writing, lines = pipe
    Log("info", "json", writing).event("warn", "careful", number=3, path=os)
    line = json.loads(lines()[0])
    assert (line["level"], line["message"], line["number"]) == ("warning", "careful", 3)


def test_text_is_for_people(pipe):
    writing, lines = pipe
    log = Log("debug", "text", writing)
    log.event("info", "hello", key="value")
    log.access(access())
    log.access(
        access(
            status=502,
            provider="openai",
            model="gpt-4o",
            stream=True,
            attempts=2,
            tokens={"input": 12, "output": 34},
            cost_usd="0.0025",
            error="provider_error",
        )
    )
    first, second, third = lines()
    assert "hello" in first
    assert second == "2023-11-14T22:13:20.123Z info  200 /v1/x 2ms r"
    assert third == (
        "2023-11-14T22:13:20.123Z info  502 /v1/x openai/gpt-4o 2ms 12+34 tokens $0.0025 r "
        "provider_error"
    )


def test_a_line_for_people_stays_one_line_whatever_a_caller_calls_a_model(pipe):
    writing, lines = pipe
    log = Log("info", "text", writing)
    log.access(access(model="a\n2023 info  200 /forged", tokens={"output": 3}))
    log.access(access(model="m" * 5000, provider="p"))
    first, second = lines()
    assert first.endswith("'a\\n2023 info  200 /forged' 2ms ?+3 tokens r")
    assert len(second) < 300
    assert "\u2026 2ms" in second


def test_a_key_that_somebody_took_for_a_model_is_not_shown_to_people(pipe):
    writing, lines = pipe
    Log("info", "text", writing).access(
        access(model="sk-abcdefghijklmnop", request_id="req_0190a")
    )
    [line] = lines()
    assert "abcdefghijklmnop" not in line
    assert line.endswith("2ms req_0190a")


@pytest.mark.req("R-OBS-007")
def test_a_key_in_what_a_caller_writes_is_not_in_a_line_for_programs(pipe):
    writing, lines = pipe
    log, secret = Log("info", "json", writing), "sk-abcdefghijklmnop"
    for waits in (False, True):
        log.later = (lambda: None) if waits else None
        log.access(access(model=f"wild/{secret}", request_id="req_0190a"))
        log.access(access(request_id=secret, model="m" * 300 + secret, error=f"no {secret}"))
        log.flush()
    said = lines()
    assert len(said) == 4
    assert secret[3:] not in "".join(said)
    first, second = map(json.loads, said[:2])
    assert (first["model"], first["request_id"]) == ("wild/[redacted]", "req_0190a")
    assert (second["request_id"], second["error"]) == ("[redacted]", "no [redacted]")


def test_a_line_for_people_obeys_the_level_too(pipe):
    writing, lines = pipe
    Log("warn", "text", writing).access(access())
    os.write(writing, b"end\n")
    assert lines() == ["end"]


@pytest.mark.req("R-OBS-006")
@pytest.mark.parametrize(
    ("level", "shown"), [("debug", 2), ("info", 1), ("error", 0), ("silent", 0)]
)
def test_lines_below_the_level_are_not_written(pipe, level, shown):
    writing, lines = pipe
    log = Log(level, "json", writing)
    log.event("debug", "fine")
    log.event("info", "news")
    if level in {"error", "silent"}:
        log.access(access())
        os.write(writing, b"end\n")
        assert lines() == ["end"]
    else:
        assert len(lines()) == shown


def test_a_line_that_cannot_be_written_is_counted_and_serving_goes_on():
    reading, writing = os.pipe()
    os.close(reading)
    log = Log("info", "json", writing)
    log.access(access())
    log.event("error", "lost too")
    assert log.lost == 2
    os.close(writing)


@pytest.mark.req("R-OBS-007", "R-SEC-004")
@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-abcdefghijklmnop",
        "sk-ant-REDACTED_abc123",
        "gsk_abcdefghijklmnop1234",
        "xai-abcdefghijklmnop1234",
        "AIzaSyA-abcdefghijklmnopqrstuv",
        "drg_ABCDEFGH_0123456789abcdef",
        "2api_secret",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
        "Bearer abcdefgh12345678",
    ],
)
def test_what_is_shaped_like_a_key_is_removed(secret):
    text = redact(f"refused {secret}, try again")
    assert secret not in text
    assert text.startswith("refused ")


@pytest.mark.req("R-OBS-007")
def test_what_is_named_like_a_secret_is_removed():
    for name in ("api_key", "password", "Authorization", "refresh_token"):
        assert redact_member(name, "plain") == "[redacted]"
    assert redact_member("model", "gpt-4o") == "gpt-4o"
    assert redact_member("count", 3) == 3


def test_a_secret_in_a_control_line_is_redacted(pipe):
    writing, lines = pipe
    Log("info", "json", writing).event("info", "x", detail="sk-abcdefghijklmnop", api_key="k")
    assert "abcdefghijklmnop" not in lines()[0]
