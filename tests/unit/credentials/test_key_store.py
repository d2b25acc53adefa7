"""A user's own keys: one file for their eyes alone, changed line by line, or the system's keyring."""

import json
import stat
import sys

import keyring
import pytest
from dotenv import dotenv_values
from hypothesis import given
from hypothesis import strategies as st
from keyring.backends import fail, null

from dragoman.catalog.files import definitions
from dragoman.config.load import environment
from dragoman.config.settings import ConfigError
from dragoman.core.errors import HouseError
from dragoman.credentials.key_store import FileKeys, RingKeys, open_store, stored, template
from file_ring import BrokenRing, FileRing

pytestmark = pytest.mark.req("R-CRED-001", "R-CRED-002", "R-CRED-004")

KEY = "sk-or-v1-0123456789abcdef0123456789abcdef"


@pytest.fixture
def keys(tmp_path):
    return FileKeys(tmp_path / "secrets")


def test_a_template_names_every_provider_and_is_never_written_over(keys):
    text = template(definitions().values())
    assert "#OPENROUTER_API_KEY=\n" in text
    assert "# openrouter: begins with sk-or-v1-" in text
    assert keys.make(text)
    keys.put("OPENAI_API_KEY", "sk-mine")
    assert not keys.make(text)
    assert keys.all() == {"OPENAI_API_KEY": "sk-mine"}


def test_a_key_takes_the_templates_place_and_every_other_line_stays(keys):
    keys.make("# mine\n#OPENAI_API_KEY=\n\nexport GROQ_API_KEY='gsk'  # a note\nODD=1")
    keys.put("OPENAI_API_KEY", "sk-1")
    keys.put("XAI_API_KEY", "xai-1")
    keys.put("OPENAI_API_KEY", "sk-2")
    assert keys.path.read_text() == (
        "# mine\nOPENAI_API_KEY=sk-2\n\nexport GROQ_API_KEY='gsk'  # a note\nODD=1\nXAI_API_KEY=xai-1\n"
    )
    assert keys.get("GROQ_API_KEY") == "gsk"
    assert (keys.remove("GROQ_API_KEY"), keys.remove("GROQ_API_KEY")) == (True, False)
    assert keys.get("GROQ_API_KEY") is None
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=60))
def test_what_is_put_is_got_by_every_reader_of_such_files(tmp_path_factory, value):
    keys = FileKeys(tmp_path_factory.mktemp("keys"))
    keys.put("A_KEY", value)
    assert keys.get("A_KEY") == value
    assert dotenv_values(keys.path, interpolate=False)["A_KEY"] == value


@pytest.mark.parametrize("value", ["", "a b", "a\nB=c", "clé", "a\x00"])
def test_what_is_no_key_is_not_put(keys, value):
    with pytest.raises(HouseError, match="visible ASCII"):
        keys.put("A_KEY", value)
    assert not keys.path.exists()


def test_a_line_that_cannot_be_read_is_told_without_a_word_of_it(keys):
    keys.make("A=1\nsk-hidden and more\n")
    with pytest.raises(HouseError, match="line 2, cannot be read") as caught:
        keys.all()
    assert "hidden" not in caught.value.message


def test_what_is_stored_is_the_lowest_layer_of_the_environment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DRAGOMAN_SECRETS", str(tmp_path / "s"))
    for name in ("OPENAI_API_KEY", "GROQ_API_KEY", "XAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    keys = FileKeys(tmp_path / "s")
    for name in ("OPENAI_API_KEY", "GROQ_API_KEY", "XAI_API_KEY", "PATH", "MODE"):
        keys.put(name, "stored")
    (tmp_path / ".env").write_text("GROQ_API_KEY=near\nXAI_API_KEY=near\n")
    monkeypatch.setenv("XAI_API_KEY", "exported")
    env = environment(None)
    assert [env[f"{name}_API_KEY"] for name in ("OPENAI", "GROQ", "XAI")] == [
        "stored",
        "near",
        "exported",
    ]
    assert env["PATH"] != "stored"
    assert env.get("MODE") != "stored", "only keys are taken from it"
    (tmp_path / "s" / ".env").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        environment(None)


def test_a_folder_that_nobody_has_made_is_not_made_by_looking(tmp_path):
    assert stored(open_store("file", tmp_path / "none"), ["A"]) == {}
    assert not (tmp_path / "none").exists()


@pytest.fixture
def ring(tmp_path, monkeypatch):
    """The library itself, with a keyring of the tests'."""
    before = keyring.get_keyring()
    monkeypatch.setenv("FILE_RING", str(tmp_path / "ring.json"))
    keyring.set_keyring(FileRing())
    yield tmp_path / "ring.json"
    keyring.set_keyring(before)


def test_the_systems_keyring_by_choice(ring, tmp_path, monkeypatch):
    (folder := tmp_path / "empty").mkdir()
    monkeypatch.chdir(folder)
    keys = open_store("keyring", folder)
    assert isinstance(keys, RingKeys)
    keys.put("OPENAI_API_KEY", KEY)
    assert json.loads(ring.read_text()) == {"dragoman/OPENAI_API_KEY": KEY}
    monkeypatch.setenv("CREDENTIAL_STORE", "keyring")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert environment(None)["OPENAI_API_KEY"] == KEY
    assert (keys.remove("OPENAI_API_KEY"), keys.remove("OPENAI_API_KEY")) == (True, False)
    ring.with_suffix(".locked").touch()
    with pytest.raises(
        HouseError, match=r"KeyringLocked.*unlock it, or set CREDENTIAL_STORE=file"
    ):
        keys.get("OPENAI_API_KEY")
    assert not list(folder.iterdir()), "nothing is written beside it"


@pytest.mark.parametrize(
    ("backend", "told"),
    [
        (fail.Keyring, "NoKeyringError"),
        (null.Keyring, "it keeps nothing"),
        (BrokenRing, "OSError"),
    ],
)
def test_a_keyring_that_keeps_nothing_is_told_and_nothing_is_lost_in_it(ring, backend, told):
    """``fail`` stands where a system has none, ``null`` where somebody has switched it off."""
    keyring.set_keyring(backend())
    with pytest.raises(HouseError, match=rf"\({told}\): unlock it, or set CREDENTIAL_STORE=file"):
        RingKeys().put("OPENAI_API_KEY", KEY)


def test_without_the_extra_the_command_that_installs_it_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(HouseError, match=r"pip install 'dragoman\[keyring\]'"):
        RingKeys()
