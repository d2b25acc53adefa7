"""Lists of models in each family's own shape."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from dragoman.catalog.cards import Card, Live
from dragoman.catalog.rows import ModelRow
from dragoman.core.capability import Capability
from dragoman.core.provider import Price
from dragoman.surface.listings import capabilities, described, listed

FULL = Card(
    ModelRow("openai/gpt-x", created=1_750_000_000, owned_by="openai", name="GPT X"),
    operations=("chat", "embeddings"),
    capability=Capability(
        context_tokens=128_000, max_output_tokens=16_000, audio_input=False, documents=False
    ),
    live=Live(3, 2, 1, 81.5),
    price=Price(input=Decimal("0.15"), output=Decimal("0.6"), cache_read=Decimal("0.075")),
)
BARE = Card(ModelRow("fast", owned_by="dragoman", name="fast"), capability=Capability(tools=False))
CARDS = [FULL, BARE]


@pytest.mark.req("R-SURF-016")
def test_openais():
    full, bare = listed(CARDS, "chat")["data"]
    assert listed(CARDS, "chat")["object"] == "list"
    assert full == {
        "id": "openai/gpt-x",
        "object": "model",
        "created": 1_750_000_000,
        "owned_by": "openai",
        "name": "GPT X",
        "providers": 3,
        "active_providers": 2,
        "cooling_down_providers": 1,
        "throughput": 81.5,
        "capabilities": ["text", "image_input", "tool_calling"],
        "pricing": {"input": "0.15", "output": "0.6", "unit": "per_million_tokens"},
    }
    assert (bare["id"], bare["created"], bare["owned_by"]) == ("fast", 0, "dragoman")
    assert bare["capabilities"] == ["text"]
    assert "pricing" not in bare
    assert described(BARE, "chat") == bare


@pytest.mark.req("R-CAT-002")
@pytest.mark.parametrize(
    ("use", "words"),
    [
        ("embeddings", []),
        ("pictures and films", ["image_output"]),
        ("speech", ["audio_output"]),
        ("", ["text", "image_input", "audio_input", "tool_calling"]),
    ],
)
def test_what_a_model_is_for_is_told_in_the_words_of_the_list(use, words):
    card = Card(ModelRow("a/m"), operations=("chat", "embeddings"), use=use)
    assert capabilities(card) == words


@pytest.mark.req("R-SURF-041")
def test_anthropics():
    found = listed(CARDS, "anthropic")
    assert found["data"] == [described(card, "anthropic") for card in CARDS]
    assert (found["first_id"], found["last_id"]) == ("openai/gpt-x", "fast")
    assert found["has_more"] is False
    assert found["data"][0] == {
        "type": "model",
        "id": "openai/gpt-x",
        "display_name": "GPT X",
        "created_at": "2025-06-15T15:06:40Z",
    }
    assert found["data"][1]["created_at"] == "1970-01-01T00:00:00Z"
    nothing = listed([], "anthropic")
    assert nothing == {"data": [], "has_more": False, "first_id": None, "last_id": None}


@pytest.mark.req("R-SURF-040")
def test_geminis():
    full, bare = listed(CARDS, "gemini")["models"]
    assert full == {
        "name": "models/openai/gpt-x",
        "displayName": "GPT X",
        "supportedGenerationMethods": [
            "generateContent",
            "streamGenerateContent",
            "countTokens",
            "embedContent",
            "batchEmbedContents",
        ],
        "inputTokenLimit": 128_000,
        "outputTokenLimit": 16_000,
    }
    assert bare == {"name": "models/fast", "displayName": "fast", "supportedGenerationMethods": []}
    assert described(FULL, "gemini") == full


@pytest.mark.req("R-SURF-043")
def test_ollamas():
    full, bare = listed(CARDS, "ollama")["models"]
    assert full["name"] == full["model"] == "openai/gpt-x"
    assert full["modified_at"] == "2025-06-15T15:06:40Z"
    assert (bare["modified_at"], bare["size"], bare["digest"]) == (None, None, None)
    assert full["details"]["family"] == "openai"


@pytest.mark.req("R-SURF-043")
def test_what_ollama_shows_of_one_model():
    full, bare = described(FULL, "ollama"), described(BARE, "ollama")
    assert full["model_info"] == {
        "general.architecture": "openai",
        "general.basename": "GPT X",
        "openai.context_length": 128_000,
    }
    assert full["capabilities"] == ["completion", "tools", "embedding"]
    assert bare["capabilities"] == ["completion"]
    assert "modified_at" not in bare
    assert "dragoman.context_length" not in bare["model_info"]


@pytest.mark.req("R-SURF-044")
def test_openrouters():
    full, bare = listed(CARDS, "chat", "openrouter")["data"]
    assert full["pricing"] == {
        "prompt": "0.00000015",
        "completion": "0.0000006",
        "input_cache_read": "0.000000075",
    }
    assert full["context_length"] == full["top_provider"]["context_length"] == 128_000
    assert full["top_provider"]["max_completion_tokens"] == 16_000
    assert bare["pricing"] == {"prompt": "-1", "completion": "-1"}
    assert full["architecture"]["modality"] == "text+image->text"
    assert "tools" in full["supported_parameters"]
    assert "tools" not in bare["supported_parameters"]
    assert bare["context_length"] is None
    assert described(FULL, "chat", "openrouter") == {"data": full}


@pytest.mark.parametrize("family", ["chat", "anthropic", "gemini", "ollama"])
def test_every_list_is_json(family):
    assert msgspec.json.decode(msgspec.json.encode(listed(CARDS, family)))
