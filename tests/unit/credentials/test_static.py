"""A key is shown the way its provider reads it, and to nobody else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.catalog.base_url import origin_of
from dragoman.catalog.load import load_providers
from dragoman.core.errors import HouseError
from dragoman.core.provider import Auth, Credential, Provider
from dragoman.core.secret import Secret
from dragoman.credentials.static import header_of


def provider(base: str = "https://h/v1", auth: Auth | None = None) -> Provider:
    return Provider(name="p", family="chat", base_url=base, paths={}, auth=auth or Auth())


def credential(origin: str = "https://h:443") -> Credential:
    return Credential("key-1", Secret("hunter2"), origin)


def test_a_key_is_shown_in_the_providers_own_header() -> None:
    assert header_of(provider(), credential()) == {"authorization": "Bearer hunter2"}
    own = provider(auth=Auth(header="x-api-key", prefix=""))
    assert header_of(own, credential()) == {"x-api-key": "hunter2"}


def test_without_a_key_nothing_is_shown() -> None:
    assert header_of(provider(), None) == {}


def test_a_key_goes_to_its_own_origin_only() -> None:
    for base in ("http://h/v1", "https://evil/v1", "https://h:444/v1", "https://h.evil/v1"):
        with pytest.raises(HouseError) as caught:
            header_of(provider(base), credential())
        assert "hunter2" not in str(caught.value)
    with pytest.raises(HouseError, match="another origin"):
        header_of(provider(), credential(origin=""))


HOSTS = st.sampled_from(["a.example", "b.example", "127.0.0.1"])
BASES = st.builds(
    "{}://{}:{}/v1".format, st.sampled_from(["http", "https"]), HOSTS, st.integers(1, 3)
)


@given(BASES, BASES)
def test_no_pair_of_addresses_lets_a_key_out(own, asked) -> None:
    held = Credential("key-1", Secret("hunter2"), origin_of(own))
    target = provider(asked)
    if own == asked:
        assert header_of(target, held) == {"authorization": "Bearer hunter2"}
    else:
        with pytest.raises(HouseError):
            header_of(target, held)


def test_every_configured_provider_may_be_shown_its_own_keys() -> None:
    env = {
        "OPENAI_API_KEY": "a",
        "ANTHROPIC_API_KEY": "b",
        "ANTHROPIC_BASE_URL": "http://127.0.0.1:9/anthropic",
        "OLLAMA_HOST": "127.0.0.1",
    }
    registry = load_providers(env)
    shown = {
        name: [header_of(item, keyed.credential) for keyed in registry.credentials[name]]
        for name, item in registry.providers.items()
    }
    assert shown == {
        "openai": [{"authorization": "Bearer a"}],
        "openai-responses": [{"authorization": "Bearer a"}],
        "anthropic": [{"x-api-key": "b"}],
        "ollama": [],
    }
