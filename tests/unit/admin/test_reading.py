"""Bodies of the admin API: JSON of one meaning, or a refusal that says why (D8, I1, I2)."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.admin.reading import DEEPEST, read_body
from dragoman.core.errors import CallerError

JSON = "application/json"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"name":"a","name":"b"}', "name is there twice"),
        (b'{"a":{"b":1,"b":1}}', "b is there twice"),
        (b'[{"x":1,"y":2,"x":3}]', "x is there twice"),
        (b'{"a\\u0062":1,"ab":2}', "ab is there twice"),
        (b'{"a":NaN}', "NaN"),
        (b'{"a":Infinity}', "Infinity"),
        (b'{"a":-Infinity}', "Infinity"),
        (b'{"a":1e999}', "too large"),
        (b'{"a":-1e999}', "too large"),
        (b'{"a":' + b"1" * 5000 + b"}", "too many digits"),
        (b'{"a":"\\ud800"}', "half a character"),
        (b'{"\\udfff":1}', "half a character"),
        (b"[" * 200_000, "nested too deeply"),
        (b"[" * (DEEPEST + 2) + b"]" * (DEEPEST + 2), "nested too deeply"),
        (b'{"a":1', "character"),
        (b"", "character"),
        (b"\xff\xfe", "UTF-8"),
        (b'{"a":1}x', "character"),
    ],
)
def test_what_has_no_one_meaning_is_refused(body, said):
    with pytest.raises(CallerError, match=said) as error:
        read_body(body, JSON)
    assert (error.value.status, error.value.code) == (400, "invalid_json")


def test_the_member_that_is_there_twice_is_named_in_plain_characters():
    with pytest.raises(CallerError) as error:
        read_body('{"\u202eé":1,"\u202eé":2}'.encode(), JSON)
    assert error.value.param == "\\u202e\\xe9"


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "json"])
def test_another_content_type_is_refused(kind):
    """A page of another origin can send these without being asked (W1)."""
    with pytest.raises(CallerError) as error:
        read_body(b"{}", kind)
    assert (error.value.status, error.value.code) == (415, "unsupported_media_type")


def test_a_charset_beside_the_type_is_no_matter():
    assert read_body(b'{"a":[1,2.5,null,true]}', "Application/JSON; charset=utf-8") == {
        "a": [1, 2.5, None, True]
    }


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inside: (
        st.lists(inside, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inside, max_size=3)
    ),
    max_leaves=20,
)


@given(VALUES)
def test_every_plain_value_is_read_as_it_was_written(value):
    assert read_body(json.dumps(value).encode(), JSON) == value


@given(st.binary(max_size=60))
def test_any_bytes_are_a_value_or_a_refusal(data):
    try:
        value = read_body(data, JSON)
    except CallerError:
        return
    assert read_body(json.dumps(value).encode(), JSON) == value
