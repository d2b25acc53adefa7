"""A provider's key for programs: one function, each look noted by its place, and never with the key."""

from __future__ import annotations

import logging

import pytest

from dragoman.core.errors import HouseError
from dragoman.library.keys import get_api_key

pytestmark = pytest.mark.req("R-AUTH-011", "R-ADD-001")

IN_ENV = f"sk-or-v1-{'e' * 40}"
FILE = """
[[providers]]
name = "keyless"
dialect = "chat"
base_url = "http://h/v1"
[[providers]]
name = "corp-vllm"
dialect = "chat"
base_url = "http://h/v1"
credentials = [{ key_file = "KEY" }]
"""


def test_keys_are_looked_up_one_way_and_noted_by_their_place_alone(tmp_path, monkeypatch, caplog):
    (tmp_path / "key").write_text("vllm-canary-0123456789\n")
    (tmp_path / "dragoman.toml").write_text(FILE.replace("KEY", str(tmp_path / "key")))
    monkeypatch.chdir(tmp_path)
    for name, value in (
        ("MODE", "local"),
        ("DRAGOMAN_CONFIG", str(tmp_path / "dragoman.toml")),
        ("DRAGOMAN_HOME", str(tmp_path / "home")),
        ("DRAGOMAN_SECRETS", str(tmp_path / "secrets")),
        ("OPENROUTER_API_KEY", IN_ENV),
        ("GROQ_API_KEY", "canary-groq"),
        ("OPENAI_COMPATIBLE_API_KEY", "of-another-provider"),
    ):
        monkeypatch.setenv(name, value)
    with caplog.at_level(logging.INFO, "dragoman.library"):
        assert get_api_key("corp-vllm") == "vllm-canary-0123456789"
        assert get_api_key() == IN_ENV
        assert get_api_key("groq") == "canary-groq"
        with pytest.raises(HouseError, match="no key of keyless: say credentials in"):
            get_api_key("keyless")
    lines = [record.getMessage() for record in caplog.records]
    assert [line.partition(" form=")[0] for line in lines] == [
        "key_access: provider=corp-vllm place=configuration file",
        "key_access: provider=openrouter place=OPENROUTER_API_KEY",
        "key_access: provider=groq place=GROQ_API_KEY",
        "key_access: provider=keyless place=none",
    ]
    assert "canary" not in "".join(lines)
