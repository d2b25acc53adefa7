"""What models accept, by their ids and whatever stands behind them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.catalog.capability import capability_of
from dragoman.core.capability import Capability
from dragoman.routing.able import lacking
from dragoman.routing.needs import Needs

CLAUDES = {
    "rejects_sampling": [
        *("claude-opus-4-7", "claude-opus-4-8", "claude-sonnet-5", "claude-fable-5"),
        *("claude-mythos-5", "claude-opus-5", "claude-haiku-5-5", "claude-something-9"),
    ],
    "temperature_xor_top_p": [
        *("claude-opus-4-1", "claude-sonnet-4-5", "claude-haiku-4-5", "claude-opus-4-5"),
        *("claude-opus-4-6", "claude-sonnet-4-6"),
    ],
    "neither": [
        *(
            "claude-opus-4-0",
            "claude-sonnet-4",
            "claude-sonnet-4-20250514",
            "claude-opus-4@20250514",
        ),
        *("claude-3-haiku-20240307", "claude-3-7-sonnet-latest", "claude-2.1"),
    ],
}


def claude(model: str) -> Capability:
    return capability_of("anthropic", "plain", model)


@pytest.mark.pitfall(112, 166, 172)
@pytest.mark.parametrize("suffix", ["", "--x12", "-20260101"])
@pytest.mark.parametrize(
    ("group", "model"), [(group, model) for group, models in CLAUDES.items() for model in models]
)
def test_which_claude_takes_which_sampling(group, model, suffix) -> None:
    found = claude(model + suffix)
    assert found.rejects_sampling is (group == "rejects_sampling")
    assert found.temperature_xor_top_p is (group == "temperature_xor_top_p")


@pytest.mark.pitfall(166, 172, 173)
@pytest.mark.parametrize(
    ("model", "thinking", "efforts"),
    [
        ("claude-2.1", "none", ()),
        ("claude-3-5-sonnet-20241022", "none", ()),
        ("claude-3-7-sonnet-20250219", "budget", ()),
        ("claude-sonnet-4-0", "budget", ()),
        ("claude-opus-4-1-20250805", "budget", ()),
        ("claude-haiku-4-5", "budget", ()),
        ("claude-opus-4-5", "budget", ("low", "medium", "high")),
        ("claude-sonnet-4-6", "both", ("low", "medium", "high", "max")),
        ("claude-opus-4-7", "adaptive", ("low", "medium", "high", "xhigh", "max")),
        ("claude-sonnet-5--x1", "adaptive", ("low", "medium", "high", "xhigh", "max")),
        ("claude-new-6", "adaptive", ("low", "medium", "high", "xhigh", "max")),
        ("llama-on-a-compatible-server", "none", ()),
    ],
)
def test_how_a_model_of_anthropics_family_thinks(model, thinking, efforts) -> None:
    assert claude(model).thinking == thinking
    assert claude(model).efforts == efforts


@pytest.mark.pitfall(171)
@pytest.mark.parametrize(
    ("model", "forced"),
    [
        ("claude-fable-5", False),
        ("claude-mythos-5-2--x3", False),
        ("claude-mythos-preview", False),
        ("claude-opus-5-5", False),
        ("claude-opus-5", True),
        ("claude-sonnet-4-5", True),
        ("claude-new-6", True),
    ],
)
def test_who_refuses_a_forced_tool(model, forced) -> None:
    assert claude(model).forced_tools is forced


@pytest.mark.pitfall(64, 76, 172)
def test_the_rest_of_what_sets_claudes_apart() -> None:
    assert claude("claude-opus-5").rejects_disabled_above_high
    assert not claude("claude-opus-4-8").rejects_disabled_above_high
    assert claude("claude-sonnet-4-0").structured_output == "tool"
    assert claude("claude-opus-4-1").structured_output == "native"
    assert claude("claude-haiku-4-5").structured_output == "native"
    assert claude("mistral-7b").structured_output == "tool"
    assert claude("claude-sonnet-4-5").prefill
    assert not claude("claude-sonnet-4-6").prefill
    assert claude("claude-opus-4-8").mid_system
    assert not claude("claude-opus-4-7").mid_system
    assert not claude("claude-opus-4-8").audio_input


@pytest.mark.parametrize(
    ("model", "tokens"),
    [
        ("claude-3-haiku-20240307", 4096),
        ("claude-3-5-haiku-latest", 8192),
        ("claude-3-7-sonnet-latest", 64000),
        ("claude-opus-4-20250514", 32000),
        ("claude-sonnet-4-20250514", 64000),
        ("claude-sonnet-4-5", 64000),
        ("claude-opus-4-6", 128000),
        ("claude-opus-5-5--x9", 128000),
        ("claude-new-6", None),
        ("unknown", None),
    ],
)
def test_how_much_a_claude_may_say(model, tokens) -> None:
    assert claude(model).max_output_tokens == tokens


@pytest.mark.pitfall(182)
@pytest.mark.parametrize(
    ("model", "reasons"),
    [
        *[
            (name, True)
            for name in ("o1", "o3-mini", "o4-mini", "gpt-5", "gpt-5-mini", "gpt-5-nano")
        ],
        *[(name, True) for name in ("gpt-5.5", "gpt-5.6-sol", "gpt-6-astra", "gpt-5.1-codex")],
        *[(name, True) for name in ("gpt-5.2-pro", "gpt-5.3-chat-latest", "codex-mini-latest")],
        *[(name, False) for name in ("gpt-5.1", "gpt-5.2", "gpt-5.4-mini", "gpt-5-chat-latest")],
        *[(name, False) for name in ("gpt-4o", "gpt-4.1", "gpt-4", "gpt-3.5-turbo", "omni-x")],
    ],
)
@pytest.mark.parametrize("suffix", ["", "--x7"])
def test_which_openai_models_reason_unasked_and_then_refuse_sampling(
    model, reasons, suffix
) -> None:
    found = capability_of("chat", "openai", model + suffix)
    assert found.reasons_by_default is reasons
    assert found.rejects_sampling is reasons


def test_gpt_5_6_has_no_minimal_effort() -> None:
    assert "minimal" not in capability_of("chat", "openai", "gpt-5.6-luna").efforts


@pytest.mark.parametrize(
    ("model", "tokens"),
    [
        ("gpt-4o-mini", 16384),
        ("gpt-4o-2024-05-13", 4096),
        ("gpt-4.1-nano", 32768),
        ("gpt-4", 8192),
        ("gpt-4-0613", 8192),
        ("gpt-4-turbo-2024-04-09", 4096),
        ("gpt-4-0125-preview", 4096),
        ("gpt-3.5-turbo", 4096),
        ("o1-mini", 65536),
        ("o3", 100000),
        ("gpt-5.1", 128000),
        ("gpt-oss-120b", None),
    ],
)
def test_how_much_an_openai_model_may_say(model, tokens) -> None:
    assert capability_of("chat", "openai", model).max_output_tokens == tokens


@given(st.text(max_size=40))
def test_nothing_is_known_of_a_model_at_a_plain_server_and_nothing_taken_away(model) -> None:
    assert capability_of("chat", "plain", model) == Capability()


def test_flavours_that_say_less_than_openai() -> None:
    assert capability_of("chat", "deepseek", "deepseek-chat").structured_output == "json_object"
    assert not capability_of("chat", "groq", "llama-3.3-70b-versatile").documents
    assert capability_of("chat", "openrouter", "openai/gpt-5") == Capability()


def test_the_context_is_what_the_catalogue_says() -> None:
    assert capability_of("chat", "openai", "gpt-4o", 128_000).context_tokens == 128_000


@pytest.mark.parametrize(
    ("model", "reasons"),
    [
        *((name, False) for name in ("llama3.2:3b", "codellama", "mistral:7b", "mixtral:8x7b")),
        *((name, False) for name in ("gemma", "gemma3:4b", "gemma3n:e4b", "phi3", "qwen2.5:14b")),
        *(
            (name, False)
            for name in ("qwen3-coder:30b", "command-r", "hub/user/llama3:latest--x1")
        ),
        *((name, None) for name in ("qwen3:4b", "deepseek-r1:8b", "gpt-oss:20b", "gemma4:26b")),
        *((name, None) for name in ("magistral", "llama3-thinking", "phi4-reasoning", "my-own")),
    ],
)
def test_which_of_ollamas_models_are_known_not_to_think(model, reasons) -> None:
    assert capability_of("ollama", "plain", model).reasons is reasons
    assert capability_of("chat", "plain", model).reasons is None


def test_a_name_that_speaks_of_text_alone_chooses_and_refuses_nothing():
    """Whoever names one model gets that model's own answer about a picture, whatever its name looks like."""
    found = capability_of("ollama", "", "deepseek-r1:14b-qwen-distill-q8_0")
    assert found.text_alone
    assert found.images
    assert found.audio_input
    needs = Needs(images=True)
    assert lacking(found, needs) == "takes no images"
    assert lacking(capability_of("ollama", "", "llava"), needs) is None
