"""Live lists of models: in any of four shapes, when they are needed, never from garbage."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.catalog.listing import (
    MAX_AGE_S,
    MOST,
    RETRY_S,
    Listed,
    Listings,
    read_listing,
)
from dragoman.core.errors import UpstreamError
from dragoman.core.provider import Provider

ONE = Provider(name="one", family="chat", base_url="http://one/v1", paths={"models": "/models"})
TWO = Provider(name="two", family="chat", base_url="http://two/v1", paths={"models": "/models"})
MUTE = Provider(name="mute", family="chat", base_url="http://mute", paths={"chat": "/chat"})
STUB = Provider(name="stub", family="chat", base_url="stub://", paths={"models": "/m"}, stub=True)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (
            {"object": "list", "data": [{"id": "gpt-4o", "object": "model", "created": 1715367049, "owned_by": "system"}]},
            [Listed("gpt-4o", None, 1715367049)],
        ),
        (
            {"data": [{"id": "openai/gpt-4o", "name": "OpenAI: GPT-4o", "created": 1715558400, "context_length": 128000}]},
            [Listed("openai/gpt-4o", "OpenAI: GPT-4o", 1715558400, 128000)],
        ),
        (
            {"data": [{"type": "model", "id": "claude-sonnet-4-5", "display_name": "Claude Sonnet 4.5", "created_at": "2025-09-29T00:00:00Z"}], "has_more": False},
            [Listed("claude-sonnet-4-5", "Claude Sonnet 4.5", 1759104000)],
        ),
        (
            {"models": [{"name": "models/gemini-2.5-pro", "displayName": "Gemini 2.5 Pro", "inputTokenLimit": 1048576}]},
            [Listed("gemini-2.5-pro", "Gemini 2.5 Pro", 0, 1048576)],
        ),
        (
            {"models": [{"name": "llama3.2:3b", "model": "llama3.2:3b", "modified_at": "2025-01-01T00:00:00Z"}]},
            [Listed("llama3.2:3b", "llama3.2:3b")],
        ),
        ([{"id": "meta-llama/Llama-3-8b", "created": 0, "display_name": "Llama 3"}], [Listed("meta-llama/Llama-3-8b", "Llama 3")]),
        ({"data": []}, []),
    ],
)  # fmt: skip
def test_every_providers_shape_is_read(reply, expected) -> None:
    assert list(read_listing(json.dumps(reply).encode())) == expected


def test_a_row_that_is_none_is_left_out_and_the_others_stay() -> None:
    rows = [
        *(None, 7, [], {}, {"id": 3}, {"id": ""}, {"id": "a\nb"}, {"id": "x" * 300}),
        {"id": "good", "created": True, "context_length": "many", "name": 5},
        {"id": "better", "created": 1e30, "created_at": "yesterday", "context_window": -1},
        {"id": "best", "created": 12.5, "max_input_tokens": 5},
    ]
    assert read_listing(json.dumps({"data": rows}).encode()) == (
        Listed("good"),
        Listed("better"),
        Listed("best", None, 12, 5),
    )


def test_a_list_without_end_is_cut() -> None:
    rows = [{"id": f"m{number}"} for number in range(MOST + 5)]
    assert len(read_listing(json.dumps(rows).encode())) == MOST


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"7", b"{}", b'{"data":{}}', b'"x"', b"[" * 100_000, b"\xff"]
)
def test_what_is_no_list_is_an_upstream_error(body) -> None:
    with pytest.raises(UpstreamError) as caught:
        read_listing(body)
    assert caught.value.code == "bad_listing"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["data", "id", "name", "created", "created_at", "models"]) | st.text(), inner),
)  # fmt: skip


@given(JSON)
def test_any_json_is_a_list_or_an_upstream_error(value) -> None:
    try:
        found = read_listing(json.dumps(value).encode())
    except UpstreamError:
        return
    assert all(item.id for item in found)


# --- when


def query(name: str) -> str:
    return "limit=9" if name == "two" else ""


def test_what_was_never_had_is_due_with_its_query_and_who_has_no_list_never_is() -> None:
    found = Listings().due([ONE, TWO, MUTE, STUB], query, 0.0)
    assert [item.url for item in found] == ["http://one/v1/models", "http://two/v1/models?limit=9"]
    assert found[0].provider is ONE


def test_a_list_is_due_again_after_an_hour_and_stays_known_meanwhile() -> None:
    listings = Listings()
    assert listings.of("one") is None
    listings.note("one", [Listed("a"), Listed("b")], 100.0)
    assert [item.provider.name for item in listings.due([ONE], query, 99.0 + MAX_AGE_S)] == []
    assert [item.provider.name for item in listings.due([ONE], query, 100.0 + MAX_AGE_S)] == [
        "one"
    ]
    assert list(listings.of("one") or ()) == ["a", "b"]


def test_asking_what_is_due_changes_nothing() -> None:
    listings = Listings()
    assert listings.due([ONE], query, 0.0) == listings.due([ONE], query, 0.0)


def test_a_list_that_could_not_be_had_is_left_in_peace_for_a_minute_and_keeps_what_was_known() -> (
    None
):
    listings = Listings()
    listings.fail("two", 0.0)
    assert listings.of("two") is None
    assert listings.due([TWO], query, RETRY_S - 1) == []
    assert len(listings.due([TWO], query, RETRY_S)) == 1
    listings.note("two", [Listed("a")], 100.0)
    listings.fail("two", 100.0 + MAX_AGE_S)
    assert list(listings.of("two") or ()) == ["a"]
    assert listings.due([TWO], query, 101.0 + MAX_AGE_S) == []
