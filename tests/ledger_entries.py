"""Calls for the ledger, made of attempts that say only what matters to a test."""

import msgspec

from dragoman.accounting.entry import AttemptRow, Consumed, Entry, RequestRow
from dragoman.core.ids import uuid7_of

WALL = 1_750_000_000.0
DAY = int(WALL // 86_400)
NOTHING = Consumed(None, None, None, None, None, None, None, None, None, "none", None, "none")
STREAM = False


def attempt(number: int, place: int, **changes) -> AttemptRow:
    call = uuid7_of(WALL, number)
    row = AttemptRow(
        uuid7_of(WALL, number * 10 + place), call, place + 1, "acme", "openrouter", "m", "key-1",
        "complete", 200, f"gen-{number}-{place}", None, None, NOTHING, "", "", None, None,
        int(WALL * 1e6), served=True,
    )  # fmt: skip
    return msgspec.structs.replace(row, **changes)


def entry(number: int, *tries: AttemptRow, **changes) -> Entry:
    shown = next((row for row in tries if row.served), tries[-1])
    row = RequestRow(
        shown.call_id, f"r-{number}", "f" * 32, "acme", "k1", "me", "chat", "chat", "m",
        "openrouter", "m", "complete", 200, STREAM, len(tries), shown.consumed, shown.upstream_id,
        None, None, int(WALL * 1e6), None, "", "", "", charged_pico=shown.charged_pico,
    )  # fmt: skip
    return Entry(msgspec.structs.replace(row, **changes), tries)
