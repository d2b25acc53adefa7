"""Portkey's configs, new-api's channels and AnyGPT's folder as a dragoman.toml."""

from __future__ import annotations

import json

import pytest

from dragoman.assembly.check import check_file
from dragoman.config.load import TOP_LEVEL, environment
from dragoman.core.errors import CallerError
from dragoman.moving.anygpt import read_anygpt
from dragoman.moving.draft import lay_out
from dragoman.moving.new_api import read_new_api
from dragoman.moving.portkey import read_portkey
from dragoman.moving.source import Source
from dragoman.moving.write import write_config

ALL = (*TOP_LEVEL, "tiers", "budgets")
SECRET = "sk-secret-0123456789abcdef"


def portkey(config, name="main"):
    return read_portkey(Source(config), name)


def places(found):
    return {each.place: each.reason for each in found.missed}


def assert_accepted(draft, tmp_path, monkeypatch):
    """`dragoman config validate` has nothing to say, and no secret is in the file."""
    out = tmp_path / "dragoman.toml"
    written = write_config(draft, "it", tmp_path / "x", out)
    assert written.errors == []
    text = out.read_text()
    assert SECRET not in text
    assert SECRET not in repr(written)
    for name in draft.variables:
        monkeypatch.setenv(name, "sk-for-the-test-000000000000")
    assert check_file(text, str(out), environment()).errors == ()


# --------------------------------------------------------------------------- Portkey


def test_balanced_targets_are_a_weighted_route(tmp_path, monkeypatch):
    draft = portkey(
        {
            "strategy": {"mode": "loadbalance"},
            "targets": [
                {
                    "provider": "openai",
                    "api_key": SECRET,
                    "weight": 0.7,
                    "override_params": {"model": "gpt-4o", "temperature": 0},
                },
                {
                    "virtual_key": "anthropic-prod",
                    "weight": 0.3,
                    "override_params": {"model": "claude-sonnet-4-5"},
                },
            ],
            "retry": {"attempts": 4, "on_status_codes": [429]},
            "cache": {"mode": "simple", "max_age": 90},
            "request_timeout": 9000,
            "input_guardrails": ["x"],
        }
    )
    assert_accepted(draft, tmp_path, monkeypatch)
    found = lay_out(draft, ALL)
    assert found.tables["routes"] == {
        "main": {
            "strategy": "weighted",
            "candidates": [
                {"model": "openai/gpt-4o", "weight": 70},
                {"model": "anthropic/claude-sonnet-4-5", "weight": 30},
            ],
        }
    }
    assert set(draft.variables) == {"OPENAI_API_KEY", "ANTHROPIC_PROD_API_KEY"}
    assert draft.settings == {
        "MAX_RETRIES": "4",
        "UPSTREAM_TIMEOUT_MS": "9000",
        "ANSWER_CACHE_TTL_S": "90",
        "ANSWER_CACHE_KEYS": "*",
    }
    assert set(places(found)) == {
        "targets[0].override_params.temperature",
        "retry.on_status_codes",
        "input_guardrails",
    }


def test_fallbacks_go_in_order_and_trees_are_laid_flat():
    found = lay_out(
        portkey(
            {
                "strategy": {"mode": "fallback", "on_status_codes": [429]},
                "targets": [
                    {"provider": "@openai-prod", "override_params": {"model": "gpt-4o"}},
                    {
                        "strategy": {"mode": "loadbalance"},
                        "targets": [
                            {"provider": "groq", "override_params": {"model": "a"}},
                            {"override_params": {"model": "@mistral-eu/b"}, "provider": "@x"},
                        ],
                    },
                ],
            }
        ),
        ALL,
    )
    assert found.tables["routes"] == {
        "main": {"candidates": ["openai/gpt-4o", "groq/a", "mistral/b"]}
    }
    assert set(places(found)) == {"strategy.on_status_codes", "targets[1]"}


def test_a_target_without_a_model_is_a_provider_and_is_told():
    found = lay_out(portkey({"provider": "deepseek", "api_key": "{{DEEPSEEK_API_KEY}}"}), ALL)
    assert found.tables == {"format": 1}  # its variable switches it on
    assert "any model" in places(found)[""]


