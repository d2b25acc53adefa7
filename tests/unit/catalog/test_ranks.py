"""The shipped ranks order families as people would, and know what is no model for chats."""

import pytest

from dragoman.catalog.load import load_providers
from dragoman.catalog.ranks import other_use, rank_of


@pytest.mark.req("R-ROUTE-002")
@pytest.mark.parametrize(
    "falling",
    [
        [
            "claude-opus-5", "claude-opus-4-8", "claude-sonnet-4-5", "claude-haiku-4-5",
            "claude-3-5-sonnet-20241022", "claude-3-haiku-20240307",
        ],
        ["gpt-5.2", "gpt-5", "gpt-5-mini", "gpt-4.1", "gpt-5-nano", "gpt-4o", "gpt-4o-mini", "gpt-3.5-turbo"],
        ["o3", "o3-mini"],
        ["gemini-3-pro-preview", "gemini-2.5-pro", "gemini-2.5-flash", "gemini-2.5-flash-lite"],
        ["anthropic/claude-opus-4.6", "anthropic/claude-sonnet-4.6", "anthropic/claude-haiku-4.5"],
        ["meta-llama/llama-3.3-70b-instruct", "llama-3.1-8b-instant"],
    ],
)  # fmt: skip
def test_of_a_family_the_more_capable_has_the_higher_rank(falling) -> None:
    ranks = [rank_of(name) for name in falling]
    assert None not in ranks
    assert ranks == sorted(ranks, reverse=True)
    assert len(set(ranks)) == len(ranks)


def test_nobody_has_heard_of_it() -> None:
    assert rank_of("corp-model-1") is None


def test_the_operators_rank_goes_first() -> None:
    registry = load_providers({"OPENAI_API_KEY": "k"}, ranks={"openai/gpt-5": 1, "gpt-4o": 2})
    assert registry.rank("openai", "gpt-5") == 1
    assert registry.rank("openrouter", "gpt-4o") == 2
    assert registry.rank("openai", "gpt-5-mini") == rank_of("gpt-5-mini")


@pytest.mark.parametrize(
    ("model", "use"),
    [
        ("text-embedding-3-small", "embeddings"),
        ("gpt-4o-mini-tts", "speech"),
        ("whisper-large-v3", "speech"),
        ("gpt-image-1", "pictures"),
        ("omni-moderation-latest", "moderation"),
        ("gpt-3.5-turbo-instruct", "completion"),
        ("gpt-4o", ""),
        ("claude-opus-5", ""),
        ("gemini-2.5-flash", ""),
        ("llama-3.3-70b-versatile", ""),
    ],
)
def test_what_is_not_made_for_chats_is_known(model, use) -> None:
    assert use in other_use(model)
    assert bool(use) == bool(other_use(model))
