"""The form of our keys."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.identity.keyform import (
    ALPHABET,
    checksum,
    is_storable,
    is_visible,
    make_key,
    make_public_id,
    parse_key,
)

pytestmark = pytest.mark.req("R-AUTH-006")

dice = st.binary(min_size=64, max_size=64).map(lambda seed: lambda count: seed[:count])
prefixes = st.sampled_from(["drg", "2api", "x1"])


@given(dice, prefixes)
def test_a_new_key_has_the_form_and_a_valid_checksum(dice, prefix):
    key = make_key(prefix, dice)
    assert re.fullmatch(prefix + r"_[0-9A-Za-z]{8}_[0-9A-Za-z]{49}", key)
    form = parse_key(key, prefix)
    assert form is not None
    assert form.valid_checksum
    assert form.public_id == key.split("_")[1]
    assert is_storable(key, prefix)


@given(dice, st.data())
def test_one_changed_character_is_no_valid_key(dice, data):
    key = make_key("drg", dice)
    place = data.draw(st.integers(0, len(key) - 1))
    other = data.draw(st.sampled_from(ALPHABET).filter(lambda digit: digit != key[place]))
    form = parse_key(key[:place] + other + key[place + 1 :], "drg")
    assert form is None or not form.valid_checksum


@given(st.text(max_size=80), prefixes)
def test_any_text_is_a_form_or_none(text, prefix):
    form = parse_key(text, prefix)
    assert form is None or text.startswith(f"{prefix}_{form.public_id}_")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "drg_",
        "drg_test",
        make_key("drg")[:-1],
        make_key("drg") + "0",
        make_key("drg").replace("drg_", "drh_"),
        make_key("drg").replace("drg_", "drg-"),
        make_key("drg")[:12] + "-" + make_key("drg")[13:],
        make_key("drg")[:-1] + "é",
        make_key("drg")[:20] + "_" + make_key("drg")[21:],
        make_key("drg")[:20] + "٣" + make_key("drg")[21:],
    ],
)
def test_what_is_nearly_a_key_does_not_have_the_form(text):
    assert parse_key(text, "drg") is None


def test_the_form_depends_on_the_prefix():
    assert parse_key(make_key("2api"), "2api") is not None
    assert parse_key(make_key("2api"), "drg") is None


def test_a_checksum_is_six_digits_of_crc_32():
    assert len(checksum("")) == 6
    assert checksum("") == "000000"
    number = 0
    for digit in checksum("123456789"):
        number = number * 62 + ALPHABET.index(digit)
    assert number == 0xCBF43926  # CRC-32's published check value


def test_two_keys_and_two_public_ids_differ():
    assert len({make_key("drg") for _ in range(200)}) == 200
    assert len({make_public_id() for _ in range(200)}) == 200


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", True),
        ("!~", True),
        ("x" * 256, True),
        ("x" * 257, False),
        ("", False),
        ("with space", False),
        ("tab\there", False),
        ("nul\0", False),
        ("del\x7f", False),
        ("naïve", False),
    ],
)
def test_a_credential_is_visible_ascii(text, expected):
    assert is_visible(text) is expected


def test_a_stored_key_has_8_to_256_characters_and_no_damage():
    assert is_storable("12345678", "drg")
    assert not is_storable("1234567", "drg")
    assert is_storable("x" * 256, "drg")
    assert not is_storable("x" * 257, "drg")
    key = make_key("drg")
    assert not is_storable(key[:-1] + ("0" if key[-1] != "0" else "1"), "drg")
