"""A call of the past, as a plan of another configuration replays it: what was asked for, never what was said."""

from __future__ import annotations

from msgspec import Struct


class PastCall(Struct, frozen=True, gc=False):
    """One row of the ledger, without anybody's words."""

    call_id: str
    created_us: int
    caller: str
    dialect: str
    operation: str
    requested_model: str
    provider: str | None
    model: str | None
    status: str
    http_status: int | None
    stream: bool
    attempts: int
    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    cache_write_1h_tokens: int | None
    reasoning_tokens: int | None
    audio_input_tokens: int | None
    audio_output_tokens: int | None
    web_searches: int | None
    cost_pico: int | None