def test_a_host_of_ones_own_is_a_provider_of_ones_own():
    found = lay_out(
        portkey(
            {
                "provider": "openai",
                "custom_host": "http://gpu:8000/v1",
                "api_key": "x" * 20,
                "override_params": {"model": "llama"},
            }
        ),
        ALL,
    )
    assert found.tables["providers"][0]["base_url"] == "http://gpu:8000/v1"
    assert found.tables["aliases"] == {"main": "gpu-8000/llama"}


def test_a_config_may_be_wrapped_and_spelled_in_humps():
    config = {
        "strategy": {"mode": "fallback"},
        "targets": [
            {"virtualKey": "openai-main", "overrideParams": {"model": "gpt-4o"}},
            {"provider": "groq", "apiKey": SECRET, "overrideParams": {"model": "x"}},
        ],
        "requestTimeout": 5000,
    }
    draft = portkey({"success": True, "data": {"config": config}})
    assert lay_out(draft, ALL).tables["routes"] == {
        "main": {"candidates": ["openai/gpt-4o", "groq/x"]}
    }
    assert draft.settings == {"UPSTREAM_TIMEOUT_MS": "5000"}
    assert SECRET not in repr(draft)


@pytest.mark.parametrize("host", ["http://gpu:99999/v1", "http://[bad", "ftp://gpu/v1"])
def test_an_address_that_no_start_would_take_is_told(host):
    found = lay_out(portkey({"provider": "openai", "custom_host": host}), ALL)
    assert found.tables == {"format": 1}
    assert set(places(found)) == {"custom_host"}


def test_several_configs_are_several_names():
    config = {"provider": "openai", "override_params": {"model": "gpt-4o"}}
    found = lay_out(
        portkey([{"name": "a", "config": config}, {"slug": "pc-b", "config": config}]), ALL
    )
    assert found.tables["aliases"] == {"a": "openai/gpt-4o", "pc-b": "openai/gpt-4o"}


def test_what_is_no_config_is_refused_or_told():
    with pytest.raises(CallerError, match="no config of Portkey's"):
        portkey([])
    for data in ({}, None, 7):
        assert places(lay_out(portkey(data), ALL)) == {
            "": "a target needs a provider or a virtual_key"
        }


def test_what_has_no_provider_is_told_with_its_place():
    found = lay_out(
        portkey(
            {
                "strategy": {"mode": "conditional", "conditions": []},
                "targets": [
                    {"provider": "bedrock", "override_params": {"model": "x"}},
                    {"weight": 1},
                    {"provider": "openai", "custom_host": "https://u:p@h/v1"},
                    7,
                ],
            }
        ),
        ALL,
    )
    assert set(places(found)) == {
        "strategy.conditions",
        "strategy.mode",
        "targets[0].provider",
        "targets[1]",
        "targets[2].custom_host",
        "targets[3]",
    }


# --------------------------------------------------------------------------- new-api


def channel(**members):
    return {"id": 1, "name": "c", "status": 1, "group": "default", **members}


def test_channels_become_keys_and_routes(tmp_path, monkeypatch):
    draft = read_new_api(
        Source(
            {
                "success": True,
                "data": {
                    "items": [
                        channel(type=1, key=SECRET, models="gpt-4o,gpt-4.1", priority=10),
                        channel(
                            type=20,
                            key="sk-or-one\nsk-or-two",
                            models="gpt-4o",
                            model_mapping='{"gpt-4o": "openai/gpt-4o"}',
                            used_quota=7,
                        ),
                        channel(type=3, key="x", models="gpt-4o", base_url="https://x.azure.com"),
                        channel(type=14, key="k", models="claude-sonnet-4-5", status=2),
                        channel(type=8, name="My GPU", base_url="http://gpu:1/v1", models="llama"),
                        channel(type=48, id=9, models="grok-4", group="vip", tag="t"),
                    ]
                },
            }
        )
    )
    assert_accepted(draft, tmp_path, monkeypatch)
    found = lay_out(draft, ALL)
    assert found.tables["routes"] == {
        "gpt-4o": {"candidates": ["openai/gpt-4o", "openrouter/openai/gpt-4o"]}
    }
    assert found.tables["aliases"] == {
        "gpt-4.1": "openai/gpt-4.1",
        "llama": "gpu-1/llama",
        "grok-4": "xai/grok-4",
    }
    rows = {row["name"]: row for row in found.tables["providers"]}
    assert rows["openrouter"]["credentials"] == [
        {"key": "${OPENROUTER_API_KEY}"},
        {"key": "${OPENROUTER_API_KEY_2}"},
    ]
    assert rows["gpu-1"]["credentials"] == [{"key": "${MY_GPU_API_KEY}"}]
    assert set(places(found)) == {
        "data.items[2].type",
        "data.items[3].status",
        "data.items[5].group",
        "data.items[5].tag",
    }


