"""Each provider's router, over real HTTP: its list, its keys' headers, its errors, its switch.

Rows come from the table of routes, so that a family's router is tried from the day on which the
family is served.
"""

import json
from typing import get_args

import pytest

from dragoman.surface.route import Switch
from dragoman.surface.routers import ROUTERS, router_at
from dragoman.surface.table import ROUTES
from servers import KEY, gateway_server

HOMED = [row for row in ROUTES if row.home is not None]
DATA = [row for row in HOMED if row.operation is not None]
LISTS = [row for row in HOMED if row.page == "models"]
SERVED = sorted({row.path[:3] for row in HOMED})
MODEL = {
    "chat": "groq/llama-3.3-70b-versatile",
    "embeddings": "openai/text-embedding-3-small",
    "count_tokens": "anthropic/claude-sonnet-4-5",
}
NATIVE = {
    "/v2": {"x-goog-api-key": KEY},
    "/v3": {"x-api-key": KEY, "anthropic-version": "2023-06-01"},
    "/v4": {"authorization": f"Bearer {KEY}"},
    "/v5": {"authorization": f"Bearer {KEY}"},
    "/v6": {"authorization": f"Bearer {KEY}"},
}


def named(row):
    return f"{row.method} {row.path}"


def path_of(row, model=None):
    model = model or MODEL[row.operation or "chat"]
    return row.path.replace("{model:path}", model).replace("{id:path}", model)


def body_of(row, model=None):
    """A request of the row's family that asks for little."""
    model = model or MODEL[row.operation or "chat"]
    said = [{"role": "user", "content": "Hello!"}]
    contents = [{"role": "user", "parts": [{"text": "Hello!"}]}]
    text = {"content": {"parts": [{"text": "Hello!"}]}}
    match row.dialect, row.operation:
        case "gemini", "embeddings":
            batch = {"requests": [{"model": f"models/{model}", **text}]}
            return batch if "batch" in row.path else text
        case "gemini", _:
            return {"contents": contents}
        case "ollama", "embeddings":
            asked = "prompt" if row.path.endswith("/embeddings") else "input"
            return {"model": model, asked: "Hello!"}
        case _, "embeddings":
            return {"model": model, "input": "Hello!"}
        case "anthropic", "count_tokens":
            return {"model": model, "messages": said}
        case "anthropic", _:
            return {"model": model, "messages": said, "max_tokens": 50}
        case "responses", _:
            return {"model": model, "input": "Hello!"}
        case "completions" | "generate", _:
            return {"model": model, "prompt": "Hello!", "stream": False}
        case _:
            return {"model": model, "messages": said, "stream": False}


def error_of(row, reply):
    """The message of an error in the shape of the row's family."""
    told = reply.json()
    match row.dialect:
        case "anthropic":
            assert told["type"] == "error"
            assert {"type", "message"} <= told["error"].keys()
        case "gemini":
            assert told["error"]["code"] == reply.status
            assert isinstance(told["error"]["status"], str)
        case "ollama" | "generate":
            assert isinstance(told["error"], str)
            return told["error"]
        case "chat" if row.flavour == "openrouter":
            assert told["error"]["code"] == reply.status
            assert "type" not in told["error"]
        case _:
            assert isinstance(told["error"]["type"], str)
            assert told["error"]["code"] is None or isinstance(told["error"]["code"], str)
    return told["error"]["message"]


def names_of(row, reply):
    told = reply.json()
    if row.dialect in {"gemini", "ollama"}:
        return [item["name"].removeprefix("models/") for item in told["models"]]
    return [item["id"] for item in told["data"]]


@pytest.mark.req("R-SURF-041", "R-SURF-042", "R-SURF-044", "R-SURF-045", "R-SURF-047")
@pytest.mark.parametrize("row", DATA, ids=named)
def test_a_router_serves_any_model_in_its_own_dialect_to_its_own_header(gateway, row):
    headers = NATIVE[row.path[:3]]
    reply = gateway.ask("POST", path_of(row), body_of(row), headers, key=None)
    assert reply.status == 200, reply.body
    provider, _, model = MODEL[row.operation].partition("/")
    if "x-dragoman-estimated" not in reply.headers:
        assert reply.headers["x-dragoman-provider"] == provider
        assert reply.headers["x-dragoman-model"] == f"{provider}/{model}"
    assert reply.body


