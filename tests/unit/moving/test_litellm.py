"""LiteLLM's config.yaml as a dragoman.toml: what is carried over, what is told, and that no secret is."""

from __future__ import annotations

import tomllib

import pytest

from dragoman.assembly.check import check_file
from dragoman.config.load import TOP_LEVEL, environment
from dragoman.core.errors import CallerError
from dragoman.moving.draft import lay_out
from dragoman.moving.litellm import read_litellm
from dragoman.moving.source import read_source
from dragoman.moving.write import write_config

ALL = (*TOP_LEVEL, "tiers", "budgets")

WHOLE = """
model_list:
  - model_name: gpt-4o
    litellm_params:
      model: openai/gpt-4o
      api_key: os.environ/OPENAI_API_KEY
      rpm: 6
      weight: 2
  - model_name: gpt-4o
    litellm_params:
      model: azure/gpt-4o-eu
      api_base: https://my-endpoint.openai.azure.com/
      api_key: os.environ/AZURE_API_KEY_EU
  - model_name: gpt-4o
    litellm_params:
      model: openrouter/openai/gpt-4o
      api_key: sk-or-v1-abcdefabcdefabcdef
  - model_name: claude
    litellm_params:
      model: anthropic/claude-sonnet-4-5
      api_key: os.environ/ANTHROPIC_API_KEY
  - model_name: local
    litellm_params:
      model: openai/facebook/opt-125m
      api_base: http://gpu:4000/v1
      api_key: none
      input_cost_per_token: 0.0000001
      output_cost_per_token: 2e-7
  - model_name: gemini/*
    litellm_params: {model: gemini/*, api_key: os.environ/GEMINI_API_KEY}
  - model_name: pooled
    litellm_params: {model: groq/llama-3.3-70b-versatile, api_key: os.environ/GROQ_A}
  - model_name: pooled
    litellm_params: {model: groq/llama-3.3-70b-versatile, api_key: os.environ/GROQ_B}
litellm_settings:
  drop_params: true
  num_retries: 3
  request_timeout: 600
  success_callback: [langfuse]
  max_budget: 50.5
  budget_duration: 1d
  cache: true
  cache_params: {type: redis, ttl: 600}
router_settings:
  routing_strategy: least-busy
  model_group_alias: {gpt-4: gpt-4o}
  redis_password: hunter2hunter2
general_settings:
  master_key: sk-1234567890abcdef
  database_url: postgresql://u:topsecret@h/db
environment_variables:
  LANGFUSE_SECRET: topsecret2
"""
SECRETS = ("sk-or-v1-abc", "hunter2", "sk-1234567890", "topsecret")


