"""The shipped provider files: each is sound, and each says what D15 fixes."""

import pytest

from dragoman.catalog.files import GENERIC, definitions
from dragoman.catalog.load import load_providers
from dragoman.dialects.chat.flavours import flavour_of
from dragoman.dialects.chat.steps import STEPS

ENOUGH = {"OPENAI_COMPATIBLE_BASE_URL": "http://127.0.0.1:1/v1", "OLLAMA_HOST": "127.0.0.1"} | {
    name: "key-of-a-test"
    for definition in definitions().values()
    for name in definition.env.key[:1]
}


def test_a_file_is_named_as_its_provider() -> None:
    assert {name: item.name for name, item in definitions().items()} == {
        name: name for name in definitions()
    }


def test_the_base_set_is_there() -> None:
    expected = {
        *("openai", "anthropic", "google", "groq", "openrouter", "ollama", "deepseek", "xai"),
        *("mistral", "together", "fireworks", "cerebras", "perplexity", "nvidia", "ob1", GENERIC),
        "openai-responses",
    }
    assert set(definitions()) == expected


@pytest.mark.req("R-PROV-011", "R-ENV-009")
@pytest.mark.parametrize(
    ("name", "chat", "listing"),
    [
        (
            "openai",
            "https://api.openai.com/v1/chat/completions",
            "https://api.openai.com/v1/models",
        ),
        (
            "anthropic",
            "https://api.anthropic.com/v1/messages",
            "https://api.anthropic.com/v1/models",
        ),
        (
            "groq",
            "https://api.groq.com/openai/v1/chat/completions",
            "https://api.groq.com/openai/v1/models",
        ),
        (
            "openrouter",
            "https://openrouter.ai/api/v1/chat/completions",
            "https://openrouter.ai/api/v1/models",
        ),
        (
            "deepseek",
            "https://api.deepseek.com/chat/completions",
            "https://api.deepseek.com/models",
        ),
        ("xai", "https://api.x.ai/v1/chat/completions", "https://api.x.ai/v1/models"),
        (
            "mistral",
            "https://api.mistral.ai/v1/chat/completions",
            "https://api.mistral.ai/v1/models",
        ),
        (
            "ollama",
            "http://127.0.0.1:11434/api/chat",
            "http://127.0.0.1:11434/api/tags",
        ),
        (
            "together",
            "https://api.together.xyz/v1/chat/completions",
            "https://api.together.xyz/v1/models",
        ),
        (
            "fireworks",
            "https://api.fireworks.ai/inference/v1/chat/completions",
            "https://api.fireworks.ai/inference/v1/models",
        ),
        (
            "cerebras",
            "https://api.cerebras.ai/v1/chat/completions",
            "https://api.cerebras.ai/v1/models",
        ),
        ("perplexity", "https://api.perplexity.ai/chat/completions", None),
        (
            "nvidia",
            "https://integrate.api.nvidia.com/v1/chat/completions",
            "https://integrate.api.nvidia.com/v1/models",
        ),
    ],
)
def test_a_provider_is_called_where_its_official_sdk_calls_it(name, chat, listing) -> None:
    provider = load_providers(ENOUGH).providers[name]
    assert provider.base_url + provider.paths["chat"] == chat
    assert (
        provider.base_url + provider.paths["models"] if "models" in provider.paths else None
    ) == listing


def test_anthropic_gets_its_key_and_version_in_its_own_headers() -> None:
    provider = load_providers(ENOUGH).providers["anthropic"]
    assert provider.headers == {"anthropic-version": "2023-06-01"}
    assert (provider.auth.header, provider.auth.prefix) == ("x-api-key", "")
    assert provider.paths["count_tokens"] == "/v1/messages/count_tokens"


def test_google_is_served_with_its_dialect() -> None:
    registry = load_providers(ENOUGH, served=frozenset({"chat"}))
    assert registry.unserved["google"] == "gemini"
    assert "google" not in registry.providers
    served = load_providers(ENOUGH)
    assert served.providers["google"].paths["models"] == "/v1beta/models"
    assert served.providers["google"].auth.header == "x-goog-api-key"


def test_every_flavour_and_step_that_a_file_names_exists() -> None:
    chat = [item.quirks for item in definitions().values() if item.family == "chat"]
    assert {flavour_of(quirks.flavour).name for quirks in chat} == {
        quirks.flavour for quirks in chat
    }
    named = {step for quirks in chat for step in quirks.steps}
    assert named
    assert named <= set(STEPS)


def test_every_header_that_shows_a_key_is_in_lower_case() -> None:
    for provider in load_providers(ENOUGH).providers.values():
        assert provider.auth.header == provider.auth.header.lower()
        assert all(name == name.lower() for name in provider.headers)


@pytest.mark.parametrize("name", sorted(definitions()))
def test_paths_begin_with_a_slash_and_serve_chat(name) -> None:
    definition = definitions()[name]
    assert "chat" in definition.paths
    assert all(path.startswith("/") for path in definition.paths.values())