@pytest.mark.req("R-SURF-040", "R-SURF-045")
@pytest.mark.parametrize("prefix", SERVED)
def test_a_key_may_stand_in_the_query_as_geminis_does(gateway, prefix):
    path = next(row.path for row in LISTS if row.path.startswith(prefix))
    assert gateway.ask("GET", f"{path}?key={KEY}", key=None).status == 200
    assert gateway.ask("GET", f"{path}?key=nonsense", key=None).status == 401


@pytest.mark.req("R-SURF-047")
@pytest.mark.parametrize("row", LISTS, ids=named)
def test_a_routers_list_has_its_providers_models_by_their_own_ids_and_all_others(gateway, row):
    reply = gateway.ask("GET", row.path, headers=NATIVE[row.path[:3]], key=None)
    assert reply.status == 200
    names = names_of(row, reply)
    assert len(set(names)) == len(names)
    others = {"openai", "anthropic", "groq"} - {row.home}
    assert not [name for name in names if name.startswith(f"{row.home}/")]
    assert all(any(name.startswith(f"{other}/") for name in names) for other in others)
    first = names[0]
    one = gateway.ask("GET", f"{row.path}/{first.replace('/', '%2F')}")
    if row.dialect != "ollama":
        assert one.status == 200, one.body
        assert first in one.body.decode()
    head = gateway.ask("HEAD", row.path)
    assert (head.status, head.body) == (200, b"")


@pytest.mark.req("R-SURF-045", "R-SURF-047")
@pytest.mark.parametrize("row", HOMED, ids=named)
def test_a_stranger_is_refused_in_the_routers_own_words(gateway, row):
    body = body_of(row) if row.method == "POST" else None
    reply = gateway.ask(row.method, path_of(row), body, key=None)
    assert reply.status == 401
    assert "No API key" in error_of(row, reply)
    wrong = gateway.ask(row.method, path_of(row), body, {"x-api-key": "nonsense"}, key=None)
    assert wrong.status == 401
    assert "nonsense" not in wrong.body.decode()


@pytest.mark.req("R-SURF-047")
@pytest.mark.parametrize("row", DATA, ids=named)
def test_a_model_that_is_not_there_is_a_404_in_the_routers_own_words(gateway, row):
    model = "no-such-model-anywhere"
    reply = gateway.ask("POST", path_of(row, model), body_of(row, model))
    assert reply.status == 404
    assert model in error_of(row, reply)


@pytest.mark.parametrize("prefix", SERVED)
def test_what_is_not_there_and_another_method_are_told_in_the_routers_own_words(gateway, prefix):
    pages = [row for row in HOMED if row.path.startswith(prefix) and row.page is not None]
    row = next(row for row in pages if row.dialect != "responses")
    reply = gateway.ask("GET", f"{prefix}/nothing/here")
    assert reply.status == 404
    assert "nothing at GET" in error_of(row, reply)
    wrong = gateway.ask("DELETE", row.path.replace("{id:path}", "x"))
    assert wrong.status == 405
    assert wrong.headers["allow"] == "GET, HEAD"
    error_of(row, wrong)


def test_a_path_with_a_parameter_takes_its_own_methods_alone(gateway):
    for path in ("/v1/models/openai/gpt-4o", "/v3/models/claude-sonnet-4-5"):
        reply = gateway.ask("DELETE", path)
        assert reply.status == 405
        assert reply.headers["allow"] == "GET, HEAD"
        assert reply.headers["content-type"] == "application/json"


@pytest.mark.req("R-SURF-046", "R-ENV-003")
@pytest.mark.parametrize("switch", get_args(Switch))
def test_routes_that_are_switched_off_are_not_there_and_all_others_are(mock, tmp_path, switch):
    homes = {home for home, its in ROUTERS.values() if its == switch}
    off = 0
    with gateway_server(tmp_path, **{switch.upper(): "false"}) as server:
        for row in ROUTES:
            if row.permission == "public":
                continue
            # Without a key: what is there says 401, whatever it would answer.
            path = path_of(row, "openai/gpt-4o-mini")
            body = body_of(row, "openai/gpt-4o-mini") if row.method == "POST" else None
            reply = server.ask(row.method, path, body, key=None)
            gone = row.switch == switch
            off += gone
            assert reply.status == (404 if gone else 401), named(row)
            if gone and row.home in homes:
                error_of(row, reply)
    assert off


