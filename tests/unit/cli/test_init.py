"""The first ``.env`` file: enough for production, private, and never written over another."""

import json
import stat

import pytest
from cryptography.fernet import Fernet

from dragoman.config.first_file import production_file
from dragoman.config.load import load_settings
from dragoman.config.settings import ConfigError, check_serving

pytestmark = pytest.mark.req("R-SEC-002", "R-SEC-004")


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("MODE", "DATABASE_URL", "FERNET_KEY", "CORS_ALLOW_ORIGINS"):
        monkeypatch.delenv(name, raising=False)


def test_production_starts_with_what_it_writes(dragoman, tmp_path):
    code, out, err = dragoman("init", "--prod", "--origin", "https://a.example")
    assert code == 0, err
    assert "dragoman serve" in out
    settings = load_settings()
    check_serving(settings)
    assert settings.mode == "prod"
    assert settings.cors_allow_origins == ["https://a.example"]
    key = settings.fernet_key.get_secret_value()
    assert key not in out
    Fernet(key)
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600


def test_each_installation_has_a_key_of_its_own(dragoman, tmp_path):
    for name in ("one", "two"):
        assert dragoman("init", "--prod", "--file", name)[0] == 0
    keys = [load_settings(env_file=tmp_path / name).fernet_key for name in ("one", "two")]
    assert keys[0] != keys[1]


def test_a_file_that_is_there_is_left_as_it_is(dragoman, tmp_path):
    (tmp_path / ".env").write_text("MODE=test\n")
    code, _, err = dragoman("init", "--prod")
    assert code == 1
    assert "never overwritten" in err
    assert (tmp_path / ".env").read_text() == "MODE=test\n"


def test_a_link_to_nowhere_is_not_followed(dragoman, tmp_path):
    (tmp_path / ".env").symlink_to(tmp_path / "elsewhere")
    assert dragoman("init")[0] == 1
    assert not (tmp_path / "elsewhere").exists()


def test_without_prod_it_is_for_one_machine_and_json_is_for_programs(dragoman):
    code, out, _ = dragoman("init", "--json")
    told = json.loads(out)
    assert (code, told["file"], told["mode"], told["keys"]["written"]) == (
        0,
        ".env",
        "local",
        True,
    )
    check_serving(load_settings())


@pytest.mark.parametrize(
    "origin",
    ["*", "https://*.example", "app.example", "https://a.example/path", "ftp://a", "https://"],
)
def test_what_is_no_origin_is_refused_by_name(origin):
    with pytest.raises(ConfigError, match="no web origin"):
        production_file("sqlite:///x.db", [origin], "k")
