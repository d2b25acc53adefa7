"""What nearly every call is: one attempt, served whole. Its rows are made straight from its two records.

``entry.py`` says what the ledger shows of any call; of such a one the same is told here in one flat tuple, at a
quarter of the work, and the ledger makes its two rows of that. What is out of the ordinary is none
of these: two attempts, a budget's stake, a loss, text that has yet to be made fit.

Counts and amounts are taken as they are, as this process has cleaned them when it wrote the records
(``counts.py``, ``price.py``); records out of a dead process's files come through ``entry.py`` alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any, TypeAlias

from msgspec import Struct
from msgspec.structs import astuple

from dragoman.accounting.charging import charge_of
from dragoman.accounting.entry import Entry, entry_of
from dragoman.accounting.fitting import all_fit
from dragoman.accounting.records import Closed, Opened, Record, Tokens

Facts: TypeAlias = tuple[Any, ...]

_TEXTS = (
    *("call_id", "request_id", "trace_id", "tenant", "key_id", "caller", "dialect", "operation"),
    *("project", "end_user", "tags", "requested_model", "choice", "http_status", "created_us"),
)
_FELT = ("stream", "first_event_s", "duration_s")
COUNTS = (
    *("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"),
    *("cache_write_1h_tokens", "reasoning_tokens", "audio_input_tokens", "audio_output_tokens"),
    "web_searches",
)
_SHARED = (
    *("provider", "model", *COUNTS, "tokens_from", "cost_pico", "cost_from"),
    *("charged_pico", "upstream_id"),
)
_TRIED = ("upstream_status", "first_event_s", "duration_s", "credential")
_NAMES = (
    *("call_id", "tenant", "attempt_id", "number"),
    *("price_source", "price_from", "terms", "created_us"),
)

CALL = (*_TEXTS, *_FELT, *_SHARED)
"""What the first of the facts are in the call's row."""
ATTEMPT = (*_SHARED, *_TRIED, *_NAMES)
"""What the last of the facts are in the attempt's row."""
SURE = len(_TEXTS)
"""So many at the beginning are always known."""
UNSURE = len((*_FELT, *_SHARED, *_TRIED))
"""So many after those may be unknown."""
OWN = len(_FELT)
"""So many of these are the call's alone."""

CALL_ALWAYS: dict[str, Any] = {
    "status": "complete",
    "attempts": 1,
    "error_code": None,
    "losses": "",
    "adjusted": "",
    "image_input_tokens": None,
    "image_output_tokens": None,
    "units": "",
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
    "served": True,
}


class Served(Struct, frozen=True, gc=False):
    """Such a call: what its rows show, and the records that say so."""

    facts: Facts
    records: Sequence[Record]

    def entry(self) -> Entry:
        """The same as the ledger is told of any call."""
        entry = entry_of(self.records)
        assert entry is not None, "its beginning is among its records"
        return entry


_REGULAR = 2
"""Records of a call that was served at once."""
_GOOD = 200
_HEAD = 8
"""So many names of a call stand before its time, and the others after it."""
_ends = itemgetter(2, 3, 6, slice(14, None))
_ENDS = tuple([("complete", status, None, ("", "", "", None, 0)) for status in (_GOOD, 0)])
"""Regular ends, as ``_ends`` sees them; one without a status was a 200."""
_USUAL = len(COUNTS)
_RARE = (None,) * (len(Tokens.__struct_fields__) - _USUAL)
_MILLION = 1_000_000


def served_of(records: Sequence[Record]) -> Served | None:
    """The call of these records, where it is such a one; in the order of ``CALL`` and ``ATTEMPT``."""
    if len(records) != _REGULAR:
        return None
    begin, end = records
    if type(begin) is not Opened or type(end) is not Closed:
        return None
    closed, tokens = astuple(end), astuple(end.tokens)
    if (
        _ends(closed) not in _ENDS
        or begin.stake is not None
        or tokens[_USUAL:] != _RARE
        or begin.attempt_id != end.attempt_id
    ):
        return None
    about = astuple(begin.about)
    provider, model, credential = begin.provider, begin.model, begin.credential
    upstream_id, first_s, cost_pico = end.upstream_id, end.first_event_s, end.cost_pico
    names = about[:_HEAD] + about[_HEAD + 1 :] + (begin.requested_model,)
    if not all_fit((*names, provider, model, credential or "", upstream_id or "")):
        return None
    wall, after_s, terms = about[_HEAD], begin.after_s, begin.terms
    felt = (
        begin.choice,
        _GOOD,
        round(wall * _MILLION),
        begin.stream,
        None if first_s is None else after_s + first_s,
        end.elapsed_s,
        provider,
        model,
    )
    tried = (
        end.tokens_from,
        cost_pico,
        end.cost_from,
        charge_of(cost_pico, terms) if terms else cost_pico,
        upstream_id,
        end.upstream_status,
        first_s,
        end.duration_s,
        credential,
        about[0],
        about[3],
        begin.attempt_id,
        begin.number,
        begin.price_source,
        begin.price_from,
        terms,
        round((wall + after_s) * _MILLION),
    )
    return Served(names + felt + tokens[:_USUAL] + tried, records)
