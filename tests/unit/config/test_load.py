"""Settings: where they come from, and what is refused."""

from pathlib import Path

import pytest

from dragoman.config.folders import default_home
from dragoman.config.load import doubtful_names, environment, load_settings, read_config_file
from dragoman.config.settings import ConfigError, check_serving

FERNET = "ZmVybmV0LWtleS1vZi10aGlydHktdHdvLWJ5dGVzISE="


@pytest.fixture(autouse=True)
def clean(monkeypatch, tmp_path):
    for name in ("MODE", "PORT", "HOST", "DATABASE_URL", "FERNET_KEY", "CORS_ALLOW_ORIGINS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DRAGOMAN_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


@pytest.mark.req("R-ENV-001", "R-ENV-015")
def test_a_flag_beats_the_environment_the_env_file_the_toml_and_the_default(tmp_path, monkeypatch):
    assert load_settings().port == 8000
    (tmp_path / "dragoman.toml").write_text("format = 1\n[server]\nport = 8001\nhost = '::1'\n")
    assert load_settings().port == 8001
    (tmp_path / ".env").write_text("PORT=8002\nMODE=local\n")
    assert load_settings().port == 8002
    monkeypatch.setenv("PORT", "8003")
    assert load_settings().port == 8003
    settings = load_settings({"port": 8004, "host": None})
    assert (settings.port, settings.host, settings.mode) == (8004, "::1", "local")


@pytest.mark.req("R-ENV-014")
def test_bind_host_goes_before_host_where_both_are_said_and_a_flag_before_both(
    tmp_path, monkeypatch
):
    monkeypatch.delenv("BIND_HOST", raising=False)
    (tmp_path / "dragoman.toml").write_text("format = 1\n[server]\nhost = '::1'\n")
    (tmp_path / ".env").write_text("BIND_HOST=127.0.0.2\nHOST=127.0.0.3\n")
    assert load_settings().host == "127.0.0.2"
    monkeypatch.setenv("BIND_HOST", "")
    monkeypatch.setenv("HOST", "127.0.0.4")
    assert load_settings().host == "127.0.0.4", "the environment goes before the file"
    monkeypatch.setenv("BIND_HOST", "0.0.0.0")
    assert load_settings().host == "0.0.0.0"
    assert load_settings({"host": "127.0.0.5"}).host == "127.0.0.5"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("10.0.0.1,proxy.internal", "'proxy.internal' is neither an IP address nor a network"),
        ("10.0.0.1/8", "say 10.0.0.0/8"),
        ("10.0.0.0/33", "'10.0.0.0/33' is neither"),
    ],
)
def test_a_trusted_proxy_that_is_no_network_is_refused(monkeypatch, said, told):
    monkeypatch.setenv("TRUSTED_PROXIES", said)
    with pytest.raises(ConfigError) as error:
        load_settings()
    assert "TRUSTED_PROXIES" in error.value.message
    assert told in error.value.message


def test_trusted_proxies_are_addresses_and_networks(monkeypatch):
    assert load_settings().trusted_proxies == []
    monkeypatch.setenv("TRUSTED_PROXIES", "10.0.0.0/8, ::1,192.0.2.7")
    assert load_settings().trusted_proxies == ["10.0.0.0/8", "::1", "192.0.2.7"]


@pytest.mark.req("R-SEC-001")
@pytest.mark.parametrize(
    ("said", "meant"), [("local", "local"), ("PRODUCTION", "prod"), ("Test", "test")]
)
def test_a_mode_is_one_of_three(monkeypatch, said, meant):
    monkeypatch.setenv("MODE", said)
    assert load_settings().mode == meant


def test_nothing_said_is_prod():
    assert load_settings().mode == "prod"


@pytest.mark.req("R-ENV-011", "R-ENV-012")
def test_what_is_unset_is_as_the_requirements_say():
    settings = load_settings()
    assert (settings.usage_buffer_size, settings.usage_flush_interval) == (100, 5.0)
    assert settings.otel_console_export is False
    assert not settings.otel_exporter_otlp_endpoint


