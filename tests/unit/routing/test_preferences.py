"""OpenRouter's `provider` object is kept towards others, or refused by the name of the member."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.core.errors import CallerError
from dragoman.core.provider import Price
from dragoman.routing.preferences import NO_PREFERENCES, Preferences, read_preferences


@pytest.mark.parametrize(
    ("said", "excluded"),
    [
        (b'{"only": ["OpenAI"]}', None),
        (b'{"only": ["openai/turbo"]}', None),
        (b'{"only": ["groq"]}', "is not in provider.only"),
        (b'{"ignore": ["openai"]}', "is in provider.ignore"),
        (b'{"order": ["groq"]}', None),
        (b'{"order": ["groq"], "allow_fallbacks": false}', "is not in provider.order"),
        (b'{"data_collection": "deny"}', "what it keeps"),
        (b'{"data_collection": "allow"}', None),
        (b'{"zdr": true}', "what it keeps"),
        (b'{"quantizations": ["fp8"]}', "quantization"),
        (b'{"enforce_distillable_text": true}', "distillation"),
        (b"null", None),
    ],
)
def test_who_may_serve(said, excluded) -> None:
    found = read_preferences(said).excludes("openai")
    assert (found is None) == (excluded is None)
    assert excluded is None or excluded in (found or "")


def test_the_order_has_a_place_for_everyone() -> None:
    found = read_preferences(b'{"order": ["groq", "openai"]}')
    assert [found.place(name) for name in ("openai", "groq", "xai")] == [1, 0, 2]


@pytest.mark.parametrize(
    ("said", "strategy"),
    [
        (b'{"sort": "price"}', "cost"),
        (b'{"sort": {"by": "latency", "partition": "none"}}', "latency"),
        (b"{}", None),
    ],
)
def test_sort_is_a_strategy(said, strategy) -> None:
    assert read_preferences(said).strategy == strategy


def test_a_bound_of_the_price_holds_and_what_is_unknown_is_under_none() -> None:
    found = read_preferences(b'{"max_price": {"prompt": 1, "completion": "2", "request": 0}}')
    assert found.too_dear(Price(input=Decimal(1), output=Decimal(2))) is None
    assert "for output" in (found.too_dear(Price(input=Decimal(1), output=Decimal(3))) or "")
    assert "no known price" in (found.too_dear(Price(input=Decimal(1))) or "")
    assert "no known price" in (found.too_dear(None) or "")
    dear = Price(input=Decimal(1), output=Decimal(2), per_request=Decimal(1))
    assert "a request" in (found.too_dear(dear) or "")
    assert read_preferences(b'{"max_price": {"prompt": 1}}').too_dear(Price(Decimal(1))) is None
    assert NO_PREFERENCES.too_dear(None) is None


@pytest.mark.parametrize(
    ("said", "param", "words"),
    [
        (b'{"onyl": []}', "provider", "unknown field `onyl`"),
        (b'{"only": "openai"}', "provider", "Expected `array | null`"),
        (b'{"sort": "speed"}', "provider", "Invalid enum value 'speed'"),
        (b'{"sort": "throughput"}', "provider.sort", "OpenRouter alone"),
        (b'{"max_price": {"prompt": -1}}', "provider.max_price.prompt", "0 or more, not -1"),
        (b'{"max_price": {"image": 1}}', "provider.max_price.image", "leave it out"),
        (b"{", "provider", "not valid JSON"),
        (b"7", "provider", "Expected `object | null`"),
    ],
)
def test_what_cannot_be_kept_is_refused_by_its_name(said, param, words) -> None:
    with pytest.raises(CallerError) as caught:
        read_preferences(said)
    assert (caught.value.status, caught.value.param) == (400, param)
    assert words in caught.value.message


@given(st.none() | st.binary(max_size=40))
def test_any_bytes_are_preferences_or_the_callers_error(said) -> None:
    try:
        found = read_preferences(said)
    except CallerError as error:
        found = error
    assert isinstance(found, Preferences) or found.status == 400
