"""Strings planted in every secret and every prompt: none of them is anywhere where it has no business (K1, P1).

With the settings as they come, at the level that tells most, and with traces going to a collector.
"""

import base64
import json

import pytest

from collector import collecting
from servers import gateway_server, mock_server, new_api_key, providers_at, until

MARK = "canary7f3b"
"""In every planted string; each has a name of its own behind it."""


def mark(what):
    return f"{MARK}{what}"


SECRETS = {
    "OPENAI_API_KEY": f"sk-{mark('openai')}0123456789abcdef",
    "ANTHROPIC_API_KEY": f"sk-ant-{mark('anthropic')}0123456789abcdef",
    "GEMINI_API_KEY": f"AIza{mark('gemini')}0123456789abcdef0123",
    "MISTRAL_API_KEY": mark("mistral"),
    "FERNET_KEY": base64.urlsafe_b64encode(f"{mark('fernet')}0123456789abcdef"[:32].ljust(32, "x").encode()).decode(),
    "RATE_LIMIT_HASH_SECRET": mark("limits"),
    "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{mark('receiver')}",
}  # fmt: skip
MODELS = (
    "openai/gpt-4o-mini",
    "anthropic/claude-sonnet-4-5",
    "google/gemini-2.5-flash",
    "mistral/mistral-small-latest",
)
FAILING = ("status-400", "status-401", "status-429", "status-500", "cut-300")
PIXEL = base64.b64encode(mark("image").encode()).decode()


def chats(model):
    """Requests in two dialects that say something in every place that holds words."""
    tool = {"type": "object", "properties": {mark("argument"): {"type": "string"}}}
    yield "/v1/chat/completions", {
        "model": model,
        "user": "a-label-that-the-ledger-keeps",
        "max_tokens": 50,
        "messages": [
            {"role": "system", "content": mark("system")},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": mark("text")},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
                ],
            },
        ],
        "tools": [
            {"type": "function", "function": {"name": "look_up", "description": mark("tool"), "parameters": tool}}
        ],
        "metadata": {"note": mark("metadata")},
        "stop": [mark("stop")],
    }  # fmt: skip
    yield (
        "/v1/messages",
        {
            "model": model,
            "max_tokens": 50,
            "system": mark("system"),
            "messages": [{"role": "user", "content": mark("text")}],
        },
    )


@pytest.mark.req("R-OBS-007", "R-OBS-008", "R-SEC-004", "R-SEC-006", "R-ADD-034")
@pytest.mark.parametrize("form", ["json", pytest.param("text", marks=pytest.mark.gate)])
def test_no_canary_is_in_logs_metrics_traces_files_and_errors(tmp_path, form):
    with mock_server(tmp_path) as provider, collecting() as collector:
        environment = {
            **providers_at(provider.port),
            **SECRETS,
            "LOG_LEVEL": "debug",
            "LOG_FORMAT": form,
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.port}",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        with gateway_server(tmp_path, **environment) as server:
            key = new_api_key(server, "--name", "planted")
            places: dict[str, bytes] = {}
            asked = 0
            for model in MODELS:
                for path, body in chats(model):
                    for stream in (False, True):
                        reply = server.ask("POST", path, {**body, "stream": stream}, key=key)
                        asked += 1
                        if reply.status != 200:
                            places[f"refusal {asked}"] = reply.body
                for trouble in FAILING:
                    for path, body in chats(f"{model}--mock-{trouble}"):
                        said = {**body, "routing": {"max_attempts": 1}, "stream": "cut" in trouble}
                        reply = server.ask("POST", path, said, key=key)
                        asked += 1
                        if reply.status != 200:
                            places[f"error {asked}"] = reply.body
            for number, wrong in enumerate(
                (
                    {"model": "openai/gpt-4o-mini", "messages": mark("text")},
                    {
                        "model": "anthropic/x",
                        "messages": [{"role": "user", "content": {"x": mark("text")}}],
                    },
                    {"model": "openai/gpt-4o-mini", "messages": [], "stream": mark("stream")},
                )
            ):
                reply = server.ask("POST", "/v1/chat/completions", wrong, key=key)
                places[f"wrong {number}"] = reply.body
            for page in ("/metrics", "/health", "/ready", "/v1/usage?group=request&limit=1000"):
                places[page] = server.ask("GET", page, key=key).body
            trace = server.chat(key=key).headers["x-trace-id"]
            collector.of(trace, 2)
            assert len(collector.spans) > asked
        places["traces"] = b"".join(collector.bodies)
    places |= {
        str(file): file.read_bytes()
        for file in tmp_path.rglob("*")
        if file.is_file() and file.name != "mock.log"
    }
    assert any(name.endswith(".db") for name in places)
    assert any(name.endswith("api-error.jsonl") for name in places)
    planted = [MARK, PIXEL, SECRETS["FERNET_KEY"], key, key.rpartition("_")[2]]
    found = [
        (where, each, body[max(0, (at := body.index(each.encode())) - 80) : at + 30])
        for where, body in places.items()
        for each in planted
        if each.encode() in body
    ]
    assert json.dumps(found, default=repr) == "[]"


def test_the_mark_is_found_where_it_is_meant_to_be(tmp_path):
    """The search itself: with payloads switched on the same request leaves its words in the log."""
    with mock_server(tmp_path) as provider:
        more = {**providers_at(provider.port), "LOG_SENSITIVE_PAYLOADS": "true"}
        with gateway_server(tmp_path, **more) as server:
            server.chat("openai/gpt-4o-mini", mark("text"))
            assert until(lambda: MARK in server.log.read_text())