# --------------------------------------------------------------------------- names


def message(gateway, path, model, **members):
    said = [{"role": "user", "content": "Hello!"}]
    return gateway.ask("POST", path, {"model": model, "messages": said, **members})


@pytest.mark.req("R-SURF-047")
def test_a_routers_provider_gets_what_is_an_id_of_its_own(gateway):
    model = "anthropic/claude-3.5-sonnet"
    listed = names_of(
        next(row for row in LISTS if row.path == "/v6/models"), gateway.ask("GET", "/v6/models")
    )
    own = next(name for name in listed if name.startswith("anthropic/"))
    reply = message(gateway, "/v6/chat/completions", own)
    assert reply.headers["x-dragoman-provider"] in {"openrouter", "anthropic"}
    assert message(gateway, "/v1/chat/completions", model).headers["x-dragoman-provider"] == (
        "anthropic"
    )
    bare = message(gateway, "/v3/messages", "claude-sonnet-4-5", max_tokens=9)
    assert bare.headers["x-dragoman-model"] == "anthropic/claude-sonnet-4-5"


@pytest.mark.req("R-SURF-018")
@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/v1/models/gpt-4o-mini", {}),
        ("/v1/models/gpt-4o-mini", {"anthropic-version": "2023-06-01"}),
        ("/v1/models/gpt-4o-mini", {"x-goog-api-key": KEY}),
        ("/v1beta/models/gpt-4o-mini", {"x-goog-api-key": KEY}),
        ("/v3/v1/models/openai:gpt-4o-mini", {}),
    ],
)
def test_what_a_call_finds_by_its_bare_name_is_described_too(gateway, path, headers):
    reply = gateway.ask("GET", path, headers=headers)
    assert reply.status == 200, reply.body
    told = reply.json()
    name = told.get("id") or told["name"].removeprefix("models/")
    assert name == "openai/gpt-4o-mini"
    assert (
        message(gateway, "/v1/chat/completions", "gpt-4o-mini").headers["x-dragoman-model"] == name
    )


@pytest.mark.parametrize(("prefix", "owner"), [("", "openai"), ("/v5", "ollama")])
def test_ollamas_clients_are_shown_a_model_by_its_bare_name(gateway, prefix, owner):
    reply = gateway.ask("POST", f"{prefix}/api/show", {"model": "gpt-4o-mini"})
    assert reply.status == 200, reply.body
    assert reply.json()["details"]["family"] == owner


@pytest.mark.req("R-ADD-019")
@pytest.mark.parametrize(
    ("path", "family"),
    [
        ("/v2/models/openai/gpt-4o-mini:generateContent", "gemini"),
        ("/v2/v1beta/models/openai/gpt-4o-mini:generateContent", "gemini"),
        ("/v3/messages", "anthropic"),
        ("/v3/v1/messages", "anthropic"),
        ("/v4/chat/completions", "chat"),
        ("/v4/openai/v1/chat/completions", "chat"),
        ("/v5/api/chat", "ollama"),
        ("/v5/v1/chat/completions", "chat"),
        ("/v5/v1/messages", "anthropic"),
        ("/v6/chat/completions", "chat"),
        ("/v6/api/v1/chat/completions", "chat"),
    ],
)
def test_an_official_client_works_with_a_changed_base_alone(gateway, path, family):
    """Whatever path the client itself adds to its base."""
    reply = message(gateway, path, "openai/gpt-4o-mini", max_tokens=20, stream=False)
    if family == "gemini":
        reply = gateway.ask("POST", path, {"contents": [{"parts": [{"text": "Hello!"}]}]})
    assert reply.status == 200, reply.body
    told = reply.json()
    match family:
        case "gemini":
            said = told["candidates"][0]["content"]["parts"][0]["text"]
        case "anthropic":
            said = told["content"][0]["text"]
        case "ollama":
            said = told["message"]["content"]
        case _:
            said = told["choices"][0]["message"]["content"]
    assert said.startswith("You said: Hello!")


