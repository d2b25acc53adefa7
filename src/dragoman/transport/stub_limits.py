"""What bounds an answer of the stub: its tokens, its stop sequences, and how many answers are asked.

A token is four characters here, whatever they are: few enough that a small limit cuts, and the
same in every answer, so that usage and limit agree.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, assert_never

from msgspec import Struct

from dragoman.transport.stub_answer import Refusal, ToolCall, Words
from dragoman.transport.stub_value import Json

__all__ = ["Bounds", "Ended", "bounded", "bounds", "tokens"]

Finish: TypeAlias = Literal["stop", "length", "tool_calls"]

_TOKEN = 4
_MOST_CHOICES = 128
_MOST_STOPS = 4
_LIMITS = ("max_completion_tokens", "max_tokens")


class Bounds(Struct, frozen=True):
    """What the request says of an answer's size."""

    tokens: int | None
    stops: tuple[str, ...]
    choices: int


class Ended(Struct, frozen=True):
    """What is left of an answer within its bounds, and why it ends."""

    said: Words | ToolCall
    finish: Finish
    tokens: int


def tokens(text: str) -> int:
    """The tokens of a text, the last one begun."""
    return -(-len(text) // _TOKEN)


def bounds(body: Json) -> Bounds | Refusal:
    """The bounds of a request, or which member is wrong."""
    sizes: list[int] = []
    for name, most in (*((each, None) for each in _LIMITS), ("n", _MOST_CHOICES)):
        value = _whole(body, name, most)
        if isinstance(value, Refusal):
            return value
        if value is not None and name in _LIMITS:
            sizes.append(value)
    stops = _stops(body.get("stop"))
    if isinstance(stops, Refusal):
        return stops
    choices = body.get("n")
    return Bounds(min(sizes, default=None), stops, choices if isinstance(choices, int) else 1)


def _whole(body: Json, name: str, most: int | None) -> int | Refusal | None:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        return Refusal(f"Invalid type for '{name}': expected an integer.", name, "invalid_type")
    if value < 1:
        told = f"Invalid '{name}': expected a value of at least 1, but got {value}."
        return Refusal(told, name, "integer_below_min_value")
    if most is not None and value > most:
        told = f"Invalid '{name}': expected a value of at most {most}, but got {value}."
        return Refusal(told, name, "integer_above_max_value")
    return value


def _stops(value: object) -> tuple[str, ...] | Refusal:
    """One text or a list of at most four; an empty one stops nothing."""
    given = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
        told = "Invalid type for 'stop': expected a string or an array of strings."
        return Refusal(told, "stop", "invalid_type")
    if len(given) > _MOST_STOPS:
        told = f"Invalid 'stop': expected at most {_MOST_STOPS} sequences, but got {len(given)}."
        return Refusal(told, "stop", "array_above_max_length")
    return tuple(each for each in given if each)


def bounded(said: Words | ToolCall, within: Bounds) -> Ended:
    """An answer up to its first stop sequence or its last token; a call knows no stop sequence."""
    match said:
        case Words():
            text = "".join(said.pieces)
            ends = [at for stop in within.stops if (at := text.find(stop)) >= 0]
            text, is_cut = _cut(text[: min(ends, default=len(text))], within.tokens)
            words = Words(_again(said.pieces, len(text)))
            return Ended(words, "length" if is_cut else "stop", tokens(text))
        case ToolCall():
            name = tokens(said.name)
            left = None if within.tokens is None else max(0, within.tokens - name)
            given, is_cut = _cut(said.given, left)
            call = ToolCall(said.name, given, said.custom)
            spent = name + tokens(given)
            if within.tokens is not None:
                spent = min(spent, within.tokens)
            return Ended(call, "length" if is_cut else "tool_calls", spent)
        case _:
            assert_never(said)


def _cut(text: str, most: int | None) -> tuple[str, bool]:
    if most is None or tokens(text) <= most:
        return text, False
    return text[: most * _TOKEN], True


def _again(pieces: tuple[str, ...], length: int) -> tuple[str, ...]:
    """The first characters of the pieces, cut where the pieces were."""
    kept: list[str] = []
    for piece in pieces:
        if length <= 0:
            break
        kept.append(piece[:length])
        length -= len(piece)
    return tuple(kept)
