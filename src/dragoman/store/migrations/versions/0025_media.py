"""Sums tell of sound, pictures and searches as well; of older calls by what is kept of them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"

_TOKENS = (
    "audio_input_tokens",
    "audio_output_tokens",
    "image_input_tokens",
    "image_output_tokens",
    "web_searches",
)
_UNITS = ("images", "audio_seconds")
_MEDIA = (*_TOKENS, *_UNITS)
_PLACE = ("tenant", "key_id", "provider", "model")
_KEYS = {
    "ledger_hours": (*_PLACE, "hour"),
    "ledger_days": (*_PLACE, "day"),
    "ledger_labels": (*_PLACE, "day", "kind", "name"),
}
_UNIT = re.compile(r"(\w+)=(\d{1,15})")
_HOUR_US = 3_600_000_000
_LONGEST = 200
_AT_ONCE = 5000


def upgrade() -> None:
    """Makes room, and fills it; what was put together as ``(others)`` has none of it."""
    for table in _KEYS:
        for name in _MEDIA:
            op.add_column(
                table, sa.Column(name, sa.BigInteger, nullable=False, server_default="0")
            )
    found: dict[str, dict[tuple[Any, ...], list[int]]] = {
        table: defaultdict(lambda: [0] * len(_MEDIA)) for table in _KEYS
    }
    for table, key, numbers in _counted():
        sums = found[table][key]
        for place, number in enumerate(numbers):
            sums[place] += number
    connection = op.get_bind()
    for table, sums_of in found.items():
        own = sa.table(table, *map(sa.column, (*_KEYS[table], *_MEDIA)))
        mine = [own.c[name] == sa.bindparam(f"its_{name}") for name in _KEYS[table]]
        its = [f"its_{name}" for name in _KEYS[table]]
        rows = [dict(zip((*its, *_MEDIA), (*key, *sums_of[key]), strict=True)) for key in sums_of]
        values: dict[str, Any] = {name: sa.bindparam(name) for name in _MEDIA}
        if rows:
            connection.execute(sa.update(own).where(*mine).values(values), rows)


def _counted() -> Iterator[tuple[str, tuple[Any, ...], list[int]]]:
    """What each call adds, to which row of which table."""
    names = ("created_us", *_PLACE, "caller", "project", "end_user", "tags", "units", *_TOKENS)
    calls = sa.table("ledger_requests", *map(sa.column, (*names, "tokens_from")))
    has_any = sa.or_(calls.c.units != "", *(calls.c[name] > 0 for name in _TOKENS))
    query = sa.select(*(calls.c[name] for name in names))
    query = query.where(calls.c.tokens_from != "estimated", has_any)
    # There may be more of them than fit into memory.
    query = query.execution_options(yield_per=_AT_ONCE)
    for row in op.get_bind().execute(query).mappings():
        units = dict(_UNIT.findall(row["units"]))
        numbers = [row[name] or 0 for name in _TOKENS] + [
            int(units.get(name, 0)) for name in _UNITS
        ]
        place = tuple(row[name] or "" for name in _PLACE)
        hour = row["created_us"] // _HOUR_US
        yield "ledger_hours", (*place, hour), numbers
        yield "ledger_days", (*place, hour // 24), numbers
        for kind, column in (("caller", "caller"), ("project", "project"), ("user", "end_user")):
            if row[column] or kind == "caller":
                yield "ledger_labels", (*place, hour // 24, kind, row[column][:_LONGEST]), numbers
        for tag in filter(None, row["tags"].split(",")):
            yield "ledger_labels", (*place, hour // 24, "tag", tag), numbers


def downgrade() -> None:
    """Forgets it; the calls keep it."""
    for table in reversed(_KEYS):
        for name in reversed(_MEDIA):
            op.drop_column(table, name)
