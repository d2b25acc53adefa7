"""Providers that speak several families: each caller is served in its own where there is one."""

import pytest

from dragoman.catalog.load import load_providers
from dragoman.catalog.schema import SERVED, CatalogError, operator_row
from dragoman.core.provider import Provider
from dragoman.credentials.pool import Pools
from dragoman.health.health import Health
from dragoman.routing.route import route
from dragoman.routing.sight import Sight

KEYED = ("DEEPSEEK", "TOGETHER", "FIREWORKS", "CEREBRAS")
ENV = {
    "OPENAI_API_KEY": "sk-" + "a" * 45,
    "XAI_API_KEY": "xai-" + "b" * 32,
    "OLLAMA_HOST": "127.0.0.1:11434",
    **{f"{name}_API_KEY": "key-" + "c" * 45 for name in KEYED},
}
FAMILIES = SERVED | {"responses"}


def registry(**further):
    return load_providers(ENV, served=FAMILIES, **further)


def served(model, family, operation="chat", **further) -> Provider:
    made = registry(**further)
    plan = route(model, Sight(made, Health(), Pools(made.credentials), 0.0, operation, family))
    return plan.candidates[0].provider


def test_a_caller_is_served_in_its_own_family_where_the_provider_speaks_it():
    spoken = served("openai/gpt-5", "responses")
    assert (spoken.name, spoken.family) == ("openai", "responses")
    assert spoken.base_url + spoken.paths["chat"] == "https://api.openai.com/v1/responses"
    assert served("openai/gpt-5", "anthropic").family == "chat"
    assert served("xai/grok-4", "responses").family == "responses"


def test_an_operation_that_the_family_does_not_serve_goes_the_main_way():
    assert served("openai/text-embedding-3-small", "responses", "embeddings").family == "chat"


def test_a_count_is_asked_for_where_the_provider_counts():
    counted = served("openai/gpt-5", "anthropic", "count_tokens")
    assert (counted.family, counted.paths["count_tokens"]) == (
        "responses",
        "/responses/input_tokens",
    )
    assert served("openai/gpt-5", "responses", "count_tokens").family == "responses"
    assert served("xai/grok-4", "anthropic", "count_tokens").family == "chat"


@pytest.mark.pitfall(167)
@pytest.mark.parametrize(
    ("family", "operation", "spoken", "path"),
    [
        ("ollama", "chat", "ollama", "/api/chat"),
        ("generate", "chat", "generate", "/api/generate"),
        ("completions", "chat", "completions", "/v1/completions"),
        ("chat", "chat", "ollama", "/api/chat"),
        ("anthropic", "chat", "ollama", "/api/chat"),
        ("ollama", "embeddings", "ollama", "/api/embed"),
        ("chat", "embeddings", "chat", "/v1/embeddings"),
    ],
)
def test_ollama_is_asked_in_its_own_interface_which_fills_nothing_in(
    family, operation, spoken, path
):
    provider = served("ollama/llama3", family, operation)
    assert (provider.family, provider.paths[operation]) == (spoken, path)


@pytest.mark.parametrize(
    ("model", "url"),
    [
        ("openai/gpt-3.5-turbo-instruct", "https://api.openai.com/v1/completions"),
        ("deepseek/deepseek-chat", "https://api.deepseek.com/beta/completions"),
        ("together/x", "https://api.together.xyz/v1/completions"),
        ("fireworks/x", "https://api.fireworks.ai/inference/v1/completions"),
        ("cerebras/x", "https://api.cerebras.ai/v1/completions"),
    ],
)
def test_legacy_completions_go_where_they_are_served(model, url):
    provider = served(model, "completions")
    assert (provider.family, provider.base_url + provider.paths["chat"]) == ("completions", url)


def test_an_operators_ollama_has_all_of_its_interfaces():
    row = operator_row({"name": "box", "dialect": "ollama", "base_url": "http://10.0.0.7:11434"})
    for family, path in (("chat", "/api/chat"), ("generate", "/api/generate")):
        assert served("box/llama3", family, extra=[row]).paths["chat"] == path


def test_a_family_without_a_dialect_is_not_offered():
    made = load_providers(ENV, served=frozenset({"chat"}))
    assert made.providers["openai"].also == ()


def test_an_operators_provider_may_speak_several_families_too():
    row = operator_row(
        {
            "name": "corp",
            "dialect": "chat",
            "base_url": "http://10.0.0.7:8000/v1",
            "also": {
                "anthropic": {
                    "paths": {"chat": "/messages"},
                    "auth": {"header": "x-api-key", "prefix": ""},
                    "headers": {"Anthropic-Version": "2023-06-01"},
                }
            },
        }
    )
    spoken = served("corp/llama", "anthropic", extra=[row])
    assert (spoken.family, spoken.paths) == ("anthropic", {"chat": "/messages"})
    assert spoken.auth.header == "x-api-key"
    assert spoken.headers == {"anthropic-version": "2023-06-01"}
    with pytest.raises(CatalogError, match="path"):
        operator_row({"name": "corp", "also": {"anthropic": {"path": {}}}})
