"""Pages of what was said show every item once, in either order, and open no more than they show."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.core.errors import CallerError
from dragoman.keeping import answer
from dragoman.keeping.answer import find, list_items
from dragoman.keeping.ports import Content, Kept
from keeping_desk import Desk
from sampling import examples


def talk(turns):
    """A desk with a conversation of so many turns, and the id of its last response."""
    desk = Desk()
    previous = None
    for turn in range(turns):
        more = {} if previous is None else {"previous_response_id": previous}
        previous = desk.turn(f"q{turn}", store=True, **more)["id"]
    return desk, previous


def page_of(desk, name, **query):
    async def ask():
        kept = await find(name, "ours", desk.keeper)
        asked = {key: str(value) for key, value in query.items()}
        return json.loads(await list_items(kept, asked, "ours", desk.keeper))

    return asyncio.run(ask())


def said(turns):
    """What a conversation of so many turns says before its last answer."""
    both = [text for turn in range(turns) for text in (f"q{turn}", f"You said q{turn}")]
    return both[:-1]


@given(st.integers(1, 12), st.integers(1, 9), st.sampled_from(["asc", "desc"]))
@settings(max_examples=examples(40), deadline=None)
def test_following_the_pages_shows_everything_once_and_in_order(turns, limit, order):
    desk, name = talk(turns)
    seen = []
    more = {}
    while True:
        page = page_of(desk, name, limit=limit, order=order, **more)
        assert len(page["data"]) <= limit
        seen += [item["content"][0]["text"] for item in page["data"]]
        if not page["has_more"]:
            break
        more = {"after": page["last_id"]}
    assert seen == (said(turns) if order == "asc" else said(turns)[::-1])


def opened(desk):
    """Which responses are opened from now on."""
    names = []
    contents = desk.store.contents

    async def noting(tenant, wanted):
        names.extend(wanted)
        return await contents(tenant, wanted)

    desk.store.contents = noting
    return names


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_only_the_responses_of_a_page_are_opened(order):
    desk, name = talk(40)
    names = opened(desk)
    first = page_of(desk, name, limit=6, order=order)
    assert len(names) <= 4
    names.clear()
    middle = first
    for _ in range(5):
        middle = page_of(desk, name, limit=6, order=order, after=middle["last_id"])
    assert len(names) <= 5 * 5
    names.clear()
    assert page_of(desk, name, limit=1)["data"]
    assert len(names) <= 1
    with pytest.raises(CallerError, match="none of these"):
        page_of(desk, name, after="msg_nothing")
    assert len(names) <= 1


def test_large_responses_are_opened_one_by_one(monkeypatch):
    monkeypatch.setattr(answer, "_AT_ONCE", 10)
    desk, name = talk(6)
    portions = []
    contents = desk.store.contents

    async def noting(tenant, wanted):
        portions.append(len(wanted))
        return await contents(tenant, wanted)

    desk.store.contents = noting
    assert len(page_of(desk, name)["data"]) == 11
    assert set(portions) == {1}


def test_after_what_was_said_later_there_is_nothing():
    desk, name = talk(2)
    (own,) = json.loads(desk.store.rows["ours", name].content.reply)["output"]
    for after in (own["id"], "msg_nothing", "\n", ""):
        with pytest.raises(CallerError, match="none of these") as error:
            page_of(desk, name, after=after)
        assert (error.value.status, error.value.param) == (400, "after")


def test_an_item_that_was_said_twice_is_followed_from_where_it_comes_first():
    desk, first = talk(1)
    (spoken,) = json.loads(desk.store.rows["ours", first].content.reply)["output"]
    second = desk.turn([spoken], store=True, previous_response_id=first)["id"]
    third = desk.turn("end", store=True, previous_response_id=second)["id"]
    whole = page_of(desk, third)
    assert [item["id"] for item in whole["data"]].count(spoken["id"]) == 2
    rest = page_of(desk, third, after=spoken["id"])
    place = [item["id"] for item in whole["data"]].index(spoken["id"])
    assert rest["data"] == whole["data"][place + 1 :]


def test_what_is_deleted_while_it_is_read_is_left_out():
    desk, name = talk(3)

    async def nothing(*_):
        return {}

    desk.store.contents = nothing
    assert [item["content"][0]["text"] for item in page_of(desk, name)["data"]] == ["q2"]


def test_a_chain_that_lost_its_beginning_or_goes_in_a_circle_is_shown_as_far_as_it_goes():
    desk, name = talk(3)
    first = next(iter(desk.store.rows))
    del desk.store.rows[first]
    assert len(page_of(desk, name)["data"]) == 3
    row = desk.store.rows["ours", name]
    again = Kept("resp_x", 0, 9e9, "groq", previous="resp_x", content=Content(b"[]", b"{}"))
    desk.store.rows["ours", "resp_x"] = again
    assert page_of(desk, "resp_x")["data"] == []
    assert row.previous is not None
