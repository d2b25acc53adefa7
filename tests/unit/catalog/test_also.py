"""Providers that speak several families: each caller is served in its own where there is one."""

import pytest

from dragoman.catalog.load import load_providers
from dragoman.catalog.schema import CatalogError, operator_row
from dragoman.core.provider import Provider
from dragoman.credentials.pool import Pools
from dragoman.health.health import Health
from dragoman.routing.route import route

ENV = {"OPENAI_API_KEY": "sk-" + "a" * 45, "XAI_API_KEY": "xai-" + "b" * 32}
FAMILIES = frozenset({"chat", "responses", "anthropic"})


def registry(**further):
    return load_providers(ENV, served=FAMILIES, **further)


def served(model, family, operation="chat", **further) -> Provider:
    made = registry(**further)
    plan = route(
        model, made, Health(), Pools(made.credentials), 0.0, operation=operation, family=family
    )
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
