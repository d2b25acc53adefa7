"""What headers ask for, and what they may not say."""

import pytest

from dragoman.core.errors import CallerError
from dragoman.reuse.policy import ReusePolicy
from dragoman.reuse.wish import CacheWish, Place, Wish, read_place, read_wish

OFF = ReusePolicy()
ON = ReusePolicy(cache_s=60, cache_for=frozenset({"key-1"}))
CALL = "01a21956-ba3d-74a6-a770-fb52b9be1561"


def test_who_says_nothing_wishes_nothing():
    assert read_wish({}, "key-1", OFF) is None
    assert read_wish({"x-dragoman-cache": "true", "cache-control": "no-cache"}, "k", OFF) is None
    assert read_wish({"cache-control": "no-cache"}, "key-2", ON) is None
    assert read_wish({"x-dragoman-resumable": "false"}, "key-2", ON) is None
    assert read_wish({"last-event-id": "whatever"}, "key-2", OFF) is None


def test_a_key_a_stream_and_a_place_in_it():
    headers = {
        "idempotency-key": "k",
        "x-dragoman-resumable": "True",
        "last-event-id": f"{CALL}:7",
    }
    assert read_wish(headers, "key-2", OFF) == Wish("k", resumable=True, after=Place(CALL, 7))
    assert read_wish({"idempotency-key": "k"}, "key-2", OFF) == Wish("k")
    assert read_wish({"x-dragoman-resumable": "1"}, "key-2", OFF) == Wish(resumable=True)


@pytest.mark.parametrize("said", ["7", CALL, f"{CALL}:", f"{CALL}:-1", f"{CALL}:1:1", "x" * 9000])
def test_a_place_that_is_none_is_refused(said):
    with pytest.raises(CallerError) as caught:
        read_place({"last-event-id": said})
    assert caught.value.code == "invalid_last_event_id"
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    ("control", "wanted"),
    [
        (None, CacheWish()),
        ("", CacheWish()),
        ("no-cache", CacheWish(reads=False)),
        ("No-Store", CacheWish(reads=False, writes=False)),
        ("max-age=30, private", CacheWish(max_age_s=30)),
        ('max-age="0" , only-if-cached', CacheWish(max_age_s=0, only=True)),
    ],
)
def test_directives_of_the_cache(control, wanted):
    headers = {} if control is None else {"cache-control": control}
    assert read_wish(headers, "key-1", ON) == Wish(cache=wanted)
    asked = {**headers, "x-dragoman-cache": "on"}
    assert read_wish(asked, "key-2", ON) == Wish(cache=wanted)


def test_who_wants_no_cache_is_told_so():
    refused = CacheWish(reads=False, writes=False)
    assert read_wish({"x-dragoman-cache": "false"}, "key-1", ON) == Wish(cache=refused)


@pytest.mark.parametrize(
    "headers",
    [
        {"x-dragoman-cache": "perhaps"},
        {"x-dragoman-resumable": "perhaps"},
        {"cache-control": "max-age=soon", "x-dragoman-cache": "true"},
        {"cache-control": "max-age=²", "x-dragoman-cache": "true"},
        {"idempotency-key": ""},
        {"idempotency-key": "x" * 256},
    ],
)
def test_what_cannot_be_understood_is_refused(headers):
    with pytest.raises(CallerError) as caught:
        read_wish(headers, "key-2", ON)
    assert caught.value.status == 400