@pytest.mark.req("R-SEC-001", "R-ENV-012", "R-ENV-015")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MODE", "fast"),
        ("PORT", "http"),
        ("PORT", "70000"),
        ("WORKERS", "0"),
        ("LOG_LEVEL", "loud"),
        ("USAGE_BUFFER_SIZE", "none"),
        ("USAGE_FLUSH_INTERVAL", "-17"),
        ("OTEL_CONSOLE_EXPORT", "perhaps"),
    ],
)
def test_a_bad_value_is_named_and_not_shown(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=name) as caught:
        load_settings()
    assert value not in str(caught.value).replace("'http'", "")


def test_a_secret_that_is_too_short_is_told_in_characters(monkeypatch):
    monkeypatch.setenv("DEFAULT_ADMIN_API_KEY", "sk-1234")
    with pytest.raises(ConfigError) as caught:
        load_settings()
    told = "DEFAULT_ADMIN_API_KEY: it has to have at least 8 characters"
    assert str(caught.value).endswith(told)


def test_an_env_file_that_is_asked_for_must_be_there(tmp_path):
    with pytest.raises(ConfigError, match=r"nope\.env"):
        load_settings(env_file=tmp_path / "nope.env")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("format = 2", "format must be 1"),
        ("format = ", "not valid TOML"),
        ("[sever]\nport = 1", "did you mean 'server'"),
        ("[server]\npart = 1", "did you mean 'port'"),
        ("zzz = 1", "known: format"),
        ('[aliases]\nfast = "${NOT_SET_ANYWHERE}"', "NOT_SET_ANYWHERE"),
    ],
)
def test_a_bad_file_is_refused_with_the_nearest_name(tmp_path, text, says):
    (tmp_path / "dragoman.toml").write_text(text)
    with pytest.raises(ConfigError, match=says):
        load_settings()


def test_a_line_of_the_env_file_that_is_none_is_refused_with_its_place_and_not_shown(tmp_path):
    (tmp_path / ".env").write_text("PORT=8002\n=sk-secret nonsense\n")
    with pytest.raises(ConfigError, match=r"\.env, line 2, cannot be read") as caught:
        load_settings()
    assert "sk-secret" not in str(caught.value)
    (tmp_path / ".env").write_bytes(b"PORT=\xff\n")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_settings()


def test_a_name_that_is_almost_one_of_ours_is_told_and_others_are_left_alone(tmp_path):
    (tmp_path / "my.env").write_text(
        "OPENAI_API_KY=x\nLOG_LEVLE=info\nPORT=1\nDJANGO_DEBUG=1\nopenai_api_ky=x\n"
    )
    first, second = doubtful_names(tmp_path / "my.env")
    assert first.endswith(
        "says OPENAI_API_KY, which means nothing here; did you mean OPENAI_API_KEY?"
    )
    assert second.endswith("did you mean LOG_LEVEL?")
    assert str(tmp_path / "my.env") in first
    assert doubtful_names() == []


def test_secrets_in_the_file_come_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("VLLM_KEY", "k-123")
    (tmp_path / "dragoman.toml").write_text(
        '[[providers]]\nname = "corp"\ncredentials = [{ key = "${VLLM_KEY}", weight = 2 }]\n'
        '[aliases]\nfast = "corp/llama"\n[prices."corp/llama"]\ninput = "0.10"\n'
    )
    settings = load_settings()
    assert settings.providers[0]["credentials"] == [{"key": "k-123", "weight": 2}]
    assert settings.aliases == {"fast": "corp/llama"}
    assert settings.prices["corp/llama"] == {"input": "0.10"}
    assert read_config_file(tmp_path / "nowhere.toml") == {}


def test_providers_keys_are_read_from_the_env_file_below_the_environment(tmp_path, monkeypatch):
    (tmp_path / ".env").write_text("GROQ_API_KEY=from-file\nXAI_API_KEY=\nOPENAI_API_KEY=file\n")
    monkeypatch.setenv("OPENAI_API_KEY", "env")
    found = environment()
    assert found["GROQ_API_KEY"] == "from-file"
    assert found["OPENAI_API_KEY"] == "env"
    assert "XAI_API_KEY" not in found