def test_a_custom_channels_whole_address_is_brought_to_its_base(tmp_path, monkeypatch):
    whole = "http://gpu:1/api/v1/chat/completions"
    draft = read_new_api(
        Source(
            [
                channel(type=8, name="gpu", base_url=whole, models="llama"),
                channel(type=40, name="sf", base_url="https://sf.example/v1/", models="qwen"),
            ]
        )
    )
    assert_accepted(draft, tmp_path, monkeypatch)
    rows = lay_out(draft, ALL).tables["providers"]
    assert [row["base_url"] for row in rows] == ["http://gpu:1/api/v1", "https://sf.example/v1"]


def test_one_priority_is_balanced_by_weights():
    found = lay_out(
        read_new_api(
            Source(
                [
                    channel(type=1, key="a", models="m", weight=3),
                    channel(type=43, key="b", models="m", weight=1),
                ]
            )
        ),
        ALL,
    )
    assert found.tables["routes"]["m"] == {
        "strategy": "weighted",
        "candidates": [{"model": "openai/m", "weight": 3}, "deepseek/m"],
    }


def test_the_numbers_of_one_api_are_its_own():
    for flavour, served in (("one-api", "groq/m"), ("new-api", None)):
        found = lay_out(
            read_new_api(Source([channel(type=29, key="a", models="m")]), flavour), ALL
        )
        assert found.tables.get("aliases", {}).get("m") == served


@pytest.mark.parametrize("data", [[], {}, "x", {"data": {"items": []}}])
def test_a_file_without_channels_is_refused(data):
    with pytest.raises(CallerError, match="holds no channels"):
        read_new_api(Source(data))


# --------------------------------------------------------------------------- AnyGPT


def state(**members):
    return {"id": "m", "token_generation_speed": 1, "response_times": [], "errors": 0, **members}


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "data"
    place.mkdir()
    (place / "providers.json").write_text(
        json.dumps(
            [
                {
                    "id": "openai-a",
                    "apiKey": SECRET,
                    "provider_url": "https://api.openai.com/v1/chat/completions",
                    "models": {"gpt-4o": state(), "old": state(disabled=True)},
                },
                {
                    "id": "mine",
                    "apiKey": "k" * 20,
                    "provider_url": "https://llm.example.com/v1/chat/completions",
                    "models": {"gpt-4o": state(), "llama": state()},
                    "provider_score": 50,
                    "colour": "red",
                },
                {"id": "off", "provider_url": "https://x.example", "disabled": True, "models": {}},
            ]
        )
    )
    (place / "tiers.json").write_text(
        json.dumps(
            {"free": {"rps": 30, "rpm": 1500, "rpd": 25000, "max_tokens": None, "colour": 1}}
        )
    )
    (place / "keys.json").write_text(json.dumps({"raw-key": {"userId": "u"}}))
    return place


@pytest.mark.req("R-STOR-009", "R-TIER-002")
def test_anygpts_providers_and_tiers_are_carried_over(folder, tmp_path, monkeypatch):
    draft = read_anygpt(folder)
    assert_accepted(draft, tmp_path, monkeypatch)
    found = lay_out(draft, ALL)
    assert found.tables["providers"] == [
        {
            "name": "mine",
            "dialect": "chat",
            "base_url": "https://llm.example.com/v1",
            "credentials": [{"key": "${MINE_API_KEY}"}],
            "models": ["gpt-4o", "llama"],
        }
    ]
    assert found.tables["routes"] == {
        "gpt-4o": {"strategy": "weighted", "candidates": ["openai/gpt-4o", "mine/gpt-4o"]}
    }
    assert found.tables["tiers"] == {"free": {"rps": 30, "rpm": 1500, "rpd": 25000}}
    assert set(places(found)) == {
        "providers.json[0].models.old",
        "providers.json[1].colour",
        "providers.json[2].disabled",
        "tiers.json.free.colour",
        "keys.json",
    }


def test_a_folder_without_its_files_is_refused(tmp_path):
    with pytest.raises(CallerError, match="holds neither"):
        read_anygpt(tmp_path)
