"""What callers and administrators are told of what was used, made of what the process has.

Whatever is asked for, this process's own calls are brought to the ledger first (D26).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import msgspec

from dragoman.accounting.asked import DIMENSIONS, parse_asked
from dragoman.accounting.ports import Scope
from dragoman.accounting.question import Reports
from dragoman.accounting.usage import Document, Exports, all_calls, own_usage
from dragoman.catalog.recommend import MOST, TASKS, recommend
from dragoman.core.call import Call, Caller
from dragoman.core.errors import invalid
from dragoman.core.money import plain
from dragoman.live_models import LiveModels, candidates_of
from dragoman.services import Services
from dragoman.surface.pages import Reach

_LONGEST_TASK = 500


@dataclass(frozen=True, slots=True)
class UsagePages:
    """The pages of one process."""

    services: Services
    reports: Reports
    exports: Exports
    live: LiveModels

    async def own(self, call: Call) -> Document:
        """What the presented key has used, as the query asks for it."""
        caller = _caller(call)
        asked = parse_asked(call.query)
        await self.services.house.accountant.flush()
        scope = Scope(caller.tenant, caller.key_id, asked.since_us, asked.until_us)
        return await own_usage(
            self.services.house.accountant.writer.ledger, self.reports, scope, asked
        )

    async def recommend(self, call: Call) -> bytes:
        """The models that suit the task of the query best, and why."""
        task, limit = call.query.get("task", "").strip(), call.query.get("limit", "5")
        if not 0 < len(task) <= _LONGEST_TASK:
            raise invalid(
                f"Say the task in the query, as ?task=code; {', '.join(each.name for each in TASKS)} are "
                "known, and words that speak of one of them.",
                "task",
            )
        if not (limit.isascii() and limit.isdigit() and 1 <= int(limit) <= MOST):
            raise invalid(f"limit must be a whole number from 1 to {MOST}.", "limit")
        house = self.services.house
        caller = _caller(call)
        cards = await self.live.cards(None, caller)
        registry = await self.live.registry(caller)
        among = candidates_of(cards, registry, house.health, house.clock.monotonic())
        found = recommend(task, among, int(limit))
        return msgspec.json.encode(found, enc_hook=_plain)

    async def calls(self, call: Call, reach: Reach) -> Document:
        """Every call of the caller's tenant, or of all."""
        caller = _caller(call)
        asked = parse_asked(
            {"format": "csv", **call.query, "group": "request"}, DIMENSIONS, wide=True
        )
        if asked.form == "json":
            raise invalid("format is 'json'; a file of calls is csv or jsonl.", "format")
        tenant = asked.tenant
        if reach == "tenant":
            if tenant not in {None, caller.tenant}:
                raise invalid("tenant is not yours: leave it out.", "tenant")
            tenant = caller.tenant
        await self.services.house.accountant.flush()
        scope = Scope(tenant, asked.key_id, asked.since_us, asked.until_us)
        return all_calls(self.exports, scope, asked)


def usage_pages(services: Services, live: LiveModels) -> UsagePages:
    """The pages over a process's own database."""
    from dragoman.store.sql.exports import SqlExports  # noqa: PLC0415  SQL only where it is needed
    from dragoman.store.sql.summing import Summing  # noqa: PLC0415

    return UsagePages(services, Summing(services.database), SqlExports(services.database), live)


def _plain(value: object) -> str:
    assert isinstance(value, Decimal), "nothing else needs another form"
    return plain(value)


def _caller(call: Call) -> Caller:
    assert call.caller is not None, "the route needs a caller"
    return call.caller
