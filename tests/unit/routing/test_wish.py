"""A caller's wish is understood or refused."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.core.ask import read_ask
from dragoman.core.errors import CallerError
from dragoman.routing.wish import ATTEMPTS, NONE, Wish, parse_wish, with_attempts


@pytest.mark.req("R-ADD-032")
@pytest.mark.parametrize(
    ("routing", "models", "wish"),
    [
        (None, None, NONE),
        (b"null", b"null", NONE),
        (b"{}", None, NONE),
        (b'{"max_attempts": 1}', None, Wish(max_attempts=1)),
        (b'{"fallback": ["a/b", "c"]}', None, Wish(fallback=("a/b", "c"))),
        (None, b'["a", "b"]', Wish(listed=("a", "b"))),
        (b'{"hedge": true}', None, Wish(hedge=True)),
        (b'{"hedge": false}', None, Wish(hedge=False)),
        (b'{"strategy": "least-busy"}', None, Wish(strategy="least-busy")),
        (
            b'{"max_latency_ms": 1500, "max_cost": "0.01"}',
            None,
            Wish(max_latency_s=1.5, max_cost=Decimal("0.01")),
        ),
        (b'{"fallback": ["c"], "max_attempts": 3}', b'["a"]', Wish(3, ("c",), ("a",))),
        (b'{"fallback": null, "max_attempts": null, "strategy": null}', None, NONE),
    ],
)
def test_what_is_said_is_read(routing, models, wish) -> None:
    assert parse_wish(routing, models) == wish


@pytest.mark.parametrize(
    ("routing", "models", "param", "said"),
    [
        (b'{"max_attempt": 1}', None, "routing", "unknown field `max_attempt`"),
        (b'{"hedge": "yes"}', None, "routing", "Expected `bool | null`"),
        (b'{"max_attempts": "1"}', None, "routing", "Expected `int | null`"),
        (b'{"max_attempts": 0}', None, "routing.max_attempts", "between 1 and 10, not 0"),
        (b'{"max_attempts": 11}', None, "routing.max_attempts", "between 1 and 10, not 11"),
        (b'{"fallback": "a"}', None, "routing", "Expected `array | null`"),
        (b"[]", None, "routing", "Expected `object | null`"),
        (b"{", None, "routing", "routing is not valid JSON"),
        (None, b'"a"', "models", "Expected `array | null`"),
        (None, b"[1]", "models", "Expected `str`"),
        (None, b"[" + b",".join([b'"a"'] * 17) + b"]", "models", "17 models"),
        (
            b'{"fallback": [' + b",".join([b'"a"'] * 17) + b"]}",
            None,
            "routing.fallback",
            "17 models",
        ),
        (b'{"strategy": "costs"}', None, "routing.strategy", "did you mean cost?"),
        (b'{"strategy": "zzzzz"}', None, "routing.strategy", "say one of cost, latency"),
        (b'{"max_latency_ms": 0}', None, "routing.max_latency_ms", "more than 0, not 0"),
        (b'{"max_cost": "-1"}', None, "routing.max_cost", "more than 0, not -1"),
        (b'{"max_cost": "nan"}', None, "routing.max_cost", "more than 0, not NaN"),
    ],
)
def test_what_is_not_understood_is_refused_by_its_name(routing, models, param, said) -> None:
    with pytest.raises(CallerError) as caught:
        parse_wish(routing, models)
    assert caught.value.status == 400
    assert caught.value.param == param
    assert said in caught.value.message


@given(st.binary(max_size=40), st.none() | st.binary(max_size=40))
def test_any_bytes_are_a_wish_or_the_callers_error(routing, models) -> None:
    try:
        found = parse_wish(routing, models)
    except CallerError as error:
        found = error
    assert isinstance(found, Wish) or found.status == 400


@pytest.mark.parametrize(
    ("routing", "tries"),
    [
        (b"", 3),
        (b', "routing": null', 3),
        (b', "routing": {"strategy": "cost"}', 3),
        (b', "routing": {"max_attempts": 1}', 1),
    ],
)
def test_a_header_says_how_many_tries_unless_the_body_does(routing, tries) -> None:
    ask = read_ask(b'{"model": "openai/a"' + routing + b"}")
    said = with_attempts(ask, {ATTEMPTS: " 3 "})
    wish = parse_wish(said.members["routing"])
    assert wish.max_attempts == tries
    assert (wish.strategy == "cost") == (b"cost" in routing)
    assert with_attempts(ask, {}) is ask


@pytest.mark.parametrize("said", ["0", "11", "soon", "-1", "1.0", "", "²", "9" * 5000])
def test_a_header_that_is_no_number_of_tries_is_refused_by_its_name(said) -> None:
    with pytest.raises(CallerError) as caught:
        with_attempts(read_ask(b'{"model": "openai/a"}'), {ATTEMPTS: said})
    assert caught.value.param == ATTEMPTS
    assert len(caught.value.message) < 120


def test_a_routing_that_cannot_be_read_is_left_to_its_reader() -> None:
    ask = read_ask(b'{"model": "openai/a", "routing": 7}')
    with pytest.raises(CallerError) as caught:
        parse_wish(with_attempts(ask, {ATTEMPTS: "2"}).members["routing"])
    assert caught.value.param == "routing"
