"""The two spans of a call with one try that went well: most of their bytes are those of many other calls.

What such calls say alike is written once. What each has of its own is noted when it is over, as a tuple,
and written later, for many calls at once. The spans say what those of ``spans_of`` would.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from decimal import Decimal
from itertools import chain
from typing import TypeAlias

from dragoman.core.call import NO_FAILURE, Attempt, Call
from dragoman.core.trace import read_tracestate
from dragoman.core.usage import Usage
from dragoman.telemetry.gen_ai import operation_of
from dragoman.telemetry.otlp import (
    FAILED,
    LOCAL,
    REMOTE,
    attribute,
    beginning,
    head_of,
    named,
    state_said,
)
from dragoman.telemetry.spans import (
    CALL_ID,
    LONGEST,
    NS,
    Addresses,
    cost_said,
    has_failed,
    numbers_of,
    said_alike,
    said_apart,
    try_said,
    usage_said,
    words_of,
)

_MOST = 2048
"""Pairs that are remembered: models' names come from callers."""
_IDS = struct.Struct("16s8x8s8x8s")
"""A trace's id; of a call's and a try's the half that their spans are called by."""
_ENTRY = struct.Struct("<36sH16sH8sBQBQ")
_TRIED = struct.Struct("<H16sH8sH8sBQBQ")
_TRACE_ID, _SPAN_ID, _PARENT_ID, _START, _END = 0x100A, 0x0812, 0x0822, 0x39, 0x41
"""The tags of these fields, with the length of those that have one."""
_ANSWER_IDS = [beginning("gen_ai.response.id", size) for size in range(64)]
_FIRST_CHUNK = attribute("gen_ai.response.time_to_first_chunk", 0.0)[:-8]
_DOUBLE = struct.Struct("<d")


Tried: TypeAlias = tuple[str | None, bytes, int]
"""The address of a try's provider, what its span says alike, and the size of the whole but for its own words."""


class Pair:
    """What calls with one try that went well say alike."""

    __slots__ = (
        "_found",
        "_name",
        "_said",
        "_words",
        "entry",
        "provider",
        "streamed",
    )

    def __init__(self, call: Call, one: Attempt, address: str | None) -> None:
        operation, outcome = operation_of(call), call.outcome
        self._said = b"".join(
            (
                named(f"{call.method} {call.route}", "server"),
                said_alike(call),
                FAILED if has_failed(outcome) else b"",
            )
        )
        self.entry = self.entry_with(LOCAL)
        """The beginning of the call's span; that of most calls."""
        self.provider, self.streamed = one.provider, outcome.stream
        self._name = named(f"{operation} {one.model}", "client")
        self._words = words_of(call, one, operation, "first")
        self._found = self._tried(address)

    def entry_with(self, apart: bytes) -> bytes:
        """The beginning of the span of a call that has this of its own, up to its id."""
        said = self._said + apart + CALL_ID
        return head_of(len(said) + _ENTRY.size) + said

    def tried_at(self, address: str | None) -> Tried:
        """What the span of a try says alike; its provider may have got another address since.

        The loop and the exporter's thread may both ask, and each goes by what it was given.
        """
        found = self._found
        if found[0] != address:
            found = self._found = self._tried(address)
        return found

    def _tried(self, address: str | None) -> Tried:
        said = self._name + try_said(address, *self._words) + LOCAL
        return address, said, len(said) + _TRIED.size


Note: TypeAlias = tuple[
    Pair,
    str,
    str,
    str,
    float,
    float,
    float,
    float,
    Usage | None,
    Decimal | None,
    str | None,
    float | None,
    bytes,
    bytes | None,
]
"""Whose like it is; the ids of trace, call and try; when the call began and how long it took; the same of its try;
the try's usage, cost, answer's id and first content; the numbers of the request; what only some calls say."""


