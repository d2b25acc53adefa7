"""What a caller may say about routing: ``routing`` and OpenRouter's ``models``, read strictly.

A wish that is not understood is refused: one that is silently ignored is a request served by
someone whom the caller wanted to exclude.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

from dragoman.core.errors import CallerError, invalid, unsupported

MOST_MODELS = 16
MOST_ATTEMPTS = 10


class Wish(Struct, frozen=True):
    """The caller's own words on who may serve."""

    max_attempts: int | None = None
    fallback: tuple[str, ...] = ()
    """Models to try after the one that is named, in order."""
    listed: tuple[str, ...] = ()
    """OpenRouter's ``models``: the same, unless the call goes to OpenRouter, which walks them itself."""


NONE = Wish()


class _Routing(Struct, frozen=True, forbid_unknown_fields=True):
    max_attempts: int | None = None
    fallback: tuple[str, ...] | None = None
    strategy: str | None = None


_ROUTING = msgspec.json.Decoder(_Routing | None)
_MODELS = msgspec.json.Decoder(tuple[str, ...] | None)


def parse_wish(routing: Raw | bytes | None, models: Raw | bytes | None = None) -> Wish:
    """The wish in a request's members ``routing`` and ``models``.

    Raises:
        CallerError: a member is unknown, of the wrong type or out of range; the message names it.
    """
    if routing is None and models is None:
        return NONE
    said = _read(_ROUTING, routing, "routing") or _Routing()
    listed: tuple[str, ...] = _read(_MODELS, models, "models") or ()
    if said.strategy is not None:
        raise unsupported(
            "routing.strategy chooses among models, and no routing strategy is configured; "
            "name the models in routing.fallback or models.",
            "routing.strategy",
        )
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
    return Wish(attempts, fallback, listed)


def _read(decoder: msgspec.json.Decoder[Any], raw: Raw | bytes | None, param: str) -> Any:
    if raw is None:
        return None
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise invalid(f"{param}: {error}.", param, "invalid_field_type") from None
    except (msgspec.DecodeError, RecursionError):
        raise CallerError(
            "invalid_request", f"{param} is not valid JSON.", code="invalid_request", param=param
        ) from None
