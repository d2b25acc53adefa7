"""Bundled facts and prices of models, and the rule by which an id is one of them.

**A price is never a guess.** An id has a price if it is the catalogue's own, one of the spellings
that the catalogue lists, or one of these with a version behind it (``-2024-08-06``,
``-20250929``, ``@20250929``, ``-latest``). Anything further behind it (``gpt-4o--x12``, a fine-tune)
is an unknown model with an unknown price. The catalogue's looser patterns ("starts with",
"contains") are therefore not used as patterns.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, time
from decimal import Decimal
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from dragoman.catalog.genai.bundled import bundled_version, read_bundled
from dragoman.catalog.schema import Definition
from dragoman.catalog.tariff import Units, price_of, times
from dragoman.core.provider import Price
from dragoman.core.usage import USUAL_TIERS

VERSION = re.compile(r"(?:-\d{4}-\d{2}-\d{2}|[-@]\d{8}|-latest)$")
_SHORT_VERSION = re.compile(r"-\d{3,4}$")
"""``-2506``, ``-001``: a version only behind a name for which the catalogue takes any ending."""
_DAY_S = 86_400
_TIERS = {("processing", "batch"): "batch", ("speed", "fast"): "fast"}
"""Variants of a price that providers tell as a service tier, or beside it, under another name here."""


class When(Struct, frozen=True):
    """When a price holds: from a day on, within hours of the day, or always; UTC."""

    start: str = ""
    start_s: float | None = None
    hours: tuple[float, float] | None = None

    def holds(self, wall: float) -> bool:
        """Whether it holds at that Unix time."""
        if self.start_s is not None:
            return wall >= self.start_s
        if self.hours is None:
            return True
        begin, end = self.hours
        now = wall % _DAY_S
        return begin <= now < end if begin <= end else now >= begin or now < end


class Dated(Struct, frozen=True):
    """Prices by unit and when they hold; ``tier`` is a service tier, empty for the ordinary ones."""

    units: Units
    when: When = When()
    tier: str = ""


@dataclass(slots=True)
class Model:
    """One model as the bundled catalogue knows it."""

    id: str
    name: str | None
    context_tokens: int | None
    dated: tuple[Dated, ...]
    variants: tuple[Dated, ...] = ()
    source: str = ""
    tiers_alike: tuple[str, ...] = ()
    """Service tiers that cost what the usual one does."""
    places: dict[str, Decimal] = field(default_factory=dict)
    """By how much tokens are dearer where an answer has to be made in a place."""
    _made: dict[tuple[int, ...], Price | None] = field(default_factory=dict, repr=False)

    def price(self, wall: float) -> Price | None:
        """The price at a Unix time, with those of other service tiers; None: unknown."""
        if not self.dated:
            return None
        # Of several the last that holds counts; where none does, the first (genai-prices' rule).
        index = next(
            (at for at in range(len(self.dated) - 1, -1, -1) if self.dated[at].when.holds(wall)), 0
        )
        variants = self.variants
        key = (index, *[at for at, item in enumerate(variants) if item.when.holds(wall)])
        if key not in self._made:
            self._made[key] = self._price(self.dated[index], [variants[at] for at in key[1:]])
        return self._made[key]

    def _price(self, chosen: Dated, variants: list[Dated]) -> Price | None:
        start = chosen.when.start
        usual = price_of(chosen.units, self.source, start)
        if usual is None:
            return None
        tiers = dict.fromkeys(self.tiers_alike, usual)
        for item in reversed(variants):  # of several of one tier the first counts
            other = price_of({**chosen.units, **item.units}, self.source, start)
            if other is not None:
                tiers[item.tier] = other
        for place, factor in self.places.items():
            tiers |= {f"{tier} {place}": times(price, factor) for tier, price in tiers.items()}
            tiers[place] = times(usual, factor)
        return replace(usual, tiers=tiers)


@dataclass(slots=True)
class Shelf:
    """The models of one provider: by every spelling in lower case, and by prefix."""

    names: dict[str, Model] = field(default_factory=dict)
    prefixes: dict[str, Model] = field(default_factory=dict)
    patterns: list[tuple[re.Pattern[str], Model]] = field(default_factory=list)
    ids: dict[str, Model] = field(default_factory=dict)
    """What is listed: the provider's own spelling of each."""

    def find(self, model: str) -> Model | None:
        """The model that an id means, by the rule above."""
        name = model.lower()
        found = self._exact(name)
        if found is None and (version := VERSION.search(name)) is not None:
            found = self._exact(name[: version.start()])
        if found is None and (version := _SHORT_VERSION.search(name)) is not None:
            found = self.prefixes.get(name[: version.start()])
        return found

    def _exact(self, name: str) -> Model | None:
        found = self.names.get(name)
        if found is None:
            found = next((model for rule, model in self.patterns if rule.search(name)), None)
        return found


