"""Official SDKs with a router of the gateway as their base URL, and nothing else changed."""

from __future__ import annotations

import anthropic
import openai
import pytest

from servers import KEY

SAID = [{"role": "user", "content": "Hello!"}]
MODELS = ("openai/gpt-4o-mini", "claude-haiku-4-5", "groq/llama-3.3-70b-versatile")


@pytest.fixture
def claude(gateway):
    with anthropic.Anthropic(api_key=KEY, base_url=f"{gateway.url}/v3", max_retries=0) as client:
        yield client


@pytest.fixture(params=["/v4/openai/v1", "/v4", "/v5/v1", "/v6", "/v6/api/v1"])
def gpt(gateway, request):
    base = gateway.url + request.param
    with openai.OpenAI(api_key=KEY, base_url=base, max_retries=0) as client:
        yield client


@pytest.mark.req("R-SURF-041")
@pytest.mark.parametrize("model", MODELS)
def test_anthropics_client_on_its_router(claude, model):
    whole = claude.messages.create(model=model, max_tokens=50, messages=SAID)
    assert whole.content[0].text
    with claude.messages.stream(model=model, max_tokens=50, messages=SAID) as stream:
        assert stream.get_final_text()
    assert claude.messages.count_tokens(model=model, messages=SAID).input_tokens > 0


@pytest.mark.req("R-SURF-041", "R-SURF-047")
def test_anthropics_client_reads_the_list_and_the_errors(claude):
    names = [model.id for model in claude.models.list()]
    assert "claude-sonnet-4-5" in names
    assert "openai/gpt-4o-mini" in names
    assert claude.models.retrieve("openai/gpt-4o-mini").id == "openai/gpt-4o-mini"
    with pytest.raises(anthropic.NotFoundError, match="no-such-model"):
        claude.messages.create(model="no-such-model", max_tokens=5, messages=SAID)


@pytest.mark.req("R-SURF-042", "R-SURF-044", "R-SURF-047")
def test_openais_client_on_the_routers_of_its_kin(gpt):
    model = "anthropic/claude-sonnet-4-5"
    whole = gpt.chat.completions.create(model=model, messages=SAID)
    assert whole.choices[0].message.content
    pieces = gpt.chat.completions.create(model=model, messages=SAID, stream=True)
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)
    found = gpt.embeddings.create(model="openai/text-embedding-3-small", input=["a", "b"])
    assert [item.index for item in found.data] == [0, 1]
    names = [item.id for item in gpt.models.list()]
    assert "openai/gpt-4o-mini" in names
    with pytest.raises(openai.NotFoundError, match="no-such-model"):
        gpt.chat.completions.create(model="no-such-model", messages=SAID)
    with pytest.raises(openai.AuthenticationError):
        gpt.with_options(api_key="nonsense").models.list()
