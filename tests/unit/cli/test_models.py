import json

import pytest

pytestmark = pytest.mark.req("R-CLI-006")


def listed(dragoman, *more):
    code, out, _ = dragoman("models", "--json", *more)
    assert code == 0
    return json.loads(out)["models"]


def test_without_a_key_the_stubs_models_are_there_and_a_word_on_keys(dragoman):
    assert [each["id"] for each in listed(dragoman)] == [
        "openai/gpt-4o-mini",
        "openai/text-embedding-3-small",
    ]
    assert "OPENAI_API_KEY" in dragoman("models")[1]


def test_a_configured_providers_models_have_sizes_and_prices(dragoman, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-" + "x" * 40)
    rows = listed(dragoman, "--provider", "openai")
    assert {row["provider"] for row in rows} == {"openai"}
    known = next(row for row in rows if row["id"] == "openai/gpt-4o-mini")
    assert known["configured"] is True
    assert (float(known["input_usd"]), float(known["output_usd"])) == (0.15, 0.6)
    out = dragoman("models", "--provider", "openai")[1]
    assert "0.15" in out
    assert "No provider" not in out


def test_all_lists_providers_without_a_key_as_well(dragoman, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-" + "x" * 40)
    rows = listed(dragoman, "--all")
    assert {"openai", "anthropic", "groq"} <= {row["provider"] for row in rows}
    assert {row["configured"] for row in rows if row["provider"] == "anthropic"} == {False}
    claude = listed(dragoman, "--all", "--provider", "anthropic")
    assert all(row["id"].startswith("anthropic/claude") for row in claude)
    assert "(no key)" in dragoman("models", "--all", "--provider", "anthropic")[1]


@pytest.mark.parametrize(
    ("provider", "words"),
    [
        ("nobody", "Known: anthropic"),
        ("anthropic", "ANTHROPIC_API_KEY"),
        ("ollama", "OLLAMA_"),
    ],
)
def test_a_provider_that_is_not_there_is_told_with_what_to_do(dragoman, provider, words):
    code, _, err = dragoman("models", "--provider", provider)
    assert code == 1
    assert words in err


def test_a_wrong_address_is_told_in_a_sentence(dragoman, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-" + "x" * 40)
    monkeypatch.setenv("OPENAI_BASE_URL", "ftp://nowhere")
    code, _, err = dragoman("models")
    assert code == 1
    assert "OPENAI_BASE_URL" in err


def test_keys_are_read_from_the_env_file_too(dragoman, clean):
    (clean / "my.env").write_text(f"OPENAI_API_KEY=sk-{'x' * 40}\n")
    assert len(listed(dragoman, "--env-file", "my.env")) > 5


def test_the_state_names_who_is_configured(dragoman, monkeypatch):
    def state():
        told = json.loads(dragoman("--json")[1])["commands"]
        return next(each["status"] for each in told if each["name"] == "models")

    assert state() == "ready; no provider is configured"
    monkeypatch.setenv("OPENAI_API_KEY", "sk-" + "x" * 40)
    assert state() == "ready; openai configured"


def test_aliases_and_providers_without_a_bundled_list_are_there_as_well(
    dragoman, clean, monkeypatch
):
    (clean / "dragoman.toml").write_text('[aliases]\nfast = ["ollama/llama3", "openai/gpt-4o"]\n')
    monkeypatch.setenv("OLLAMA_BASE_URL", "http://127.0.0.1:11434/v1")
    told = json.loads(dragoman("models", "--json")[1])
    assert [row["id"] for row in told["models"]] == ["fast"]
    assert told["models"][0]["provider"] == "alias"
    assert told["unlisted"] == ["ollama"]
    out = dragoman("models")[1]
    assert "→ ollama/llama3, openai/gpt-4o" in out
    assert "ollama: no bundled list; ask for ollama/any-id" in out
    monkeypatch.setenv("OPENAI_API_KEY", "sk-" + "x" * 40)
    only = json.loads(dragoman("models", "--provider", "openai", "--json")[1])
    assert only["unlisted"] == []
    assert {row["provider"] for row in only["models"]} == {"openai"}
