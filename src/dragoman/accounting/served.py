"""What nearly every call is: one attempt, served whole. Its rows are made straight from its two records.

``entry.py`` says what the ledger shows of any call; of such a one the same is told here in one flat tuple, at a
quarter of the work, and the ledger makes its two rows of that. What is out of the ordinary is none
of these: two attempts, a loss, another service tier than the usual, text that has yet to be made fit.

Counts and amounts are taken as they are, as this process has cleaned them when it wrote the records
(``counts.py``, ``price.py``); records out of a dead process's files come through ``entry.py`` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, TypeAlias

from msgspec import Struct
from msgspec.structs import astuple

from dragoman.accounting.charging import charge_of
from dragoman.accounting.entry import Entry, entry_of
from dragoman.accounting.fitting import all_fit
from dragoman.accounting.records import About, Closed, Opened, Record, Tokens
from dragoman.core.budget import Stake

Facts: TypeAlias = tuple[Any, ...]

_SURE = (
    *("call_id", "request_id", "trace_id", "tenant", "key_id", "caller", "dialect", "operation"),
    *("project", "end_user", "tags", "requested_model", "choice", "created_us"),
)
_FELT = ("stream", "first_event_s", "duration_s")
_SHARED = (
    *("provider", "model", "input_tokens", "output_tokens", "cache_read_tokens"),
    *("cache_write_tokens", "cache_write_1h_tokens", "reasoning_tokens", "audio_input_tokens"),
    *("audio_output_tokens", "web_searches", "tokens_from", "cost_pico", "cost_from"),
    *("charged_pico", "upstream_id"),
)
_TRIED = ("upstream_status", "first_event_s", "duration_s", "credential")
_NAMES = (
    *("call_id", "tenant", "attempt_id", "number"),
    *("price_source", "price_from", "terms", "created_us"),
)

CALL = (*_SURE, *_FELT, *_SHARED)
"""What the first of the facts are in the call's row."""
ATTEMPT = (*_SHARED, *_TRIED, *_NAMES)
"""What the last of the facts are in the attempt's row."""
SURE = len(_SURE)
"""So many at the beginning are always known."""
UNSURE = len((*_FELT, *_SHARED, *_TRIED))
"""So many after those may be unknown."""
OWN = len(_FELT)
"""So many of these are the call's alone."""
COST = CALL.index("cost_pico")
"""Where they say what it has cost; that is known where budgets pay for it."""

_GOOD = 200
CALL_ALWAYS: dict[str, Any] = {
    "status": "complete",
    "http_status": _GOOD,
    "attempts": 1,
    "error_code": None,
    "losses": "",
    "adjusted": "",
    "image_input_tokens": None,
    "image_output_tokens": None,
    "units": "",
    "service_tier": "",
    "other_cost_pico": 0,
}
"""What else the row of such a call says."""
ATTEMPT_ALWAYS: dict[str, Any] = {
    "status": "complete",
    "error_kind": None,
    "error_code": None,
    "image_input_tokens": None,
    "image_output_tokens": None,
    "units": "",
    "service_tier": "",
    "served": True,
}
"""What else the row of its attempt says."""


class Served(Struct, frozen=True, gc=False):
    """Such a call: what its rows show, and the records that say so."""

    facts: Facts
    records: Sequence[Record]
    wall: float
    """When it was admitted, as in ``Charge``."""
    stake: Stake | None = None
    """What its budgets had set aside for it; they pay all of its cost at once."""

    def entry(self) -> Entry:
        """The same as the ledger is told of any call."""
        entry = entry_of(self.records)
        assert entry is not None, "its beginning is among its records"
        return entry


_MADE = ("created_us", "felt_s", "charged_pico", "tried_us")
"""What has to be made of the records' members, and stands behind them."""
_PLACES = {
    name: place
    for place, name in enumerate(
        (
            *(f"about.{name}" for name in About.__struct_fields__),
            *(f"begin.{name}" for name in Opened.__struct_fields__),
            *(f"end.{name}" for name in Closed.__struct_fields__),
            *(f"tokens.{name}" for name in Tokens.__struct_fields__),
            *_MADE,
        )
    )
}


def _each_of(words: str) -> Callable[[Facts], Facts]:
    """Takes of all members those with these names."""
    return itemgetter(*[_PLACES[word] for word in words.split()])


_names = _each_of(
    "about.call_id about.request_id about.trace_id about.tenant about.key_id about.caller"
    " about.dialect about.operation about.project about.end_user about.tags begin.requested_model"
    " begin.provider begin.model begin.credential end.upstream_id"
)
"""Text that others have written, in a part at least."""
_facts = _each_of(
    "about.call_id about.request_id about.trace_id about.tenant about.key_id about.caller"
    " about.dialect about.operation about.project about.end_user about.tags begin.requested_model"
    " begin.choice created_us"
    # What may be unknown.
    " begin.stream felt_s end.elapsed_s"
    " begin.provider begin.model tokens.input tokens.output tokens.cache_read tokens.cache_write"
    " tokens.cache_write_1h tokens.reasoning tokens.audio_input tokens.audio_output"
    " tokens.web_searches end.tokens_from end.cost_pico end.cost_from charged_pico end.upstream_id"
    " end.upstream_status end.first_event_s end.duration_s begin.credential"
    # What is known again.
    " about.call_id about.tenant begin.attempt_id begin.number begin.price_source begin.price_from"
    " begin.terms tried_us"
)
"""The facts in the order of ``CALL`` and ``ATTEMPT``."""
_rest = _each_of(
    "end.http_status end.status end.error_kind end.losses end.adjusted end.choice end.error_code end.service_tier"
    " tokens.image_input tokens.image_output tokens.images"
    " tokens.audio_seconds"
)
_REST = ("complete", None, "", "", "", None, "", None, None, None, None)
_REGULAR = ((_GOOD, *_REST), (0, *_REST))
"""What all other members are; a regular end without a status was a 200."""
_TWO = 2
_MILLION = 1_000_000


def served_of(records: Sequence[Record]) -> Served | None:
    """The call of these records, where it is such a one."""
    if len(records) != _TWO:
        return None
    begin, end = records
    if type(begin) is not Opened or type(end) is not Closed:
        return None
    about = begin.about
    members = astuple(about) + astuple(begin) + astuple(end) + astuple(end.tokens)
    if _rest(members) not in _REGULAR or begin.attempt_id != end.attempt_id:
        return None
    if not all_fit("".join(filter(None, _names(members)))):
        return None
    wall, after_s, felt_s = about.wall, begin.after_s, end.first_event_s
    cost_pico, terms, stake = end.cost_pico, begin.terms, begin.stake
    # Payers are fit: a budget's name, and a key's id, which was looked at above, or a word that
    # ``admission/budget_rules.py`` makes so.
    if stake is not None and cost_pico is None:
        return None
    made = (
        round(wall * _MILLION),
        None if felt_s is None else after_s + felt_s,
        charge_of(cost_pico, terms) if terms else cost_pico,
        round((wall + after_s) * _MILLION),
    )
    return Served(_facts(members + made), records, wall, stake)
