"""What the last calls would have met under another configuration: another model, a refusal, another price.

The ledger keeps what was asked for and what it consumed, and nobody's words. So each call is planned twice,
under the configuration in force and under the other one, with healthy providers and the same dice: where
the two plans begin with another model, the call would have gone there. What depends on the words (tools,
pictures, a request's own wishes) is not known, is the same for both, and is told as such.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, TypeAlias, cast, get_args

from msgspec import Struct
from msgspec.structs import replace

from dragoman.accounting.entry import RequestRow
from dragoman.accounting.price import settle
from dragoman.accounting.settling import usage_of
from dragoman.assembly.assemble import Assembly
from dragoman.catalog.registry import Registry
from dragoman.catalog.resolve import ListingsNeeded
from dragoman.core import money
from dragoman.core.errors import GatewayError
from dragoman.core.provider import Family, Operation, Plan, Price
from dragoman.health.health import Health
from dragoman.routing.needs import Needs
from dragoman.routing.route import route
from dragoman.routing.sight import Sight
from dragoman.routing.strategies import Turns

Effect: TypeAlias = Literal[
    "same", "fallback", "rerouted", "repriced", "refused", "served", "unknown"
]
"""``fallback``: only who comes after the first is another. ``served``: what was refused would be answered.
``unknown``: the ledger does not tell enough to plan the call as it was."""

CANNOT_KNOW = (
    "What a request needs (tools, pictures) and its own `routing`, `models` or `provider` are not replayed.",
    "A call on a provider's router (/v2 to /v6) is replayed as one under /v1.",
    "Health is not replayed: every provider is taken for well, and nobody for quicker than another.",
    "Another model would have counted and written other tokens; the old counts are priced.",
    "Limits are counted from the first of these calls on, by the tokens that were used; allowances are not.",
    "Budgets are not replayed: every call is taken to be paid for.",
)
_PER_CALL = frozenset({"weighted", "round-robin", "sticky"})
"""Strategies whose choice is another for each call."""
_MOST_KEPT = 4096
_MOST_NAMES = 5


class Group(Struct):
    """Calls with one fate."""

    effect: Effect
    requested: str
    before: str
    after: str
    reason: str = ""
    calls: int = 0
    callers: list[str] = []
    cost_before: Decimal = Decimal(0)
    cost_after: Decimal = Decimal(0)
    unpriced: int = 0
    """Calls whose cost is unknown before or after; they are in neither sum."""


@dataclass
class Replay:
    """The fates of all calls so far."""

    before: Assembly
    after: Assembly
    groups: dict[tuple[str, ...], Group] = field(default_factory=dict)
    calls: int = 0
    elsewhere: int = 0
    """Calls that the configuration in force would plan for another model than the one that served."""

    def __post_init__(self) -> None:
        self._sides = (_Side(self.before), _Side(self.after))

    def feed(self, calls: Iterable[RequestRow]) -> None:
        """Replays some calls."""
        for call in calls:
            self._one(call)

    def totals(self) -> dict[Effect, int]:
        """How many calls met which fate."""
        found: dict[Effect, int] = dict.fromkeys(get_args(Effect), 0)
        for group in self.groups.values():
            found[group.effect] += group.calls
        return found

    def _one(self, call: RequestRow) -> None:
        self.calls += 1
        if call.dialect not in get_args(Family) or call.operation not in get_args(Operation):
            self._add(call, "unknown", "", "", "the ledger's words for it are not known here")
            return
        for side in self._sides:
            side.learn(call)
        was, now = (side.plan(call) for side in self._sides)
        recorded = f"{call.provider}/{call.model}" if call.provider else ""
        if isinstance(was, str):
            if recorded:
                self._add(call, "unknown", recorded, "", was)
            elif isinstance(now, str):
                self._add(call, "same", "", "", was)
            else:
                self._add(call, "served", "", _first(now), "")
            return
        if isinstance(now, str):
            self._add(call, "refused", recorded or _first(was), "", now)
            return
        if not recorded:
            # It was refused for a reason that is not in the file: a limit, a bad body.
            self._add(call, "same", "", "", "")
            return
        self.elsewhere += recorded != _first(was)
        if _first(was) != _first(now):
            self._add(call, "rerouted", recorded, _first(now), "")
        elif self._prices(call, recorded)[0] != self._prices(call, recorded)[1]:
            self._add(call, "repriced", recorded, recorded, "")
        else:
            same = _names(was) == _names(now)
            self._add(call, "same" if same else "fallback", recorded, recorded, "")

    def _prices(self, call: RequestRow, target: str) -> tuple[Price | None, Price | None]:
        first, second = (side.price(call, target) for side in self._sides)
        return first, second

    def _add(self, call: RequestRow, effect: Effect, before: str, after: str, reason: str) -> None:
        key = (effect, call.requested_model, before, after, reason)
        group = self.groups.get(key)
        if group is None:
            if len(self.groups) >= _MOST_KEPT:
                key = (effect, "", "", "", "")
                group = self.groups.get(key)
            if group is None:
                group = self.groups[key] = Group(effect, *key[1:])
        group.calls += 1
        if call.caller not in group.callers and len(group.callers) < _MOST_NAMES:
            group.callers.append(call.caller)
        self._charge(group, call, effect, after)

    def _charge(self, group: Group, call: RequestRow, effect: Effect, after: str) -> None:
        was = (
            money.from_pico(call.consumed.cost_pico)
            if call.consumed.cost_pico is not None
            else None
        )
        match effect:
            case "rerouted" | "repriced":
                now = settle(usage_of(call.consumed), self._sides[1].price(call, after))[0]
            case "refused":
                now = Decimal(0)
            case _:
                now = was
        if was is None or now is None:
            # What reached nobody has cost nothing.
            group.unpriced += call.provider is not None
            return
        group.cost_before += was
        group.cost_after += now


class _Side:
    """One configuration, planning calls."""

    def __init__(self, built: Assembly) -> None:
        self._built = built
        self._registry: Registry = built.registry
        self._declared: dict[str, dict[str, None]] = {
            name: dict.fromkeys(models) for name, models in built.registry.declared.items()
        }
        self._health = Health()
        self._turns = Turns()
        self._known: dict[tuple[str, ...], Plan | str] = {}

    def learn(self, call: RequestRow) -> None:
        """A model that has served is one that its provider has, whatever the bundled list says."""
        if (
            call.provider is None
            or call.model is None
            or call.provider not in self._registry.providers
        ):
            return
        if call.status != "complete" or self._registry.knows(call.provider, call.model):
            return
        self._declared.setdefault(call.provider, {})[call.model] = None
        declared = {name: tuple(models) for name, models in self._declared.items()}
        self._registry.declared = declared
        self._registry.memory.clear()
        self._known.clear()

    def plan(self, call: RequestRow) -> Plan | str:
        """The plan of a call, or why there is none."""
        key = (call.requested_model, call.dialect, call.operation, str(call.stream))
        known = self._known.get(key)
        if known is not None:
            return known
        found = self._route(call)
        chosen_by = found.strategy if isinstance(found, Plan) else None
        auto = call.requested_model.strip() == "auto"
        if chosen_by not in _PER_CALL and not (auto or chosen_by == "cost"):
            if len(self._known) >= _MOST_KEPT:
                self._known.clear()
            self._known[key] = found
        return found

    def _route(self, call: RequestRow) -> Plan | str:
        dice = random.Random(call.call_id).random  # noqa: S311  both sides throw alike
        sight = Sight(
            self._registry,
            self._health,
            self._built.pools,
            0.0,
            cast("Operation", call.operation),
            cast("Family", call.dialect),
            None,
            call.created_us / 1_000_000,
            dice,
            self._turns,
            self._built.settings.routing_strategy,
            Needs(
                input_tokens=call.consumed.input_tokens or 0,
                output_tokens=call.consumed.output_tokens or 0,
            ),
        )
        try:
            plan = route(call.requested_model, sight, asked=True)
        except GatewayError as error:
            return error.message
        assert not isinstance(plan, ListingsNeeded), "they count as asked"
        return plan

    def price(self, call: RequestRow, target: str) -> Price | None:
        """The price of a model when the call was made."""
        provider, _, model = target.partition("/")
        if provider not in self._registry.providers:
            return None
        return self._registry.price(provider, model, call.created_us / 1_000_000)


def _first(plan: Plan) -> str:
    return _names(plan)[0]


def _names(plan: Plan) -> list[str]:
    return list(dict.fromkeys(f"{each.provider.name}/{each.model}" for each in plan.candidates))


def sorted_groups(replay: Replay) -> list[Group]:
    """What would be different, the most expensive change first; what stays as it is comes last."""
    changed = [group for group in replay.groups.values() if group.effect != "same"]
    changed.sort(key=lambda group: (-abs(group.cost_after - group.cost_before), -group.calls))
    return [replace(group, callers=sorted(group.callers)) for group in changed]
