"""OpenRouter's `provider` object, kept towards everybody else: who may serve, in which order, at which price.

OpenRouter itself gets the member untouched and reads it itself. Here a member that is not understood
is refused, for who is ignored by mistake serves what was not meant for him.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, TypeAlias

import msgspec
from msgspec import Raw, Struct

from dragoman.core.errors import invalid, unsupported
from dragoman.core.provider import Price, Strategy
from dragoman.routing.members import read_member

Sort: TypeAlias = Literal["price", "latency", "throughput"]


class _By(Struct, frozen=True, forbid_unknown_fields=True):
    by: Sort
    partition: Literal["model", "none"] | None = None


class MostPaid(Struct, frozen=True, forbid_unknown_fields=True):
    """The dearest price that is accepted, in USD per million tokens and per request."""

    prompt: Decimal | None = None
    completion: Decimal | None = None
    request: Decimal | None = None
    image: Decimal | None = None
    audio: Decimal | None = None


class Preferences(Struct, frozen=True, forbid_unknown_fields=True):
    """Whom the caller would have serve; what is None was not said."""

    order: tuple[str, ...] | None = None
    only: tuple[str, ...] | None = None
    ignore: tuple[str, ...] | None = None
    allow_fallbacks: bool | None = None
    require_parameters: bool | None = None
    data_collection: Literal["allow", "deny"] | None = None
    zdr: bool | None = None
    enforce_distillable_text: bool | None = None
    quantizations: tuple[str, ...] | None = None
    sort: Sort | _By | None = None
    max_price: MostPaid | None = None

    @property
    def strategy(self) -> Strategy | None:
        """The strategy that ``sort`` means."""
        match self.sort.by if isinstance(self.sort, _By) else self.sort:
            case "price":
                return "cost"
            case "latency":
                return "latency"
            case _:
                return None

    def excludes(self, provider: str) -> str | None:
        """Why a provider may not serve; None: it may."""
        if self.only is not None and not _named(provider, self.only):
            return "is not in provider.only"
        if _named(provider, self.ignore or ()):
            return "is in provider.ignore"
        if self.allow_fallbacks is False and self.order and not _named(provider, self.order):
            return "is not in provider.order, and provider.allow_fallbacks is false"
        if self.data_collection == "deny" or self.zdr:
            return "has said nothing here about what it keeps"
        if self.quantizations:
            return "has said nothing here about its quantization"
        if self.enforce_distillable_text:
            return "has said nothing here about distillation"
        return None

    def place(self, provider: str) -> int:
        """The provider's place in ``order``; behind all of it where it is not named."""
        order = self.order or ()
        return next((at for at, name in enumerate(order) if _named(provider, (name,))), len(order))

    def too_dear(self, price: Price | None) -> str | None:
        """Why the price is not accepted; None: it is. An unknown price is under no bound."""
        most = self.max_price
        if most is None:
            return None
        none = Decimal(0)
        bounds = (
            ("input", most.prompt, None if price is None else price.input),
            ("output", most.completion, None if price is None else price.output),
            ("a request", most.request, None if price is None else price.per_request or none),
        )
        for what, bound, asked in bounds:
            if bound is None:
                continue
            if asked is None:
                return "has no known price, and provider.max_price is set"
            if asked > bound:
                return f"asks {asked} USD for {what}, and provider.max_price is {bound}"
        return None


NO_PREFERENCES = Preferences()
_DECODER = msgspec.json.Decoder(Preferences | None)


def read_preferences(raw: Raw | bytes | None) -> Preferences:
    """The preferences in a request's member ``provider``.

    Raises:
        CallerError: a member is unknown, of the wrong type, or cannot be kept here.
    """
    if raw is None:
        return NO_PREFERENCES
    found = read_member(_DECODER, raw, "provider") or NO_PREFERENCES
    said = found.sort.by if isinstance(found.sort, _By) else found.sort
    if said == "throughput":
        raise unsupported(
            "provider.sort throughput is measured by OpenRouter alone; say price or latency, "
            "or name an openrouter/ model.",
            "provider.sort",
        )
    most = found.max_price
    if most is not None:
        for name in most.__struct_fields__:
            bound = getattr(most, name)
            if bound is not None and not (bound.is_finite() and bound >= 0):
                raise invalid(
                    f"provider.max_price.{name} must be 0 or more, not {bound}.",
                    f"provider.max_price.{name}",
                    "invalid_field_value",
                )
        for name in ("image", "audio"):
            if getattr(most, name) is not None:
                raise unsupported(
                    f"provider.max_price.{name} is known to OpenRouter alone; leave it out.",
                    f"provider.max_price.{name}",
                )
    return found


def _named(provider: str, names: tuple[str, ...]) -> bool:
    """OpenRouter's slugs may have an endpoint behind a slash: ``deepinfra/turbo`` is deepinfra's."""
    return any(name.lower().partition("/")[0] == provider for name in names)
