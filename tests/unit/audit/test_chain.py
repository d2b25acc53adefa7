"""The audit log's chain: whatever is done to it afterwards is found, at the spot."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from dragoman.audit.chain import FIRST, Deed, Entry, Verifier, sealed, told

SECRET = b"s" * 32


def chain(number=5, secret=SECRET):
    found, previous = [], FIRST
    for each in range(1, number + 1):
        deed = Deed(
            action="alias.put",
            target=f"name-{each}",
            tenant="*",
            actor="k",
            actor_tenant="default",
            outcome="done",
            after=told({"targets": ["m"]}),
        )
        found.append(sealed(Entry(each, each * 1000, deed, previous), secret))
        previous = found[-1].seal
    return found


def verified(entries, last=None, secret=SECRET):
    verifier = Verifier(secret)
    for entry in entries:
        verifier.feed([entry])
    return verifier.end(len(entries) if last is None else last)


def test_a_whole_chain_is_whole():
    found = verified(chain())
    assert (found.entries, found.number, found.trouble) == (5, None, "")
    assert verified([]).number is None


@pytest.mark.parametrize("spot", range(5))
def test_a_removed_entry_is_found_at_its_place(spot):
    entries = chain()
    del entries[spot]
    found = verified(entries, last=5)
    assert found.number == spot + 1
    assert "missing" in found.trouble or "ends at" in found.trouble


@pytest.mark.parametrize("spot", range(4))
def test_entries_in_another_order_are_found(spot):
    entries = chain()
    entries[spot], entries[spot + 1] = entries[spot + 1], entries[spot]
    assert verified(entries).number == spot + 1


@given(
    spot=st.integers(0, 4),
    change=st.sampled_from(
        [
            "action",
            "target",
            "tenant",
            "actor",
            "actor_tenant",
            "outcome",
            "before",
            "after",
            "request_id",
        ]
    ),
)
def test_an_entry_that_was_changed_in_any_member_is_found(spot, change):
    entries = chain()
    deed = entries[spot].deed
    entries[spot] = replace(entries[spot], deed=replace(deed, **{change: "x"}))
    found = verified(entries)
    assert (found.number, found.trouble) == (spot + 1, f"entry {spot + 1} was changed")


def test_a_changed_moment_and_a_seal_made_without_the_secret_are_found():
    entries = chain()
    assert verified([replace(entries[0], at_us=1), *entries[1:]]).number == 1
    forged = sealed(replace(entries[2], at_us=7), b"another secret")
    assert verified([*entries[:2], forged, *entries[3:]]).number == 3


def test_a_chain_that_was_made_anew_from_the_middle_without_the_secret_is_found():
    entries = chain()
    forged = chain(secret=b"guess")
    assert verified([*entries[:3], *forged[3:]]).number == 4


def test_what_comes_after_the_counter_was_read_is_no_trouble():
    assert verified(chain(5), last=3).number is None


def test_a_member_cannot_take_a_piece_of_its_neighbour():
    """Members are encoded apart, so no two deeds have one seal."""
    base = chain(1)[0]
    one = replace(base, deed=replace(base.deed, action="a", target="bc"))
    two = replace(base, deed=replace(base.deed, action="ab", target="c"))
    assert sealed(one, SECRET).seal != sealed(two, SECRET).seal
