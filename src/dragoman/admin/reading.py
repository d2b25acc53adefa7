"""Reads a body as strictly as JSON allows: nothing is guessed, and nobody reads it in two ways (D8).

A name that stands twice, NaN, a number beyond reason, half a character: each is refused, for what
manages a gateway must mean one thing.
"""

from __future__ import annotations

import json
from typing import Any

from dragoman.core.errors import CallerError, invalid

DEEPEST = 32


def read_body(data: bytes, content_type: str) -> Any:
    """The value of a body.

    Raises:
        CallerError: it is not said to be JSON (415), or is none that has one meaning (400).
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind != "application/json":
        # A browser sends other types across origins without asking (W1).
        raise CallerError(
            "invalid_request",
            "The body must be JSON: send it with the header 'content-type: application/json'.",
            status=415,
            code="unsupported_media_type",
        )
    try:
        value = json.loads(
            data.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant
        )
    except UnicodeDecodeError:
        raise _broken("it is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise _broken(f"{error.msg} at character {error.pos}") from None
    except RecursionError:
        raise _broken("it is nested too deeply") from None
    except ValueError:
        raise _broken("a number has too many digits") from None
    _check(value, 0)
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise invalid(
            f"The member {_shown(twice)} is there twice: say it once.",
            _shown(twice),
            "invalid_json",
        )
    return found


def _no_constant(name: str) -> Any:
    raise _broken(f"{name} is no JSON number")


def _check(value: Any, depth: int) -> None:
    if depth > DEEPEST:
        raise _broken("it is nested too deeply")
    match value:
        case str():
            if not value.isascii() and any("\ud800" <= sign <= "\udfff" for sign in value):
                raise _broken("it holds half a character (a lone surrogate)")
        case float():
            if value in {float("inf"), float("-inf")}:
                raise _broken("a number is too large")
        case dict():
            for name, inside in value.items():
                _check(name, depth)
                _check(inside, depth + 1)
        case list():
            for inside in value:
                _check(inside, depth + 1)
        case _:
            pass


def _shown(name: str) -> str:
    """A foreign name, as it may stand in a message."""
    return ascii(name[:64])[1:-1]


def _broken(why: str) -> CallerError:
    return invalid(f"The request body is no JSON that can be used: {why}.", code="invalid_json")