def read_shelves(definitions: Iterable[Definition]) -> dict[str, Shelf]:
    """The shelves of these providers, by genai-prices' names of them."""
    wanted = {each.prices: each for each in definitions if each.prices}
    if not wanted:
        return {}
    source = bundled_version()
    return {
        provider.id: _shelf(provider.models, wanted[provider.id], source)
        for provider in read_bundled()
        if provider.id in wanted
    }


def _shelf(models: Iterable[Any], definition: Definition, source: str) -> Shelf:
    marker, elsewhere = definition.id_marker, definition.sold_elsewhere
    shelf = Shelf()
    own_ids: dict[str, Model] = {}
    for info in models:
        if "ft:" in info.id or ".ft-" in info.id or info.id.startswith(elsewhere):
            continue  # fine-tunes have ids of their own; these entries are patterns
        model = Model(
            id=info.id,
            name=info.name,
            context_tokens=info.context_window,
            dated=tuple(_dated(info.prices)),
            variants=tuple(_variants(info.price_variants or ())),
            source=source,
            tiers_alike=definition.tiers_alike,
            places=definition.places,
        )
        own_ids[info.id.lower()] = model
        spellings = [info.id]
        for kind, text in _spellings(info.match):
            if kind == "ClauseRegex":
                if text.startswith("^") and text.endswith("$"):
                    shelf.patterns.append((re.compile(text), model))
                continue
            if kind == "ClauseStartsWith":
                shelf.prefixes.setdefault(text.rstrip("-@").lower(), model)
            spellings.append(text)
        for spelling in spellings:
            shelf.names.setdefault(spelling.lower(), model)
        own = [spelling for spelling in spellings if marker in spelling] if marker else [info.id]
        if info.deprecated is not True and _is_charged_by_tokens(model):
            shelf.ids.update(dict.fromkeys(own, model))
    # A model's own id wins over another's list of spellings.
    shelf.names.update(own_ids)
    return shelf


def _is_charged_by_tokens(model: Model) -> bool:
    """Chat and embedding models are; transcription, speech and pages are another surface's."""
    return any("input_mtok" in item.units for item in model.dated)


def _spellings(clause: Any) -> Iterator[tuple[str, str]]:
    """Kind and text of the clauses that name an id; what only hints at one is left out."""
    kind = type(clause).__name__
    if kind == "ClauseOr":
        for inner in clause.or_:
            yield from _spellings(inner)
    elif kind == "ClauseEquals":
        yield kind, clause.equals
    elif kind == "ClauseStartsWith":
        yield kind, clause.starts_with
    elif kind == "ClauseRegex":
        yield kind, clause.regex


def _units(price: Any) -> Units:
    members = getattr(price, "prices", None)
    if not isinstance(members, dict):
        members = vars(price)
    return {unit: value for unit, value in members.items() if value is not None}


def _dated(prices: Any) -> Iterator[Dated]:
    if not isinstance(prices, list):
        yield Dated(_units(prices))
        return
    for item in prices:
        yield Dated(_units(item.prices), _when(item.constraint))


def _variants(variants: Iterable[Any]) -> Iterator[Dated]:
    for item in variants:
        if len(item.when) != 1:
            continue
        [(name, value)] = item.when.items()
        tier = value if name == "service_tier" else _TIERS.get((name, value))
        if tier is not None and tier not in USUAL_TIERS:
            yield Dated(_units(item.prices), _when(item.constraint), tier)


def _when(constraint: Any) -> When:
    if constraint is None:
        return When()
    start = getattr(constraint, "start_date", None)
    if isinstance(start, date):
        days = start.toordinal() - date(1970, 1, 1).toordinal()
        return When(start.isoformat(), float(days * _DAY_S))
    return When(hours=(_seconds(constraint.start_time), _seconds(constraint.end_time)))


def _seconds(moment: time) -> float:
    """Seconds of the UTC day; a time without a zone is UTC."""
    offset = moment.utcoffset()
    shift = offset.total_seconds() if offset is not None else 0.0
    return (moment.hour * 3600 + moment.minute * 60 + moment.second - shift) % _DAY_S
