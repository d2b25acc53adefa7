"""Which of the last calls the limits of another configuration would have refused."""

import random

import pytest

from dragoman.accounting.entry import Consumed, RequestRow
from dragoman.admission.tiers import Tiers
from dragoman.assembly.limited import Difference, LimitReplay
from dragoman.core.call import Limits
from dragoman.identity.ports import KeyRecord

NOW_US = 1_760_000_000_000_000
KEYS = {
    "k": KeyRecord("k", "t", "team key", 0.0, tier="team"),
    "own": KeyRecord("own", "t", "its own", 0.0, limits=Limits(rpm=1)),
    "free": KeyRecord("free", "t", "free", 0.0),
}


def call(number, key="k", *, at_s=0.0, tokens=0, duration_s=None):
    used = dict.fromkeys(Consumed.__struct_fields__) | {
        "input_tokens": tokens,
        "output_tokens": tokens,
    }
    told = {
        "call_id": f"{number:08}",
        "key_id": key,
        "caller": KEYS[key].name if key in KEYS else "",
        "created_us": NOW_US + int(at_s * 1_000_000),
        "duration_s": duration_s,
        "consumed": Consumed(**used),
    }
    return RequestRow(**dict.fromkeys(RequestRow.__struct_fields__) | told)


def differences(before, after, calls):
    replay = LimitReplay(Tiers({"team": before}), Tiers({"team": after}), KEYS)
    calls = list(calls)
    random.Random(1).shuffle(calls)  # the ledger has the newest first
    replay.feed(calls[:3])
    replay.feed(calls[3:])
    return replay.differences()


def test_a_tighter_limit_refuses_what_is_beyond_it():
    calls = [call(number, at_s=number) for number in range(10)]
    found = differences(Limits(rpm=100), Limits(rpm=4), calls)
    assert found == [Difference("k", "team key", "team", "rpm", 0, 6)]
    assert differences(Limits(rpm=4), Limits(rpm=100), calls) == [
        Difference("k", "team key", "team", "rpm", 6, 0)
    ]


def test_what_comes_after_the_window_has_room_again():
    calls = [call(number, at_s=number * 61) for number in range(5)]
    assert differences(Limits(rpm=100), Limits(rpm=1), calls) == []


def test_tokens_and_places_are_limits_too():
    calls = [call(number, at_s=number, tokens=50, duration_s=2.5) for number in range(6)]
    assert differences(Limits(), Limits(tpm=250), calls) == [
        Difference("k", "team key", "team", "tpm", 0, 4)
    ]
    # A call that lasts for two and a half seconds is still there when the next two come.
    assert differences(Limits(), Limits(concurrency=1), calls) == [
        Difference("k", "team key", "team", "concurrency", 0, 4)
    ]
    assert differences(Limits(), Limits(concurrency=3), calls) == []


def test_a_keys_own_limit_is_the_same_on_both_sides_and_who_has_none_is_not_counted():
    calls = [call(number, key) for number in range(5) for key in ("own", "free", "gone")]
    assert differences(Limits(rpm=1), Limits(rpm=2), calls) == []


def test_an_allowance_is_not_replayed():
    calls = [call(number, tokens=50) for number in range(5)]
    assert differences(Limits(), Limits(max_tokens=1), calls) == []


@pytest.mark.parametrize("with_tier", [True, False])
def test_a_tier_that_is_gone_refuses_everything(with_tier):
    tiers = {"team": Limits()}
    replay = LimitReplay(Tiers(tiers), Tiers(tiers if with_tier else {}), KEYS)
    replay.feed([call(number) for number in range(3)])
    gone = [Difference("k", "team key", "team", "no such tier", 0, 3)]
    assert replay.differences() == ([] if with_tier else gone)
