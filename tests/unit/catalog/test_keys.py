"""What is said of a key that does not look like its provider's: a warning, never the key."""

import pytest

from dragoman.catalog.files import definitions
from dragoman.catalog.keys import diagnose_key

pytestmark = pytest.mark.req("R-ADD-008", "R-PROV-011")


@pytest.mark.parametrize(
    ("name", "env", "said"),
    [
        ("openrouter", {}, "openrouter: no key; it is looked for in OPENROUTER_API_KEY."),
        ("google", {}, "google: no key; it is looked for in GEMINI_API_KEY or GOOGLE_API_KEY."),
        (
            "openrouter",
            {"OPENROUTER_API_KEY": "sk-hunter2"},
            "openrouter: the key in OPENROUTER_API_KEY has the wrong prefix; its keys begin with sk-or-v1-.",
        ),
        (
            "anthropic",
            {"ANTHROPIC_API_KEY": "sk-ant-hunter2"},
            "anthropic: the key in ANTHROPIC_API_KEY is too short; its keys have at least 40 characters.",
        ),
        (
            "openai",
            {"OPENAI_API_KEY": f"sk-{'x' * 40},sk-short"},
            "openai: the key in OPENAI_API_KEY is too short; its keys have at least 40 characters.",
        ),
        (
            "mistral",
            {"MISTRAL_API_KEY": "short"},
            "mistral: the key in MISTRAL_API_KEY is too short; its keys have at least 10 characters.",
        ),
        ("openai", {"OPENAI_API_KEY": f"sk-{'x' * 40},"}, None),
        ("ollama", {}, None),
        ("openai-compatible", {}, None),
    ],
)
def test_the_sentence_names_the_fault_and_the_place_and_not_the_key(name, env, said) -> None:
    found = diagnose_key(definitions()[name], env)
    assert found == said
    assert "hunter2" not in str(found)