def draft_of(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return read_litellm(read_source(path))


def laid(tmp_path, text):
    return lay_out(draft_of(tmp_path, text), ALL)


def one(model, more="", name="m"):
    return (
        f"model_list:\n  - model_name: {name}\n    litellm_params:\n      model: {model}\n{more}"
    )


def test_a_whole_configuration_is_carried_over(tmp_path):
    tables = laid(tmp_path, WHOLE).tables
    assert tables["providers"] == [
        {
            "name": "gpu-4000",
            "dialect": "chat",
            "base_url": "http://gpu:4000/v1",
            "models": ["facebook/opt-125m"],
        },
        {"name": "groq", "credentials": [{"key": "${GROQ_A}"}, {"key": "${GROQ_B}"}]},
    ]
    assert tables["aliases"] == {
        "gpt-4": "gpt-4o",
        "claude": "anthropic/claude-sonnet-4-5",
        "local": "gpu-4000/facebook/opt-125m",
        "pooled": "groq/llama-3.3-70b-versatile",
    }
    assert tables["routes"] == {
        "gpt-4o": {
            "strategy": "least-busy",
            "candidates": [
                {"model": "openai/gpt-4o", "weight": 2},
                "openrouter/openai/gpt-4o",
            ],
        }
    }
    assert tables["prices"] == {"gpu-4000/facebook/opt-125m": {"input": "0.1", "output": "0.2"}}
    assert tables["budgets"] == {"everybody": {"daily_usd": "50.5"}}


def test_what_is_not_carried_over_has_its_line_and_a_reason(tmp_path):
    told = {each.place: each.reason for each in laid(tmp_path, WHOLE).missed}
    assert "learnt from its own headers" in told["model_list[0].litellm_params.rpm (line 7)"]
    assert told["model_list[1].litellm_params.model (line 11)"] == (
        "azure is no provider of this version"
    )
    assert "LiteLLM's database" in told["general_settings.database_url (line 50)"]
    assert "litellm_settings.success_callback (line 39)" in told
    assert "router_settings.redis_password (line 47)" in told
    assert "environment_variables.LANGFUSE_SECRET (line 52)" in told


def test_the_variables_and_settings_that_are_needed_are_told(tmp_path):
    draft = draft_of(tmp_path, WHOLE)
    assert set(draft.variables) == {
        "OPENAI_API_KEY",
        "OPENROUTER_API_KEY",
        "ANTHROPIC_API_KEY",
        "GEMINI_API_KEY",
        "GROQ_A",
        "GROQ_B",
        "REDIS_URL",
        "DEFAULT_ADMIN_API_KEY",
    }
    assert draft.settings == {
        "ANSWER_CACHE_TTL_S": "600",
        "ANSWER_CACHE_KEYS": "*",
        "MAX_RETRIES": "3",
        "UPSTREAM_TIMEOUT_MS": "600000",
        "DEFAULT_ADMIN_USER_ID": "admin",
    }


def test_the_file_is_one_that_validate_accepts_and_holds_no_secret(tmp_path, monkeypatch):
    out = tmp_path / "dragoman.toml"
    draft = draft_of(tmp_path, WHOLE)
    written = write_config(draft, "LiteLLM", tmp_path / "config.yaml", out)
    assert written.errors == []
    text = out.read_text()
    for name in draft.variables:
        monkeypatch.setenv(name, "sk-for-the-test-000000000000")
    checked = check_file(text, str(out), environment())
    assert checked.errors == ()
    told = repr((written, draft))
    for secret in SECRETS:
        assert secret not in text
        assert secret not in told
    assert out.stat().st_mode & 0o077 == 0


def test_a_section_that_a_version_does_not_have_is_told(tmp_path):
    found = lay_out(draft_of(tmp_path, WHOLE), ("providers", "aliases", "routes", "prices"))
    assert "budgets" not in found.tables
    assert "budgets.everybody" in {each.place for each in found.missed}


def test_fallbacks_that_go_in_a_circle_are_candidates_in_order(tmp_path):
    text = (
        "model_list:\n"
        "  - {model_name: a, litellm_params: {model: openai/gpt-4o}}\n"
        "  - {model_name: b, litellm_params: {model: anthropic/claude-sonnet-4-5}}\n"
        "router_settings:\n"
        "  fallbacks: [{a: [b]}, {b: [a]}, {a2: [b]}, {b: [nobody]}]\n"
    )
    found = laid(tmp_path, text)
    both = ["openai/gpt-4o", "anthropic/claude-sonnet-4-5"]
    assert found.tables["routes"] == {"a": {"candidates": both}, "b": {"candidates": both[::-1]}}
    places = [each.place for each in found.missed]
    assert "router_settings.fallbacks[2].a2 (line 5)" in places
    assert "router_settings.fallbacks[3].b (line 5)" in places


def test_the_order_of_deployments_is_kept_where_it_is_said(tmp_path):
    text = (
        "model_list:\n"
        "  - {model_name: a, litellm_params: {model: openai/gpt-4o, order: 2}}\n"
        "  - {model_name: a, litellm_params: {model: groq/llama-3.3-70b-versatile, order: 1}}\n"
    )
    assert laid(tmp_path, text).tables["routes"] == {
        "a": {"candidates": ["groq/llama-3.3-70b-versatile", "openai/gpt-4o"]}
    }


def test_keys_that_serve_different_models_stay_apart(tmp_path):
    text = (
        "model_list:\n"
        "  - {model_name: a, litellm_params: {model: openai/gpt-4o, api_key: os.environ/ONE}}\n"
        "  - {model_name: b, litellm_params: {model: openai/gpt-4.1, api_key: os.environ/TWO}}\n"
    )
    found = laid(tmp_path, text)
    assert [row["name"] for row in found.tables["providers"]] == ["openai", "openai-2"]
    assert found.tables["providers"][1]["flavour"] == "openai"
    assert found.tables["aliases"] == {"a": "openai/gpt-4o", "b": "openai-2/gpt-4.1"}
    assert "providers.openai-2" in {each.place for each in found.missed}


def test_a_secret_in_the_file_is_not_called_like_a_variable_of_the_file(tmp_path):
    text = (
        "model_list:\n"
        "  - {model_name: a, litellm_params: {model: openai/gpt-4o, api_key: sk-raw-raw-raw-raw}}\n"
        "  - {model_name: b, litellm_params: {model: openai/gpt-4.1}}\n"
        "  - {model_name: c, litellm_params: {model: groq/x, api_key: sk-raw-2-raw-raw}}\n"
        "  - {model_name: d, litellm_params: {model: groq/y, api_key: os.environ/GROQ_API_KEY}}\n"
    )
    draft = draft_of(tmp_path, text)
    keys = {each.name: each.account.key for each in draft.deployments}
    assert keys == {
        "a": "OPENAI_API_KEY_2",
        "b": "OPENAI_API_KEY",
        "c": "GROQ_API_KEY_2",
        "d": "GROQ_API_KEY",
    }


def test_fallbacks_may_be_one_table(tmp_path):
    text = (
        "model_list:\n"
        "  - {model_name: a, litellm_params: {model: openai/gpt-4o}}\n"
        "  - {model_name: b, litellm_params: {model: groq/x}}\n"
        "router_settings: {fallbacks: {a: [b]}}\n"
    )
    both = ["openai/gpt-4o", "groq/x"]
    assert laid(tmp_path, text).tables["routes"] == {"a": {"candidates": both}}


@pytest.mark.parametrize(
    ("said", "weight"),
    [
        ("2", 2),
        ("0.3", 30),
        ("1.5", 150),
        ("1e12", 1_000_000),
        ("-1", 1),
        (".nan", 1),
        (".inf", 1),
    ],
)
def test_weights_are_whole_numbers_here(tmp_path, said, weight):
    draft = draft_of(tmp_path, one("openai/gpt-4o", f"      weight: {said}\n"))
    assert draft.deployments[0].weight == weight


@pytest.mark.parametrize(
    ("said", "served"),
    [
        ("gpt-4o", "openai/gpt-4o"),
        ("claude-sonnet-4-5", "anthropic/claude-sonnet-4-5"),
        ("gemini/gemini-2.5-pro", "google/gemini-2.5-pro"),
        ("xai/grok-4", "xai/grok-4"),
        ("together_ai/meta-llama/Llama-3", "together/meta-llama/Llama-3"),
        ("openrouter/anthropic/claude-3.5", "openrouter/anthropic/claude-3.5"),
        ("ollama_chat/llama3.2:3b", "ollama/llama3.2:3b"),
    ],
)
def test_models_of_built_in_providers_keep_their_names(tmp_path, said, served):
    assert laid(tmp_path, one(said)).tables["aliases"] == {"m": served}


@pytest.mark.parametrize(
    "said", ["bedrock/anthropic.claude-v2", "vertex_ai/gemini-pro", "my-model"]
)
def test_what_has_no_provider_is_told_and_nothing_is_made_of_it(tmp_path, said):
    found = laid(tmp_path, one(said))
    assert found.tables == {"format": 1}
    assert found.missed[0].place == "model_list[0].litellm_params.model (line 4)"


@pytest.mark.parametrize(
    "base", ["http://user:pw-secret@gpu/v1", "https://gpu/v1?api-key=pw-secret", "gpu:8000"]
)
def test_an_address_that_may_hold_a_secret_is_not_carried_over(tmp_path, base):
    found = laid(tmp_path, one("openai/x", f"      api_base: {base}\n"))
    assert found.tables == {"format": 1}
    assert "pw-secret" not in repr(found)
    assert found.missed[0].place.startswith("model_list[0].litellm_params.api_base")


def test_an_address_from_the_environment_stays_there(tmp_path):
    more = "      api_base: os.environ/VLLM_BASE\n      api_key: os.environ/VLLM_KEY\n"
    draft = draft_of(tmp_path, one("hosted_vllm/llama", more))
    found = lay_out(draft, ALL)
    assert found.tables["providers"] == [
        {
            "name": "vllm",
            "dialect": "chat",
            "base_url": "${VLLM_BASE}",
            "credentials": [{"key": "${VLLM_KEY}"}],
            "models": ["llama"],
        }
    ]
    assert set(draft.variables) == {"VLLM_BASE", "VLLM_KEY"}
    out = tmp_path / "x.toml"
    assert write_config(draft, "LiteLLM", tmp_path / "c", out).errors == []


def test_a_thirty_day_budget_is_a_months_and_says_so(tmp_path):
    found = laid(
        tmp_path, one("gpt-4o") + "litellm_settings: {max_budget: 100, budget_duration: 30d}\n"
    )
    assert found.tables["budgets"] == {"everybody": {"monthly_usd": "100"}}
    assert any("calendar" in each.reason for each in found.missed)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[]", "no model_list"),
        ("just words", "no model_list"),
        ("a: [1", "is no YAML"),
        ("a: !!python/object/apply:os.system [echo]", "is no YAML"),
        ("", "no model_list"),
    ],
)
def test_what_is_no_configuration_is_refused(tmp_path, text, told):
    with pytest.raises(CallerError, match=told):
        draft_of(tmp_path, text)


