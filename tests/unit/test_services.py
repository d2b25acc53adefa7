"""Where ports meet implementations."""

import asyncio
from decimal import Decimal

import pytest

from dragoman.assembly.registry import identity_mode, open_registry
from dragoman.config.settings import ConfigError, Settings
from dragoman.services import open_services
from dragoman.stores import open_keys
from dragoman.transport.direct_client import DirectTransport


def settings(tmp_path, **members):
    return Settings(**{"mode": "local", "dragoman_home": tmp_path / "home", **members})


ENV = {"OPENAI_API_KEY": "sk-0123456789012345678901234567890123456789"}


@pytest.mark.req("R-PROV-010")
def test_providers_come_from_the_environment_and_the_file(tmp_path):
    key = tmp_path / "key"
    key.write_text("secret-key-1\n")
    registry = open_registry(
        settings(
            tmp_path,
            providers=[
                {
                    "name": "corp",
                    "dialect": "chat",
                    "base_url": "http://10.0.0.7:8000/v1",
                    "credentials": [{"key_file": str(key), "weight": 2}],
                }
            ],
            aliases={"fast": "corp/llama"},
            prices={
                "corp/llama": {"input": "0.10", "output": 0.2, "effective_from": "2026-01-01"}
            },
        ),
        ENV,
    )
    assert {"openai", "corp"} <= set(registry.providers)
    assert registry.credentials["corp"][0].credential.secret.reveal() == "secret-key-1"
    price = registry.price("corp", "llama", 0)
    assert price is not None
    assert (price.input, price.output) == (Decimal("0.10"), Decimal("0.2"))
    assert "stub" not in registry.providers


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"providers": [{"name": "x", "colour": "red"}]}, "colour"),
        ({"providers": [{"name": "x", "credentials": [{"key_file": "/no/such"}]}]}, "key_file"),
        ({"providers": [{"name": "x", "credentials": "none"}]}, "credentials"),
        ({"prices": {"a/b": {"inptu": "1"}}}, "inptu"),
        ({"prices": {"a/b": {"input": "dear"}}}, "numbers as strings"),
        ({"aliases": {"a": "b", "b": "a"}}, "circle"),
    ],
)
def test_a_wrong_row_is_named(tmp_path, members, says):
    with pytest.raises(ConfigError, match=says):
        open_registry(settings(tmp_path, **members), ENV)


@pytest.mark.req("R-PROV-009", "R-SEC-003")
def test_the_stub_serves_where_nobody_else_does_and_where_it_is_told_to(tmp_path):
    assert "stub" in open_registry(settings(tmp_path), {}).providers
    assert "stub" in open_registry(settings(tmp_path, mode="test"), {}).providers
    assert "stub" not in open_registry(settings(tmp_path, mode="prod"), {}).providers
    assert "stub" not in open_registry(settings(tmp_path, use_stub_adapters=False), {}).providers
    assert "stub" in open_registry(settings(tmp_path, use_stub_adapters=True), ENV).providers


@pytest.mark.parametrize(
    ("mode", "host", "env", "accepts"),
    [
        ("prod", "127.0.0.1", ENV, "stored"),
        ("test", "127.0.0.1", {}, "stored"),
        ("local", "127.0.0.1", ENV, "wellformed"),
        ("local", "::1", ENV, "wellformed"),
        ("local", "0.0.0.0", {}, "wellformed"),
        ("local", "0.0.0.0", ENV, "listed"),
    ],
)
def test_any_key_passes_only_where_nobody_else_can_come(tmp_path, mode, host, env, accepts):
    given = settings(tmp_path, mode=mode, host=host)
    assert identity_mode(given, open_registry(given, env)).accepts == accepts


@pytest.mark.req("R-AUTH-004")
def test_the_configured_admin_is_made_once_and_never_overwritten(tmp_path):
    given = settings(
        tmp_path, default_admin_user_id="root", default_admin_api_key="my-own-admin-key"
    )

    async def story():
        for _ in range(2):
            async with open_services(given, {}) as services:
                assert services.first_admin_key is None
        async with open_keys(given) as keys:
            return await keys.list()

    listed = asyncio.run(story())
    assert [(key.user_id, key.role) for key in listed] == [("root", "admin")]


def test_services_open_without_any_connection_and_close(tmp_path, monkeypatch):
    monkeypatch.setattr(DirectTransport, "send", None)

    async def story():
        async with open_services(settings(tmp_path), ENV) as services:
            assert services.first_admin_key is not None
            assert services.house.registry.providers
        async with open_services(settings(tmp_path), ENV) as services:
            assert services.first_admin_key is None

    asyncio.run(story())


def test_a_price_is_looked_up_by_the_exact_id(tmp_path):
    registry = open_registry(settings(tmp_path), ENV)
    assert registry.price("openai", "gpt-4o", 1_760_000_000) is not None
    assert registry.price("openai", "gpt-4o--x12", 1_760_000_000) is None


@pytest.mark.parametrize(
    ("members", "told"),
    [
        (
            {"providers": [{"name": "corp", "dialect": "opnai", "base_url": "http://h"}]},
            r"^my\.toml: \[\[providers\]\] corp: there is no dialect 'opnai'; say one of anthropic, chat(?:, \w+)*\.",
        ),
        (
            {"providers": [{"nam": "corp"}]},
            r"^my\.toml: \[\[providers\]\]: unknown member 'nam'",
        ),
        ({"aliases": {"fast": "opnai/x"}}, r"^my\.toml: The alias 'fast' names 'opnai/x'"),
    ],
)
def test_a_mistake_in_the_file_is_told_with_its_place(tmp_path, monkeypatch, members, told):
    monkeypatch.setenv("DRAGOMAN_CONFIG", "my.toml")
    with pytest.raises(ConfigError, match=told):
        open_registry(settings(tmp_path, **members), {})


def test_a_wrong_key_is_not_laid_at_the_files_door(tmp_path):
    with pytest.raises(ConfigError, match=r"^OPENAI_API_KEY must be"):
        open_registry(settings(tmp_path), {"OPENAI_API_KEY": "a b"})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"routes": {"r": {"candidates": []}}}, "[routes.r] must name at least one model"),
        ({"routes": {"r": {"candidates": ["x/y"]}}}, "there is no provider 'x'"),
        ({"quality": {"m": "high"}}, "[quality]: the rank of m"),
    ],
)
def test_a_wrong_route_or_rank_is_told_with_its_file(settings, said):
    with pytest.raises(ConfigError) as caught:
        open_registry(Settings(mode="local", **settings), {"OPENAI_API_KEY": "k"})
    assert caught.value.message.startswith("dragoman.toml: ")
    assert said in caught.value.message
