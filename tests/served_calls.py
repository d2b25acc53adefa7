"""Records of calls as hypothesis has them: nearly all of them served at once, and now and then one that is not."""

from __future__ import annotations

from hypothesis import strategies as st

from dragoman.accounting.records import About, Closed, Opened, Tokens
from dragoman.core.budget import Payer, Stake
from dragoman.core.usage import LARGEST

_NAME = st.sampled_from(["", "me", "a->b", "tenant-1", "gpt-5-mini", "é", "a\0b", "x" * 300])
_FIT = st.sampled_from(["", "me", "a->b", "tenant-1"])
_ID = st.uuids().map(str)
_COUNT = st.none() | st.sampled_from([0, 1, 7, LARGEST])
_SECONDS = st.floats(0, 100)


def _abouts(user: st.SearchStrategy[str]) -> st.SearchStrategy[About]:
    return st.builds(
        About,
        _ID, _ID, st.just("f" * 32), _FIT, _FIT, _FIT, st.sampled_from(["chat", "anthropic"]),
        st.sampled_from(["chat", "embeddings", "images"]), st.floats(1.7e9, 1.8e9), _FIT, user,
        st.sampled_from(["", "nightly", "nightly,team=search"]),
    )  # fmt: skip


_TOKENS = st.builds(Tokens, *[_COUNT] * 9, *[st.sampled_from([None, None, None, 2])] * 4)
_USUAL_TOKENS = st.builds(Tokens, *[_COUNT] * 9)
_CHOICE = st.sampled_from(["", '{"candidates":["a/m","b/m"]}'])
_BUDGET = st.sampled_from(["", "team", "é", "x" * 128])


def _stakes(name: st.SearchStrategy[str]) -> st.SearchStrategy[Stake | None]:
    payers = st.lists(st.builds(Payer, name, name), min_size=1, max_size=2).map(tuple)
    return st.none() | st.builds(Stake, st.just("holder"), st.integers(0, 10**15), payers)


_TERMS = st.sampled_from(["", "1.2", "1.2 0.001", "own 0"])


def _opened(draw: st.DrawFn, user: st.SearchStrategy[str], *, stake: Stake | None) -> Opened:
    return Opened(
        draw(_ID), draw(_abouts(user)), draw(_FIT), draw(st.booleans()), draw(st.sampled_from([1, 1, 2])),
        draw(_FIT), draw(_FIT), draw(st.none() | _FIT), draw(_SECONDS), draw(_FIT), draw(_FIT),
        draw(_CHOICE), stake, draw(_TERMS),
    )  # fmt: skip


@st.composite
def served_calls(draw: st.DrawFn) -> tuple[Opened, Closed]:
    """A call that is served at once, as this process writes it."""
    begin = _opened(draw, _FIT, stake=draw(_stakes(_BUDGET)))
    costs = st.integers(0, 10**16)
    end = Closed(
        begin.attempt_id, begin.about.call_id, "complete", draw(st.sampled_from([0, 200])),
        draw(st.sampled_from([None, 200])), draw(st.none() | _FIT), None, draw(_USUAL_TOKENS),
        draw(st.sampled_from(["reported", "estimated", "none"])),
        draw(costs if begin.stake is not None else st.none() | costs),
        draw(st.sampled_from(["provider", "priced", "estimated", "none"])),
        draw(st.none() | _SECONDS), draw(st.none() | _SECONDS), draw(st.none() | _SECONDS),
    )  # fmt: skip
    return begin, end


@st.composite
def any_calls(draw: st.DrawFn) -> tuple[Opened, Closed]:
    """A call of two records, of which each member may be out of the ordinary."""
    begin = _opened(draw, _NAME, stake=draw(_stakes(_BUDGET)))
    same = draw(st.sampled_from([True, True, True, False]))
    end = Closed(
        begin.attempt_id if same else draw(_ID), begin.about.call_id,
        draw(st.sampled_from(["complete", "complete", "complete", "client_cut", "upstream_error"])),
        draw(st.sampled_from([0, 200, 200, 200, 201, 502])),
        draw(st.sampled_from([None, 200, 500])), draw(st.none() | _NAME),
        draw(st.sampled_from([None, None, "timeout"])), draw(_TOKENS),
        draw(st.sampled_from(["reported", "estimated", "none"])),
        draw(st.none() | st.integers(0, 10**16)),
        draw(st.sampled_from(["provider", "priced", "estimated", "none"])),
        draw(st.none() | _SECONDS), draw(st.none() | _SECONDS), draw(st.none() | _SECONDS),
        *(draw(st.sampled_from(["", "", "", "told"])) for _ in range(3)),
        draw(st.sampled_from([None, None, "odd"])), draw(st.sampled_from([0, 0, 0, 9])),
        draw(st.sampled_from(["", "", "", "flex", "a\0b"])),
    )  # fmt: skip
    return begin, end