def test_values_of_any_type_are_told_and_never_break(tmp_path):
    text = (
        "model_list:\n  - 7\n  - {model_name: [x], litellm_params: 3}\n"
        "  - {model_name: a, litellm_params: {model: gpt-4o, weight: many, input_cost_per_token: dear}}\n"
        "router_settings: {fallbacks: [1, {a: b}], model_group_alias: {x: 1}, num_retries: often}\n"
        "litellm_settings: {max_budget: [], cache_params: 3}\n7: 8\n"
    )
    found = laid(tmp_path, text)
    assert found.tables["aliases"] == {"a": "openai/gpt-4o"}
    assert len(found.missed) >= 8


def test_a_file_that_stands_for_billions_is_refused(tmp_path):
    levels = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]\n" for n in range(1, 9))
    with pytest.raises(CallerError, match="more than"):
        draft_of(tmp_path, f"l0: &l0 [x]\n{levels}model_list: []\n")


def test_the_toml_is_what_was_laid_out(tmp_path):
    from dragoman.moving.toml_text import toml_text

    tables = {
        "format": 1,
        "aliases": {'ün"i\\': "a/b\n\x7f\ud800", "x.y": ["a", "b"]},
        "routes": {
            "a b": {"candidates": [{"model": "m", "weight": 2}, "n"], "on": True, "f": 0.5}
        },
        "providers": [{"name": "p", "headers": {}}, {"name": "q"}],
    }
    text = toml_text(tables, ("a\nb", ""))
    read = tomllib.loads(text)
    assert read == {**tables, "aliases": {'ün"i\\': "a/b\n\x7f?", "x.y": ["a", "b"]}}
    assert text.startswith("# a b\n#\n\nformat = 1\n")
