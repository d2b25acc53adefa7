"""What a caller may say about routing: ``routing`` and OpenRouter's ``models``, read strictly.

A wish that is not understood is refused: one that is silently ignored is a request served by
someone whom the caller wanted to exclude. Who cannot say how many tries it wants in the request's body says
it in a header. ``provider`` is read by ``preferences.py``, and only
where somebody else than OpenRouter may serve.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import get_args

import msgspec
from msgspec import Raw, Struct

from dragoman.catalog.routes import no_strategy, strategy_named
from dragoman.core.ask import Ask
from dragoman.core.errors import CallerError, invalid
from dragoman.core.provider import Family, Strategy
from dragoman.routing.members import peek, read_member

MOST_MODELS = 16
MOST_ATTEMPTS = 10
ATTEMPTS = "x-dragoman-max-attempts"
"""The header that says ``routing.max_attempts``, where the body does not."""


class Wish(Struct, frozen=True):
    """The caller's own words on who may serve."""

    max_attempts: int | None = None
    fallback: tuple[str, ...] = ()
    """Models to try after the one that is named, in order."""
    listed: tuple[str, ...] = ()
    """OpenRouter's ``models``: the same, unless the call goes to OpenRouter, which walks them itself."""
    strategy: Strategy | None = None
    """How one of them is chosen; None: in the order in which they are named."""
    max_latency_s: float | None = None
    """Who has lately been slower goes behind the others."""
    max_cost: Decimal | None = None
    """USD that the request may cost, as far as it can be foreseen."""
    provider: bytes | None = None
    """OpenRouter's ``provider``, unread."""
    hedge: bool | None = None
    """Whether a second try may be made beside one that is slow."""


NONE = Wish()


class _Routing(Struct, frozen=True, forbid_unknown_fields=True):
    max_attempts: int | None = None
    fallback: tuple[str, ...] | None = None
    strategy: str | None = None
    max_latency_ms: float | None = None
    max_cost: Decimal | None = None
    hedge: bool | None = None


_ROUTING = msgspec.json.Decoder(_Routing | None)
_SAYS_PROVIDER: frozenset[Family] = frozenset({"chat", "responses", "completions"})
"""Families whose requests may have OpenRouter's ``provider``; elsewhere the word is another's."""
_STEERS = frozenset({"routing", "models"})
"""Members by which a request says who may answer it."""
_STEERS_WITH_PROVIDER = _STEERS | {"provider"}
STEERING: dict[Family, frozenset[str]] = {
    family: _STEERS_WITH_PROVIDER if family in _SAYS_PROVIDER else _STEERS
    for family in get_args(Family)
}
_MEMBERS = msgspec.json.Decoder(dict[str, Raw] | None)
_ENCODE = msgspec.json.Encoder().encode
_MODELS = msgspec.json.Decoder(tuple[str, ...] | None)


def with_attempts(ask: Ask, headers: Mapping[str, str]) -> Ask:
    """The request as if its body said what a header does of its tries; what the body says goes before.

    Raises:
        CallerError: the header holds no number of tries.
    """
    given = headers.get(ATTEMPTS)
    if given is None:
        return ask
    said = given.strip()
    is_short = said.isascii() and said.isdigit() and len(said) < 3
    if not (is_short and 1 <= int(said) <= MOST_ATTEMPTS):
        shown = said if len(said) <= 40 else said[:40] + "…"
        raise invalid(
            f"{ATTEMPTS} must be a whole number from 1 to {MOST_ATTEMPTS}, not {shown!r}.",
            ATTEMPTS,
            "invalid_field_value",
        )
    spoken = ask.members.get("routing")
    # What cannot be read is refused where it is read.
    routing = {} if spoken is None else peek(_MEMBERS, spoken, {"max_attempts": spoken})
    if routing and "max_attempts" in routing:
        return ask
    tries = Raw(str(int(said)).encode("ascii"))
    members = ask.members | {"routing": Raw(_ENCODE({**(routing or {}), "max_attempts": tries}))}
    return Ask(ask.body, members, ask.model, ask.stream)


def parse_wish(
    routing: Raw | bytes | None,
    models: Raw | bytes | None = None,
    provider: Raw | bytes | None = None,
) -> Wish:
    """The wish in a request's members ``routing``, ``models`` and ``provider``.

    Raises:
        CallerError: a member is unknown, of the wrong type or out of range; the message names it.
    """
    if routing is None and models is None and provider is None:
        return NONE
    said = (None if routing is None else read_member(_ROUTING, routing, "routing")) or _Routing()
    listed = (None if models is None else read_member(_MODELS, models, "models")) or ()
    attempts = said.max_attempts
    if attempts is not None and not 1 <= attempts <= MOST_ATTEMPTS:
        raise invalid(
            f"routing.max_attempts must be between 1 and {MOST_ATTEMPTS}, not {attempts}.",
            "routing.max_attempts",
            "invalid_field_value",
        )
    fallback = said.fallback or ()
    if len(fallback) + len(listed) > MOST_MODELS:
        raise invalid(
            f"{len(fallback) + len(listed)} models are named to fall back on; at most {MOST_MODELS} are accepted.",
            "models" if listed else "routing.fallback",
            "invalid_field_value",
        )
    latency = said.max_latency_ms
    if latency is not None and latency <= 0:
        raise _not_positive("routing.max_latency_ms", latency)
    cost = said.max_cost
    if cost is not None and not (cost.is_finite() and cost > 0):
        raise _not_positive("routing.max_cost", cost)
    return Wish(
        attempts,
        fallback,
        listed,
        _strategy(said.strategy),
        None if latency is None else latency / 1000,
        cost,
        None if provider is None or bytes(provider) == b"null" else bytes(provider),
        said.hedge,
    )


def _strategy(said: str | None) -> Strategy | None:
    if said is None:
        return None
    strategy = strategy_named(said)
    if strategy is None:
        raise invalid(
            f"routing.strategy: {no_strategy(said)}", "routing.strategy", "invalid_field_value"
        )
    return strategy


def _not_positive(param: str, value: object) -> CallerError:
    return invalid(f"{param} must be more than 0, not {value}.", param, "invalid_field_value")
