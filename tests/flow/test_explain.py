"""What became of a call is told truly, by HTTP and by the command line, and to its own tenant alone."""

import base64
import json
import re
import subprocess
import sys
import time

import pytest

from servers import free_port, gateway_server, new_api_key, providers_at

pytestmark = pytest.mark.req("R-OBS-011")

PICTURE = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(32)).decode()
LOOK = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE}"}},
        ],
    }
]
METRIC = re.compile(r"(gw|body|upstream|pause);dur=(\d+\.\d\d)")


def timing(reply):
    parts = [METRIC.fullmatch(part) for part in reply.headers["server-timing"].split(", ")]
    assert all(parts), reply.headers["server-timing"]
    return {part[1]: float(part[2]) for part in parts}


def explained(gateway, name, **asked):
    reply = gateway.ask("GET", f"/v1/requests/{name}/explain", **asked)
    assert reply.status == 200, reply.body
    return reply.json()


@pytest.fixture
def gateway(mock, tmp_path):
    (tmp_path / "dragoman.toml").write_text(
        '[[providers]]\nname = "dead"\ndialect = "chat"\nmodels = ["m"]\n'
        f'base_url = "http://127.0.0.1:{free_port()}/v1"\n'
        '[routes.quick]\nstrategy = "round-robin"\n'
        'candidates = ["openai/gpt-4o-mini", "groq/llama-3.3-70b-versatile"]\n'
    )
    environment = {**providers_at(mock.port), "MAX_RETRIES": "0"}
    with gateway_server(tmp_path, **environment) as server:
        yield server


def test_a_fallback_is_explained_with_every_candidate(gateway):
    routing = {"fallback": ["openai/gpt-3.5-turbo", "anthropic/claude-sonnet-4-5"]}
    body = {
        "model": "dead/m",
        "messages": LOOK,
        "routing": routing,
        "logprobs": True,
        "top_logprobs": 2,
    }
    label = {"x-request-id": "look-1"}
    reply = gateway.ask("POST", "/v1/chat/completions", body, label)
    assert reply.status == 200, reply.body
    call = reply.headers["x-dragoman-call-id"]
    told = explained(gateway, call)
    assert told == explained(gateway, "look-1")

    assert [(each["model"], each["outcome"]) for each in told["candidates"]] == [
        ("dead/m", "failed"),
        ("anthropic/claude-sonnet-4-5", "answered"),
    ]
    (skip,) = told["skipped"]
    assert skip["model"] == "openai/gpt-3.5-turbo"
    assert "image" in skip["reason"]
    first, second = told["attempts"]
    assert (first["model"], first["status"], first["upstream_status"]) == (
        "dead/m",
        "upstream_error",
        None,
    )
    assert (first["error"], first["error_code"]) == ("upstream", "network_error")
    assert (second["status"], second["upstream_status"]) == ("complete", 200)
    assert second["credential"]
    assert second["started_ms"] >= first["started_ms"] + first["duration_ms"] - 1
    assert second["tokens"]["input"] > 0
    assert told["cost_usd"] == second["cost_usd"] == reply.headers["x-dragoman-cost-usd"]
    assert second["price"].startswith("genai-prices")
    assert told["dropped"] == reply.headers["x-dragoman-dropped"].split(", ")
    assert any(loss.startswith("logprobs;") for loss in told["dropped"])
    assert told["adjusted"] == reply.headers["x-dragoman-adjusted"].split(", ")
    assert told["timings"]["total_ms"] >= second["started_ms"] + second["duration_ms"] - 1
    assert "dead/m failed" in told["summary"]
    assert "anthropic/claude-sonnet-4-5 answered" in told["summary"]
    assert PICTURE not in json.dumps(told)
    assert "What is this" not in json.dumps(told)


def test_a_strategy_is_told_and_a_resting_candidate_too(gateway):
    for _ in range(6):
        gateway.chat("dead/m")
    reply = gateway.chat("dead/m", routing={"fallback": ["openai/gpt-4o-mini"]})
    told = explained(gateway, reply.headers["x-dragoman-call-id"])
    assert [each["model"] for each in told["candidates"]] == ["openai/gpt-4o-mini", "dead/m"]
    assert told["candidates"][1]["outcome"] == "not tried"
    assert "breaker" in told["candidates"][1]["note"]
    told = explained(gateway, gateway.chat("quick").headers["x-dragoman-call-id"])
    assert told["strategy"] == "round-robin"
    assert {each["model"] for each in told["candidates"]} == {
        "openai/gpt-4o-mini",
        "groq/llama-3.3-70b-versatile",
    }


