"""The list of models tells who has each now, how quick it is and what it can; files have the same for others."""

import json

import msgspec
import pytest

from dragoman.file_shapes import ModelsFile, ProviderFile
from servers import free_port, gateway_server, providers_at, until

ADMIN = "drg_admin_0123456789"
OPENAI, GROQ = "openai/gpt-4o-mini", "groq/llama-3.3-70b-versatile"


@pytest.fixture
def gateway(mock, tmp_path):
    (tmp_path / "dragoman.toml").write_text(
        '[[providers]]\nname = "dead"\ndialect = "chat"\nmodels = ["GPT-4o-mini", "alone"]\n'
        f'base_url = "http://127.0.0.1:{free_port()}/v1"\n'
        '[[providers]]\nname = "twin"\ndialect = "chat"\nmodels = ["GPT-4o-mini"]\n'
        f'base_url = "{mock.url}/openai/v1"\n[aliases]\nboth = ["{OPENAI}", "{GROQ}"]\n'
    )
    environment = {
        **providers_at(mock.port),
        "DATA_SOURCE_PREFERENCE": "filesystem",
        "MODEL_CAPS_REFRESH_MS": "100",
        "MAX_RETRIES": "0",
        "DEFAULT_ADMIN_USER_ID": "boss",
        "DEFAULT_ADMIN_API_KEY": ADMIN,
    }
    with gateway_server(tmp_path, **environment) as server:
        yield server


def rows(server):
    return {row["id"]: row for row in server.ask("GET", "/v1/models").json()["data"]}


@pytest.mark.req("R-CAT-001", "R-CAT-002", "R-CAT-003")
def test_counts_follow_what_providers_do(gateway):
    found = rows(gateway)
    mini = found[OPENAI]
    assert (mini["object"], mini["owned_by"]) == ("model", "openai")
    assert mini["providers"] == mini["active_providers"] > 2
    assert mini["throughput"] == mini["cooling_down_providers"] == 0
    assert set(mini["capabilities"]) == {"text", "image_input", "audio_input", "tool_calling"}
    assert mini["pricing"] == {"input": "0.15", "output": "0.6", "unit": "per_million_tokens"}
    assert (found["dead/alone"]["providers"], found["both"]["providers"]) == (1, 2)
    assert found[GROQ]["capabilities"] == ["text", "tool_calling"]
    assert found["openai/text-embedding-3-small"]["capabilities"] == []
    assert gateway.chat("openai/gpt-4o-mini--mock-chunk-delay-20", stream=True).status == 200
    for _ in range(5):
        gateway.chat(OPENAI, text="x", stream=True)
    assert until(lambda: rows(gateway)[OPENAI]["throughput"] > 0)
    gateway.ask("POST", "/v1/chat/completions", {"model": OPENAI, "messages": []})


def test_a_provider_whose_breaker_is_open_is_cooling_down(gateway):
    before = rows(gateway)[OPENAI]["providers"]
    for _ in range(6):
        assert gateway.chat("dead/GPT-4o-mini").status in {502, 503}
    found = until(
        lambda: [row for row in [rows(gateway)[OPENAI]] if row["cooling_down_providers"]]
    )
    assert (found[0]["providers"], found[0]["active_providers"]) == (before, before - 1)


def asked(mock):
    """How many lists of models the mock was asked for."""
    requests = mock.ask("GET", "/mock/truth").json()["requests"]
    return sum("models" in request["path"] and request["method"] == "GET" for request in requests)


@pytest.mark.req("R-ADM-004")
def test_an_admin_has_all_lists_fetched_anew(gateway, mock):
    rows(gateway)
    before = asked(mock)
    reply = gateway.ask("POST", "/admin/models/refresh-provider-counts", key=ADMIN)
    assert reply.status == 200
    told = reply.json()
    assert told["object"] == "models.refresh"
    assert told["models"]["openai"] > 0
    assert asked(mock) > before
    assert gateway.ask("POST", "/admin/models/refresh-provider-counts").status == 403
    path = "/api/admin/audit?action=models.refresh&outcome=done"
    (done,) = gateway.ask("GET", path, key=ADMIN).json()["data"]
    assert done["after"] == told["models"]


@pytest.mark.req("R-PROV-002", "R-STOR-004", "R-STOR-006", "R-STOR-009")
def test_files_for_other_programs_hold_the_same_and_no_key(gateway, tmp_path):
    data = tmp_path / "home" / "data"
    gateway.chat(OPENAI)
    listed = until(
        lambda: (data / "models.json").is_file() and (data / "models.json").read_bytes()
    )
    models = msgspec.json.decode(listed, type=ModelsFile)
    assert OPENAI in {model.id for model in models.data}
    text = until(
        lambda: (
            b'"requests":1' in (data / "providers.json").read_bytes()
            and (data / "providers.json").read_bytes()
        ),
        15,
    )
    providers = {each.id: each for each in msgspec.json.decode(text, type=list[ProviderFile])}
    assert providers["openai"].models["gpt-4o-mini"].requests == 1
    assert providers["twin"].provider_url.startswith("http://127.0.0.1")
    assert b"sk-mock" not in text
    # The members of R-STOR-009, and of the key where it is.
    assert providers["openai"].apiKey == "${OPENAI_API_KEY}"
    assert providers["openai"].streamingCompatible
    assert providers["openai"].models["gpt-4o-mini"].response_times == []
    schema = json.loads((data / "models.schema.json").read_bytes())
    assert {"id", "created", "owned_by", "providers", "throughput"} <= set(
        schema["$defs"]["Model"]["required"]
    )