class Pairs:
    """The pairs of a process."""

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses
        self._known: dict[tuple[str | int | None, ...], Pair] = {}

    def note(self, call: Call, duration_s: float) -> Note | None:
        """What is kept of a call that is over; None where it is not of this kind."""
        outcome, caller = call.outcome, call.caller
        one = outcome.standing
        if one is None or caller is None or outcome.error_code is not None:
            return None
        took, finish = one.duration_s, one.finish
        if took is None or outcome.attempts != [one] or call.fetches:
            return None
        key = (
            call.method,
            call.route,
            call.operation,
            call.dialect,
            caller.key_id,
            caller.tenant,
            outcome.requested_model,
            outcome.http_status,
            outcome.status,
            outcome.stream,
            outcome.cache,
            one.provider,
            one.model,
            one.answered,
            one.status,
            one.upstream_status,
            one.cost_from,
            one.number,
            None if finish is None else finish.reason,
        )
        pair = self._known.get(key)
        if pair is None:
            if not _is_usual(call, one):
                return None
            pair = self._make(key, call, one)
        asked = call.asked
        return (
            pair,
            call.trace_id,
            call.id,
            one.id,
            call.wall,
            duration_s,
            one.wall,
            took,
            one.usage,
            one.cost,
            one.upstream_id,
            one.first_event_s,
            numbers_of(asked) if asked else b"",
            _apart(call)
            if call.parent_id or outcome.origin is not None or "x-request-id" in call.headers
            else None,
        )

    def _make(self, key: tuple[str | int | None, ...], call: Call, one: Attempt) -> Pair:
        if len(self._known) >= _MOST:
            self._known.clear()
        pair = self._known[key] = Pair(call, one, self._addresses(one.provider))
        return pair

    def spans(self, notes: Sequence[Note]) -> bytes:
        """The spans of these calls, two for each, one after another."""
        found: list[bytes] = []
        pairs, traces, calls, tries, *_ = zip(*notes, strict=True)
        alike = {pair: pair.tried_at(self._addresses(pair.provider)) for pair in set(pairs)}
        digits = "".join(chain.from_iterable(zip(traces, calls, tries, strict=True)))
        # Bytes lose their hyphens in half of the time that text takes.
        ids = _IDS.iter_unpack(bytes.fromhex(digits.encode().replace(b"-", b"").decode()))
        for (trace, own, tried), note in zip(ids, notes, strict=True):
            (
                pair, _, call_id, _, wall, duration, one_wall, took,
                usage, cost, answer, first, said, apart,
            ) = note  # fmt: skip
            _, at_once, size = alike[pair]
            if usage is not None:
                said += usage_said(usage)
            if cost is not None:
                said += cost_said(cost)
            if answer:
                said += _answer_said(answer)
            if first is not None and pair.streamed:
                said += _FIRST_CHUNK + _DOUBLE.pack(first)
            start, began = int(wall * NS), int(one_wall * NS)
            found += (
                pair.entry if apart is None else pair.entry_with(apart),
                _ENTRY.pack(
                    call_id.encode(), _TRACE_ID, trace, _SPAN_ID, own,
                    _START, start, _END, start + int(duration * NS),
                ),
                head_of(size + len(said)),
                at_once,
                said,
                _TRIED.pack(
                    _TRACE_ID, trace, _SPAN_ID, tried, _PARENT_ID, own,
                    _START, began, _END, began + int(took * NS),
                ),
            )  # fmt: skip
        return b"".join(found)


def _is_usual(call: Call, one: Attempt) -> bool:
    """Whether others are likely to be alike, and all of it may be kept."""
    return (
        one.status in NO_FAILURE
        and len(call.outcome.requested_model) <= LONGEST
        and len(one.model) <= LONGEST
        and len(one.answered or "") <= LONGEST
    )


def _apart(call: Call) -> bytes:
    """What only some calls say, and where they come from."""
    said, parent = said_apart(call), call.parent_id
    if not parent:
        return said + LOCAL
    state = read_tracestate(call.headers)
    return b"".join(
        (
            said,
            b"\x22\x08",
            bytes.fromhex(parent),
            state_said(state) if state else b"",
            REMOTE,
        )
    )


def _answer_said(text: str) -> bytes:
    raw = text.encode("utf-8", "replace")
    if len(raw) < len(_ANSWER_IDS):
        return _ANSWER_IDS[len(raw)] + raw
    return attribute("gen_ai.response.id", text[:LONGEST])
