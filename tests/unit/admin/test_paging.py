"""Pages: nothing twice, nothing lost, and a cursor that nobody gave is a refusal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from dragoman.admin.paging import Asked, Strict, page_of, place_of, said_wrong
from dragoman.core.errors import CallerError

NAMES = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=8
)
"""No database takes a NUL."""


@given(st.sets(NAMES), st.integers(1, 7))
def test_pages_hold_every_row_once_and_in_order(names, limit):
    rows, seen, cursor = sorted(names), [], None
    while True:
        after = place_of(cursor, str) or ""
        page = page_of([row for row in rows if row > after], limit, str, str)
        seen += page.data
        cursor = page.next_cursor
        assert page.has_more == (cursor is not None)
        if cursor is None:
            break
        assert len(page.data) == limit
    assert seen == rows


@pytest.mark.parametrize("cursor", ["", "x", "!!!!", "bnVsbA", "WzFd", "é", "A" * 1000])
def test_a_cursor_of_another_kind_is_refused(cursor):
    with pytest.raises(CallerError) as error:
        place_of(cursor, int)
    assert error.value.param == "cursor"
    assert error.value.status == 400


@given(st.text(max_size=40))
def test_any_cursor_is_a_place_or_a_refusal(cursor):
    try:
        place = place_of(cursor, tuple[str, str])
    except CallerError:
        return
    assert isinstance(place, tuple)


class Said(Strict):
    name: str
    number: int = 1


@pytest.mark.parametrize(
    ("said", "param", "code"),
    [
        ({}, "name", "missing_required_field"),
        ({"name": "a", "nmae": "b"}, "nmae", "invalid_request"),
        ({"name": 3}, "name", "invalid_field_type"),
        ({"name": "a", "number": "3"}, "number", "invalid_field_type"),
        ({"name": "a", "number": True}, "number", "invalid_field_type"),
        ({"name": "a", "number": 1.5}, "number", "invalid_field_type"),
    ],
)
def test_what_is_wrong_is_named_and_not_repeated(said, param, code):
    with pytest.raises(ValidationError) as error:
        Said.model_validate(said)
    found = error.value.errors()
    for each in found:
        each["loc"] = ("body", *each["loc"])
    told = said_wrong(found)
    assert (told.param, told.code, told.status) == (param, code, 400)


def test_a_secret_in_the_wrong_place_is_not_said_again():
    with pytest.raises(ValidationError) as error:
        Said.model_validate({"name": ["sk-secret"]})
    found = error.value.errors()
    found[0]["loc"] = ("body", *found[0]["loc"])
    assert "sk-secret" not in said_wrong(found).message
    assert "sk-secret" not in str(error.value)


def test_the_size_of_a_page_is_bounded():
    for wrong in (0, -1, 1001):
        with pytest.raises(ValidationError):
            Asked(limit=wrong)