def test_a_candidate_to_whom_it_cannot_be_said_is_told_with_the_code_alone(gateway):
    body = {
        "model": "google/gemini-2.5-flash",
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": "http://127.0.0.1/secret.png"}}
                ],
            }
        ],
        "routing": {"fallback": ["openai/gpt-4o-mini"]},
    }
    reply = gateway.ask("POST", "/v1/chat/completions", body)
    assert reply.status == 200, reply.body
    told = explained(gateway, reply.headers["x-dragoman-call-id"])
    first, second = told["candidates"]
    assert (first["model"], first["outcome"]) == ("google/gemini-2.5-flash", "not tried")
    assert first["note"].startswith("image_fetch_")
    assert second["outcome"] == "answered"
    assert "secret" not in json.dumps(told)


def test_who_could_not_serve_is_told_where_nobody_could(gateway):
    routing = {"fallback": ["openai/gpt-3.5-turbo"], "max_cost": 0.000000001}
    reply = gateway.ask(
        "POST",
        "/v1/chat/completions",
        {"model": "openai/gpt-4o-mini", "messages": LOOK, "routing": routing},
    )
    assert reply.status == 400
    told = explained(gateway, reply.headers["x-dragoman-call-id"])
    assert {each["model"] for each in told["skipped"]} == {
        "openai/gpt-4o-mini",
        "openai/gpt-3.5-turbo",
    }
    assert told["attempts"] == told["candidates"] == []
    assert told["error_code"] == "routing_not_satisfiable"
    assert told["summary"].startswith("No provider was asked")


def test_a_stream_that_was_cut_and_a_refused_body_are_explained(gateway):
    reply = gateway.chat("openai/gpt-4o-mini--mock-length-200--mock-cut-3000", stream=True)
    told = explained(gateway, reply.headers["x-dragoman-call-id"])
    assert (told["stream"], told["status"]) == (True, "upstream_cut")
    (attempt,) = told["attempts"]
    assert attempt["status"] == "upstream_cut"
    assert attempt["first_event_ms"] is not None
    assert told["candidates"] == [{"model": attempt["model"], "outcome": "failed", "note": None}]
    reply = gateway.ask("POST", "/v1/chat/completions", b"{")
    told = explained(gateway, reply.headers["x-dragoman-call-id"])
    assert (told["status"], told["http_status"]) == ("refused", 400)


@pytest.mark.parametrize("headers", [{}, {"anthropic-version": "2023-06-01"}])
def test_an_unknown_call_and_another_tenants_are_the_same_to_a_caller(gateway, headers):
    reply = gateway.ask("GET", "/v1/requests/nothing/explain", headers=headers)
    assert reply.status == 404
    assert "nothing" in reply.json()["error"]["message"]


def test_a_call_is_its_tenants_alone(mock, tmp_path):
    environment = providers_at(mock.port)
    with gateway_server(tmp_path, **environment) as gateway:
        red, blue = (
            new_api_key(gateway, "--name", tenant, "--tenant", tenant)
            for tenant in ("red", "blue")
        )
        reply = gateway.chat(key=red, headers={"x-request-id": "mine"})
        call = reply.headers["x-dragoman-call-id"]
        assert explained(gateway, call, key=red)["call_id"] == call
        for name in (call, "mine"):
            assert gateway.ask("GET", f"/v1/requests/{name}/explain", key=blue).status == 404


@pytest.mark.parametrize("as_json", [False, True])
def test_the_command_line_tells_it(gateway, as_json):
    reply = gateway.chat(headers={"x-request-id": "line-1"})
    command = [sys.executable, "-m", "dragoman", "explain", "line-1", "--base-url", gateway.url]
    said = subprocess.run(
        [*command, *(["--json"] if as_json else [])], capture_output=True, check=True, text=True
    ).stdout
    if as_json:
        assert json.loads(said)["call_id"] == reply.headers["x-dragoman-call-id"]
    else:
        assert reply.headers["x-dragoman-call-id"] in said
        assert "attempt     1. openai/gpt-4o-mini with key" in said
    missing = subprocess.run(
        [*command[:-3], "no-such", *command[-2:]], capture_output=True, text=True, check=False
    )
    assert missing.returncode == 1
    assert "404" in missing.stderr


def test_server_timing_adds_up_to_what_the_caller_waited(gateway):
    gateway.chat()
    for members in ({}, {"stream": True}):
        model = "openai/gpt-4o-mini--mock-delay-200"
        began = time.monotonic()
        reply = gateway.chat(model, **members)
        waited = (time.monotonic() - began) * 1000
        found = timing(reply)
        assert 190 <= found["upstream"] <= waited
        assert sum(found.values()) <= waited + 1
        assert found["gw"] < 50
    found = timing(gateway.ask("GET", "/v1/models"))
    assert set(found) == {"gw", "body"}
    assert "server-timing" in gateway.ask("POST", "/v1/chat/completions", b"{").headers
