"""Money, ids, clocks, secrets, losses and the top level of a request."""

import os
import uuid
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.core.ask import read_ask
from dragoman.core.call import Proof
from dragoman.core.clock import ManualClock, SystemClock
from dragoman.core.errors import STATUS, CallerError, UpstreamError
from dragoman.core.ids import MANY, REQUEST_ID, Ids, uuid7
from dragoman.core.loss import Loss, header
from dragoman.core.money import from_pico, plain, to_pico
from dragoman.core.secret import Secret

AMOUNTS = st.decimals(0, 10**6, places=12, allow_nan=False, allow_infinity=False)


@given(AMOUNTS)
def test_money_at_rest_comes_back_to_the_last_digit(amount):
    assert from_pico(to_pico(amount)) == amount


@pytest.mark.parametrize(
    ("usd", "pico"), [("0.0000000000005", 0), ("0.0000000000015", 2), ("1", 10**12)]
)
def test_half_a_unit_is_rounded_to_even(usd, pico):
    assert to_pico(Decimal(usd)) == pico


def test_money_on_the_wire_has_no_exponent_and_no_tail():
    assert plain(Decimal("1E-7")) == "0.0000001"
    assert plain(Decimal("2.500")) == "2.5"
    assert plain(Decimal("-0.0")) == "0"
    assert plain(Decimal(100)) == "100"


@given(st.floats(0, 10**11), st.binary(min_size=10, max_size=10))
def test_ids_are_uuids_of_version_seven(wall, noise):
    made = uuid.UUID(uuid7(wall, lambda n: noise[:n]))
    assert made.version == 7
    assert made.variant == uuid.RFC_4122
    assert made.int >> 80 == int(wall * 1000) & (1 << 48) - 1


@given(st.lists(st.floats(0, 10**11), min_size=1, max_size=2 * MANY))
def test_ids_drawn_together_are_uuids_of_their_own_moments(walls):
    moments = iter(walls)
    maker = Ids(lambda: next(moments), os.urandom)
    made = [maker.new() for _ in walls]
    assert len(set(made)) == len(made)
    for text, wall in zip(made, walls, strict=True):
        one = uuid.UUID(text)
        assert text == str(one)
        assert (one.version, one.variant) == (7, uuid.RFC_4122)
        assert one.int >> 80 == int(wall * 1000) & (1 << 48) - 1


def test_all_random_bits_of_ids_are_random():
    maker = Ids(lambda: 0.0, os.urandom)
    numbers = [uuid.UUID(maker.new()).int for _ in range(4 * MANY)]
    ever, always = 0, (1 << 128) - 1
    for number in numbers:
        ever, always = ever | number, always & number
    assert (ever, always) == (0x0FFF_BFFF_FFFF_FFFF_FFFF | 0x7 << 76, 0x7 << 76 | 0x8 << 60)


def test_a_forked_process_draws_its_own_ids():
    noise = iter([b"\x01" * (10 * MANY), b"\x02" * (10 * MANY)])
    maker = Ids(lambda: 0.0, lambda _: next(noise))
    one = maker.new()
    maker.forget()
    assert maker.new() != one


def test_a_request_id_is_taken_only_if_all_of_it_is_harmless():
    assert REQUEST_ID.fullmatch("my-id_1:2.3")
    assert not REQUEST_ID.fullmatch("a b")
    assert not REQUEST_ID.fullmatch("a\r\nb")
    assert not REQUEST_ID.fullmatch("x" * 129)


def test_a_secret_never_prints_itself():
    secret = Secret("sk-hidden")
    assert "hidden" not in f"{secret} {secret!r} {[secret]}"
    assert secret.reveal() == "sk-hidden"
    assert secret == Secret("sk-hidden")
    assert secret != "sk-hidden"
    assert len({secret, Secret("sk-hidden")}) == 1
    assert secret
    assert not Secret("")
    assert "sk-hidden" not in repr(Proof("sk-hidden", "x-api-key"))


def test_a_manual_clock_moves_only_by_hand():
    clock = ManualClock(1, 2)
    clock.advance(3)
    assert (clock.monotonic(), clock.wall()) == (4, 5)
    assert SystemClock.monotonic() <= SystemClock.monotonic()


@pytest.mark.pitfall(145)
def test_losses_in_a_header_are_plain_ascii():
    losses = (Loss("messages[0].naïve", "no, such\nslot"), Loss("top_k", "unknown there"))
    text = header(losses)
    assert text.isascii()
    assert "\n" not in text
    assert text.split(", ")[1] == "top_k;action=dropped;reason=unknown%20there"


def test_a_long_list_of_losses_ends_with_its_count():
    text = header(tuple(Loss(f"m[{n}]", "x") for n in range(500)), limit=200)
    assert len(text) < 260
    assert "more;count=" in text


def test_the_top_level_is_read_and_nested_values_stay_as_they_are():
    ask = read_ask(b'{"model":"openai/x","stream":null,"messages":[ {"a":1.0} ]}')
    assert (ask.model, ask.stream) == ("openai/x", False)
    assert bytes(ask.members["messages"]) == b'[ {"a":1.0} ]'
    assert read_ask(b'{"model":"m","stream":true}').stream


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty"),
        (b"  ", "empty"),
        (b"[1]", "must be a JSON object"),
        (b"{", "not valid JSON"),
        (b'{"model": NaN}', "not valid JSON"),
        (b"{}", "names no model"),
        (b'{"model":null}', "names no model"),
        (b'{"model":""}', "model is empty"),
        (b'{"model":7}', "model must be a string, not a number"),
        (b'{"model":[]}', "not an array"),
        (b'{"model":{}}', "not an object"),
        (b'{"model":true}', "not a boolean"),
        (b'{"model":"m","stream":"yes"}', "stream must be true or false, not a string"),
        (b'{"model":' + b"[" * 100_000, "nested too deeply"),
        (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        ('{"model":"\udce4"}'.encode("utf-8", "surrogateescape"), "not valid JSON"),
    ],
)
def test_a_malformed_request_is_refused_in_one_sentence(body, says):
    with pytest.raises(CallerError, match=says) as caught:
        read_ask(body)
    assert caught.value.status == 400


@given(st.binary(max_size=60))
def test_any_bytes_are_an_ask_or_a_clear_refusal(body):
    with suppress(CallerError):
        assert read_ask(body).model


def test_every_kind_of_error_has_a_status_and_shows_itself():
    assert set(STATUS.values()) <= set(range(400, 600))
    error = UpstreamError("overloaded", "busy", upstream_status=529, sent="maybe")
    assert (error.status, error.upstream_status, error.sent) == (503, 529, "maybe")
    assert repr(error) == "UpstreamError('overloaded', 503, 'busy')"
