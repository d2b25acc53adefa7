"""Calls that were served at once (``accounting/served.py``) to the driver, and to the sums.

Nearly every call is one of these, so that each of its values costs: what all of them say alike stands in the
statement, and the parameters stand in the order of the facts, which needs no more than slices of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from dragoman.accounting.served import (
    ATTEMPT,
    ATTEMPT_ALWAYS,
    CALL,
    CALL_ALWAYS,
    OWN,
    SURE,
    UNSURE,
    Served,
)
from dragoman.core.budget import Payer
from dragoman.store.ledger_tables import attempts, requests
from dragoman.store.sql.budget_charges import words_of
from dragoman.store.sql.ledger_rows import HOUR_US, UNKNOWN, Added, Row, inserted

if TYPE_CHECKING:
    from sqlalchemy import Table
    from sqlalchemy.engine import Dialect

_BATCH = "batch"
_PAID = ("reserved_pico", "payers")


class ServedRows(NamedTuple):
    """The parameters of the statements."""

    calls: list[Row]
    tries: list[Row]
    paid: list[Row]
    """Attempts that budgets have paid for."""


class ServedStatements(NamedTuple):
    """What writes such calls and their attempts, as the driver takes it."""

    call: str
    attempt: str
    paid: str
    """An attempt that budgets have paid for."""
    spelt: Mapping[Any, Any]
    """What the driver is given in the place of what it is slow with; empty: nothing is."""


def served_statements(dialect: Dialect) -> ServedStatements:
    """The statements in the words of a database."""
    plain = dialect.name == "postgresql"
    return ServedStatements(
        _insert(requests, (*CALL, _BATCH), CALL_ALWAYS, numbered=plain),
        _insert(attempts, ATTEMPT, ATTEMPT_ALWAYS | dict.fromkeys(_PAID), numbered=plain),
        _insert(attempts, (*ATTEMPT, *_PAID), ATTEMPT_ALWAYS, numbered=plain),
        {} if plain else {None: UNKNOWN, False: 0, True: 1},
    )


def _insert(
    table: Table, given: Sequence[str], always: Mapping[str, Any], *, numbered: bool
) -> str:
    names = [*given, *always]
    assert sorted(names) == sorted(column.name for column in inserted(table))
    if numbered:
        terms = [f"${place}" for place, _ in enumerate(given, 1)]
    else:
        terms = [f"nullif(?, {UNKNOWN})" if table.c[name].nullable else "?" for name in given]
    terms += map(_literal, always.values())
    return (
        f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join(terms)})"  # noqa: S608  words of ours
        " ON CONFLICT DO NOTHING"
    )


def _literal(value: str | int | None) -> str:
    """A word of ours as SQL has it."""
    if value is None:
        return "NULL"
    return f"'{value}'" if isinstance(value, str) else str(value)


_END = SURE + UNSURE
_CALLS = len(CALL) - SURE


def add_served(
    rows: ServedRows, served: Iterable[Served], batch: int, spelt: Mapping[Any, Any]
) -> None:
    """Adds the parameters of such calls."""
    calls, tries, paid = rows.calls.append, rows.tries.append, rows.paid.append
    spell = spelt.get
    its = (batch,)
    payers: tuple[Payer, ...] | None = None
    words = ""
    for each in served:
        facts = each.facts
        said = facts[SURE:_END]
        if spelt:
            said = tuple(map(spell, said, said))
        calls(facts[:SURE] + said[:_CALLS] + its)
        stake = each.stake
        if stake is None:
            tries(said[OWN:] + facts[_END:])
        else:
            if stake.payers is not payers:  # mostly they are those of the call before
                payers = stake.payers
                words = words_of(payers)
            paid(said[OWN:] + facts[_END:] + (stake.pico, words))


_PLACE = {name: place for place, name in enumerate(CALL)}
PROVIDER = _PLACE["provider"]
"""Where the facts say who has served."""
_created = itemgetter(_PLACE["created_us"])
_kind = itemgetter(
    *map(
        _PLACE.__getitem__,
        (
            *("tenant", "key_id", "provider", "model", "caller", "project", "end_user", "tags"),
            *("operation", "tokens_from", "cost_from"),
        ),
    )
)
_numbers = itemgetter(
    *map(
        _PLACE.__getitem__,
        (
            *("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"),
            *("reasoning_tokens", "cost_pico", "charged_pico"),
            *("audio_input_tokens", "audio_output_tokens", "web_searches"),
        ),
    )
)


attempt_of = itemgetter(ATTEMPT.index("attempt_id"))
"""The attempt's id, of the parameters of its row."""


def call_of(served: Served) -> str:
    """The call's id."""
    return str(served.facts[0])


def count_served(sums: Added, served: Iterable[Served]) -> None:
    """Adds such calls to the sums, of each kind all at once."""
    alike: defaultdict[Any, list[Row]] = defaultdict(list)
    for each in served:
        facts = each.facts
        alike[_created(facts) // HOUR_US, _kind(facts)].append(_numbers(facts))
    for (hour, kind), numbers in alike.items():
        added = [sum(filter(None, column)) for column in zip(*numbers, strict=True)]
        tenant, key_id, *names, operation, tokens_from, cost_from = kind
        how = (CALL_ALWAYS["status"], operation, True, tokens_from, cost_from)
        *plain, audio_in, audio_out, searches = added
        media = (audio_in, audio_out, 0, 0, searches, 0, 0)
        sums.add((tenant, key_id, hour, *names, *how), [len(numbers), *plain, 0, *media])
