"""What other gateways call a provider, and what it is here."""

from __future__ import annotations

OURS = {
    "openai": "openai",
    "anthropic": "anthropic",
    "gemini": "google",
    "google": "google",
    "google_ai_studio": "google",
    "groq": "groq",
    "openrouter": "openrouter",
    "ollama": "ollama",
    "ollama_chat": "ollama",
    "deepseek": "deepseek",
    "xai": "xai",
    "x-ai": "xai",
    "mistral": "mistral",
    "mistral-ai": "mistral",
    "mistral_ai": "mistral",
    "together": "together",
    "together_ai": "together",
    "together-ai": "together",
    "fireworks": "fireworks",
    "fireworks_ai": "fireworks",
    "fireworks-ai": "fireworks",
    "cerebras": "cerebras",
    "perplexity": "perplexity",
    "perplexity-ai": "perplexity",
    "nvidia": "nvidia",
    "nvidia_nim": "nvidia",
}
"""Built-in providers by the names that LiteLLM and Portkey give them."""

LIKE_OPENAI = frozenset(
    {
        "custom",
        "custom_openai",
        "hosted_vllm",
        "litellm_proxy",
        "llamafile",
        "lm_studio",
        "openai_like",
        "openai-compatible",
        "vllm",
        "xinference",
    }
)
"""Kinds that are an address which speaks OpenAI's chat."""

NOT_YET = frozenset(
    {
        "azure",
        "azure-openai",
        "azure_ai",
        "azure-ai",
        "bedrock",
        "aws-bedrock",
        "sagemaker",
        "sagemaker_chat",
        "vertex_ai",
        "vertex_ai_beta",
        "vertex-ai",
        "cohere",
        "cohere_chat",
        "databricks",
        "watsonx",
        "snowflake",
        "oci",
    }
)
"""Kinds whose way to sign or address a request is not built in."""

_MAKERS: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("gpt-", "chatgpt-", "o1", "o3", "o4", "text-embedding-", "dall-e", "whisper", "tts-"),
        "openai",
    ),
    (("claude",), "anthropic"),
    (("gemini",), "google"),
    (("mistral-", "codestral", "ministral", "pixtral", "magistral"), "mistral"),
    (("deepseek-",), "deepseek"),
    (("grok-",), "xai"),
)

BUILT_IN_AT = {
    "api.openai.com": "openai",
    "api.anthropic.com": "anthropic",
    "generativelanguage.googleapis.com": "google",
    "api.groq.com": "groq",
    "openrouter.ai": "openrouter",
    "api.deepseek.com": "deepseek",
    "api.x.ai": "xai",
    "api.mistral.ai": "mistral",
    "api.together.xyz": "together",
    "api.fireworks.ai": "fireworks",
    "api.cerebras.ai": "cerebras",
    "api.perplexity.ai": "perplexity",
    "integrate.api.nvidia.com": "nvidia",
}
"""Built-in providers by where they are."""


def maker_of_bare(model: str) -> str | None:
    """Whose model a name without a provider is, by how its maker calls models."""
    lower = model.lower()
    return next((ours for starts, ours in _MAKERS if lower.startswith(starts)), None)


def why_not(kind: str) -> str:
    """Why a provider is not carried over."""
    if kind in NOT_YET:
        return f"{kind} is no provider of this version"
    return f"there is no provider {kind!r} here: add it as [[providers]], if it speaks a dialect of ours"
