"""Which trace a call belongs to, as W3C Trace Context says it: read from a caller, written for a provider.

https://www.w3.org/TR/trace-context/ ; a header that is not of its form is as good as none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_STATE = re.compile(r"[\x20-\x7e]{1,512}")
_NO_TRACE = "0" * 32
_NO_SPAN = "0" * 16
_SAMPLED = 1


class TraceContext(NamedTuple):
    """What a caller says of its trace."""

    trace_id: str
    """32 hex digits."""
    span_id: str
    """16 hex digits: the caller's own span, the parent of ours."""
    sampled: bool
    """Whether the caller may have recorded its span."""


def read_traceparent(header: str) -> TraceContext | None:
    """The context, None where the header is of no use.

    Of a version that is not known yet the known beginning counts (§4.3 there).
    """
    found = _PARENT.fullmatch(header)
    if found is None:
        return None
    version, trace_id, span_id, flags, rest = found.groups()
    if version == "ff" or (version == "00" and rest is not None):
        return None
    if trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    return TraceContext(trace_id, span_id, bool(int(flags, 16) & _SAMPLED))


def read_tracestate(headers: Mapping[str, str]) -> str:
    """What the systems before the caller have noted of the trace; empty where it is of no use."""
    state = headers.get("tracestate", "").strip(" \t")
    return state if _STATE.fullmatch(state) else ""


def span_of(uuid: str) -> str:
    """The span of a call or an attempt: the random half of its id (a UUIDv7), 16 hex digits."""
    return uuid[19:23] + uuid[24:36]


def write_traceparent(trace_id: str, span_id: str, *, sampled: bool) -> str:
    """The header for whoever is called next."""
    return f"00-{trace_id}-{span_id}-{'01' if sampled else '00'}"


def traceparent_of(trace_id: str, uuid: str, *, sampled: bool) -> str:
    """The same from the id of the call or attempt whose span it is; at once, as for every request."""
    return f"00-{trace_id}-{uuid[19:23]}{uuid[24:36]}-{'01' if sampled else '00'}"
