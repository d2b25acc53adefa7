"""Pages show every item once, in either order, whatever their size."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.core.errors import CallerError
from dragoman.keeping.items import Item
from dragoman.keeping.page import PageQuery, paginate, read_query, write_page


def items_of(number):
    return [Item(b'{"id":"i%d"}' % place, "message", f"i{place}") for place in range(number)]


@given(st.integers(0, 45), st.integers(1, 20), st.sampled_from(["asc", "desc"]))
@settings(max_examples=50)
def test_following_the_pages_shows_everything_once_and_in_order(number, limit, order):
    items = items_of(number)
    seen: list[str] = []
    after = None
    while True:
        page = json.loads(write_page(paginate(items, PageQuery(limit, order, after))))
        assert page["object"] == "list"
        assert len(page["data"]) <= limit
        seen += [item["id"] for item in page["data"]]
        if page["data"]:
            assert (page["first_id"], page["last_id"]) == (
                page["data"][0]["id"],
                page["data"][-1]["id"],
            )
        after = page["last_id"]
        if not page["has_more"]:
            break
        assert page["data"]
    wanted = [item.id for item in items]
    assert seen == (wanted if order == "asc" else wanted[::-1])


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


def test_after_an_item_that_is_not_there_is_refused():
    with pytest.raises(CallerError, match="none of these") as error:
        paginate(items_of(3), PageQuery(after="i9"))
    assert error.value.param == "after"
    assert paginate([], PageQuery()).first_id is None
