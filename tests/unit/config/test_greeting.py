"""What is said on stdout once the server is ready."""

import io
import sys

import pytest

from dragoman.config.greeting import greeting, say_greeting
from dragoman.config.settings import Settings


def test_it_says_where_in_which_mode_with_what_and_where_the_state_is(tmp_path):
    settings = Settings(mode="local", dragoman_home=tmp_path)
    assert greeting(settings, 8471, 1, ["openai", "groq"]) == (
        "✅ Server ready: http://127.0.0.1:8471\n"
        "   mode: local, 1 worker\n"
        "   providers: openai, groq\n"
        f"   state: {tmp_path}\n"
    )


def test_several_workers_and_an_address_of_the_newer_kind():
    text = greeting(Settings(mode="prod", host="::1"), 80, 3, ["openai"])
    assert "http://[::1]:80\n" in text
    assert "prod, 3 workers" in text


@pytest.mark.parametrize(
    ("said", "providers", "told"),
    [
        ({"mode": "local"}, [], "the built-in stub answers; set a provider's key"),
        ({"mode": "local", "use_stub_adapters": True}, [], "providers: the built-in stub\n"),
        (
            {"mode": "local", "use_stub_adapters": True},
            ["groq"],
            "groq, and the built-in stub\n",
        ),
        ({"mode": "local", "use_stub_adapters": False}, [], "none is configured"),
        ({"mode": "prod"}, [], "none is configured"),
    ],
)
def test_it_says_whether_the_stub_answers(said, providers, told):
    assert told in greeting(Settings(**said), 1, 1, providers)


def test_of_several_workers_one_says_it(tmp_path, capsys):
    for _ in range(3):
        say_greeting("ready\n", tmp_path)
    assert capsys.readouterr().out == "ready\n"
    say_greeting("alone\n", None)
    assert capsys.readouterr().out == "alone\n"


def test_a_terminal_without_the_sign_is_no_reason_to_fail(monkeypatch):
    plain = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", plain)
    say_greeting("✅ ready\n", None)
    assert plain.buffer.getvalue() == b"? ready\n"