def test_every_home_is_a_prefix():
    assert {row.home for row in HOMED} <= {home for home, _ in ROUTERS.values()}
    assert router_at("/v3") is None


# --------------------------------------------------------------------------- lists without a router


@pytest.mark.req("R-SURF-015")
def test_the_common_list_speaks_as_its_caller_does(lonely):
    plain = lonely.ask("GET", "/v1/models").json()
    assert plain["object"] == "list"
    theirs = lonely.ask("GET", "/v1/models", headers={"anthropic-version": "2023-06-01"}).json()
    assert theirs["has_more"] is False
    google = lonely.ask("GET", "/v1/models", headers={"x-goog-api-key": KEY}, key=None)
    assert google.status == 200
    if any(row.dialect == "gemini" for row in ROUTES):
        assert google.json()["models"][0]["name"] == "models/openai/gpt-4o-mini"
        one = lonely.ask(
            "GET",
            "/v1/models/models/openai%2Fgpt-4o-mini",
            headers={"x-goog-api-key": KEY},
            key=None,
        )
        assert one.json()["name"] == "models/openai/gpt-4o-mini"
    else:
        assert google.json() == plain


# --------------------------------------------------------------------------- OpenRouter's account


@pytest.mark.parametrize("base", ["/v1", "/v4", "/v4/openai/v1", "/v6", "/v6/api/v1"])
def test_the_tokens_of_a_responses_request_are_counted_wherever_responses_are_made(gateway, base):
    body = {"model": "openai/gpt-4o-mini", "input": "Hello!"}
    counted = gateway.ask("POST", f"{base}/responses/input_tokens", body)
    assert counted.status == 200, counted.body
    assert counted.json()["object"] == "response.input_tokens"
    assert counted.json()["input_tokens"] > 0
    assert gateway.ask("POST", f"{base}/responses/input_tokens", {}).status == 400


@pytest.mark.req("R-SURF-044")
def test_a_generation_is_found_by_every_name_that_its_caller_has(gateway):
    sent = message(gateway, "/v6/chat/completions", "openai/gpt-4o-mini")
    assert sent.status == 200
    names = [
        sent.json()["id"],
        sent.headers["x-request-id"],
        sent.headers["x-dragoman-call-id"],
    ]
    for name in names:
        found = gateway.ask("GET", f"/v6/generation?id={name}")
        assert found.status == 200, found.body
        data = found.json()["data"]
        assert data["call_id"] == sent.headers["x-dragoman-call-id"]
        assert data["tokens_prompt"] == sent.json()["usage"]["prompt_tokens"]
        assert data["tokens_completion"] == sent.json()["usage"]["completion_tokens"]
        assert f"{data['total_cost']:.12f}".rstrip("0") == sent.headers["x-dragoman-cost-usd"]
    assert gateway.ask("GET", "/v6/generation?id=nothing").status == 404
    assert gateway.ask("GET", "/v6/generation").status == 400


@pytest.mark.req("R-SURF-044")
def test_a_key_and_its_credits_tell_what_it_has_used(gateway):
    key = "drg_of_the_routers_story"
    assert gateway.chat(key=key).status == 200
    cost = gateway.rows(key)[0]["cost_usd"]
    told = gateway.ask("GET", "/v6/key", key=key).json()["data"]
    assert (
        told["usage"] == told["usage_daily"] == told["usage_monthly"] == pytest.approx(float(cost))
    )
    assert told["limit"] is told["limit_remaining"] is None
    spent = gateway.ask("GET", "/v6/credits", key=key).json()["data"]
    assert spent == {"total_credits": None, "total_usage": told["usage"]}
    other = gateway.ask("GET", "/v6/api/v1/auth/key", key="drg_another_one").json()["data"]
    assert other["usage"] == 0


def test_an_error_within_a_stream_is_in_openrouters_shape(gateway):
    reply = message(
        gateway, "/v6/chat/completions", "openai/gpt-4o-mini--mock-error-after-3", stream=True
    )
    assert reply.status == 200
    frames = [
        json.loads(line[6:])
        for line in reply.body.decode().splitlines()
        if line.startswith("data: {")
    ]
    assert isinstance(frames[-1]["error"]["code"], int)
    assert frames[-1]["error"]["metadata"]["error_type"]
