"""A base address means one place, however it is written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.catalog.base_url import clean_base, host_as_base, origin_of
from dragoman.catalog.schema import CatalogError


@pytest.mark.parametrize(
    ("said", "paths", "meant"),
    [
        (
            "https://api.openai.com/v1/",
            ("/chat/completions", "/models"),
            "https://api.openai.com/v1",
        ),
        ("https://api.anthropic.com", ("/v1/messages",), "https://api.anthropic.com"),
        (
            "https://api.anthropic.com/v1/",
            ("/v1/messages", "/v1/models"),
            "https://api.anthropic.com",
        ),
        (
            "https://api.groq.com/openai/v1",
            ("/openai/v1/chat/completions",),
            "https://api.groq.com",
        ),
        ("http://127.0.0.1:9/groq", ("/openai/v1/chat/completions",), "http://127.0.0.1:9/groq"),
        ("http://127.0.0.1:9/openai/v1", ("/chat/completions",), "http://127.0.0.1:9/openai/v1"),
        ("http://h/chat", ("/chat/completions",), "http://h/chat"),
        (" http://h/v1 ", (), "http://h/v1"),
    ],
)
def test_a_base_is_brought_into_the_form_that_paths_are_appended_to(said, paths, meant) -> None:
    assert clean_base(said, paths, "X_BASE_URL") == meant


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("", "must be an absolute http or https URL"),
        ("api.example.com/v1", "must be an absolute http or https URL"),
        ("ftp://h/v1", "must be an absolute http or https URL"),
        ("https://user:pw@h/v1", "must not hold a user"),
        ("https://h/v1?x=1", "must not hold a user, a query"),
        ("https://h:port/v1", "is not a valid URL"),
        ("https://h/v 1", "must not hold blanks"),
    ],
)
def test_a_base_that_is_no_address_is_refused_by_the_name_of_who_said_it(said, why) -> None:
    with pytest.raises(CatalogError, match=why) as caught:
        clean_base(said, ("/v1/x",), "X_BASE_URL")
    assert caught.value.message.startswith("X_BASE_URL ")
    assert "pw" not in caught.value.message


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("127.0.0.1", "http://127.0.0.1:11434"),
        (":8080", "http://127.0.0.1:8080"),
        ("0.0.0.0:11434", "http://127.0.0.1:11434"),
        ("box:8080/ollama/", "http://box:8080/ollama"),
        ("[::1]:99", "http://[::1]:99"),
        ("[::]", "http://127.0.0.1:11434"),
        ("https://ollama.example.com/", "https://ollama.example.com"),
    ],
)
def test_a_host_without_a_scheme_is_an_address_too(said, meant) -> None:
    assert host_as_base(said) == meant


def test_an_origin_is_scheme_host_and_port() -> None:
    assert origin_of("https://API.example.com/v1") == "https://api.example.com:443"
    assert origin_of("http://h/v1") == "http://h:80"
    assert origin_of("http://h:81/v1") == "http://h:81"
    assert origin_of("stub://local") == "stub://local:0"


@given(st.text(max_size=60))
def test_any_text_is_a_base_or_a_refusal(text) -> None:
    try:
        base = clean_base(host_as_base(text), ("/v1/messages",), "X")
    except CatalogError:
        return
    assert base.startswith(("http://", "https://"))
    assert not base.endswith("/")
