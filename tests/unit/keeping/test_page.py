"""A page is what its query asks for, and says whether there is more."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.core.errors import CallerError
from dragoman.keeping.items import Item
from dragoman.keeping.page import PageQuery, cut_page, read_query, write_page
from sampling import examples


def items_of(number):
    return [Item(b'{"id":"i%d"}' % place, "message", f"i{place}") for place in range(number)]


@given(st.integers(0, 25), st.integers(1, 20))
@settings(max_examples=examples(30))
def test_a_page_is_the_beginning_of_what_it_is_cut_from(number, limit):
    page = json.loads(write_page(cut_page(items_of(number), PageQuery(limit))))
    names = [f"i{place}" for place in range(min(number, limit))]
    assert [item["id"] for item in page["data"]] == names
    assert (page["object"], page["has_more"]) == ("list", number > limit)
    ends = (names[0], names[-1]) if names else (None, None)
    assert (page["first_id"], page["last_id"]) == ends


def test_without_a_word_it_is_the_newest_twenty():
    assert read_query({}) == PageQuery(20, "desc", None)
    assert read_query({"limit": "100", "order": "asc", "after": "x", "include": "y"}) == PageQuery(
        100, "asc", "x"
    )


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"limit": "-1"}, "limit"),
        ({"limit": "²"}, "limit"),
        ({"limit": "9" * 5000}, "limit"),
        ({"limit": ""}, "limit"),
        ({"order": "up"}, "order"),
    ],
)
def test_a_query_that_makes_no_sense_is_refused(query, param):
    with pytest.raises(CallerError) as error:
        read_query(query)
    assert (error.value.status, error.value.param) == (400, param)