def prod(monkeypatch, **changed):
    full = {
        "DATABASE_URL": "sqlite:///x.db",
        "FERNET_KEY": FERNET,
        "CORS_ALLOW_ORIGINS": "https://app.example",
    }
    for name, value in {**full, **changed}.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    return load_settings()


@pytest.mark.req("R-SEC-002", "R-SEC-003", "R-TEST-014", "R-ENV-010")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", None),
        ("FERNET_KEY", None),
        ("CORS_ALLOW_ORIGINS", None),
        ("CORS_ALLOW_ORIGINS", "https://a.example,*"),
        ("CORS_ALLOW_ORIGINS", "a.example"),
        ("CORS_ALLOW_ORIGINS", "https://a.example/"),
        ("CORS_ALLOW_ORIGINS", "https://b.example,https://A.example"),
        ("USE_STUB_ADAPTERS", "true"),
    ],
)
def test_production_refuses_to_start_half_configured_and_says_how(monkeypatch, name, value):
    with pytest.raises(ConfigError, match=name) as caught:
        check_serving(prod(monkeypatch, **{name: value}))
    assert "dragoman serve --local" in str(caught.value)
    assert FERNET not in str(caught.value)


@pytest.mark.req("R-SEC-002")
@pytest.mark.parametrize(
    "said", ["https://a.example", "http://localhost:3000,http://[::1]:8080", "app://obsidian.md"]
)
def test_production_takes_every_origin_that_a_browser_may_say(monkeypatch, said):
    check_serving(prod(monkeypatch, CORS_ALLOW_ORIGINS=said))


@pytest.mark.req("R-SEC-003")
def test_strict_local_guards_refuse_like_production():
    with pytest.raises(ConfigError, match="STRICT_LOCAL_GUARDS"):
        check_serving(load_settings({"mode": "local", "strict_local_guards": True}))


@pytest.mark.req("R-AUTH-004", "R-ENV-004")
@pytest.mark.parametrize("mode", ["prod", "local"])
def test_a_default_admin_has_a_name_and_a_key_that_can_be_stored(monkeypatch, mode):
    monkeypatch.setenv("DEFAULT_ADMIN_API_KEY", "long-enough")
    with pytest.raises(ConfigError, match="DEFAULT_ADMIN_USER_ID"):
        check_serving(prod(monkeypatch, MODE=mode))
    monkeypatch.setenv("DEFAULT_ADMIN_USER_ID", "root")
    check_serving(prod(monkeypatch, MODE=mode))
    with pytest.raises(ConfigError, match="DEFAULT_ADMIN_API_KEY") as caught:
        prod(monkeypatch, MODE=mode, DEFAULT_ADMIN_API_KEY="sk-1234")
    assert "sk-1234" not in str(caught.value)


def test_production_starts_when_all_is_said_and_local_needs_nothing(monkeypatch):
    check_serving(prod(monkeypatch))
    check_serving(load_settings({"mode": "local"}))


def test_the_defaults_that_follow_from_others(monkeypatch, tmp_path):
    settings = load_settings({"mode": "local"})
    assert settings.database == f"sqlite:///{tmp_path / 'home' / 'dragoman.db'}"
    assert settings.level == "debug"
    assert load_settings().level == "info"
    assert settings.first_event_timeout_s == 600
    monkeypatch.setenv("UPSTREAM_TIMEOUT_MS", "1500")
    assert load_settings().first_event_timeout_s == 1.5
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert default_home() in {
        Path("/data/dragoman"),
        Path.home() / "Library" / "Application Support" / "dragoman",
    }


@pytest.mark.req("R-ENV-012", "R-ADD-029")
def test_the_ledgers_batches_and_the_times_of_streams_have_the_defaults_that_were_decided():
    settings = load_settings()
    assert (settings.usage_buffer_size, settings.usage_flush_interval) == (100, 5.0)
    times = (
        settings.connect_timeout_ms,
        settings.first_event_timeout_ms,
        settings.stream_idle_timeout_ms,
    )
    assert times == (3_000, 600_000, 120_000)


def test_secrets_do_not_show_in_the_settings(monkeypatch):
    assert FERNET not in repr(prod(monkeypatch))
