"""What all surfaces have in common: a question, what an answer told, and how a grammar is held."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec
from msgspec import Struct

__all__ = ["Broken", "Call", "Question", "Surface", "Told", "frames", "member", "parsed", "wanted"]

PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
"""Of the one tool, and of structured output."""
TOOL = "get_weather"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


class Broken(Exception):  # noqa: N818 - it says what is broken
    """The grammar does not hold; the message is one sentence."""


class Call(Struct, frozen=True):
    """A tool call of an answer."""

    id: str
    name: str
    arguments: dict[str, Any]
    raw: Any = None
    """The part as it came, for dialects that want it back whole."""


class Question(Struct, frozen=True):
    """What is asked, for every dialect to spell."""

    text: str = "Say hello in one sentence."
    system: str = ""
    limit: int = 512
    stop: str = ""
    """Where the answer shall end, in dialects that know stop sequences."""
    tool: bool = False
    schema: bool = False
    image: bool = False
    done: Call | None = None
    """A call that was made, whose result this question brings."""


class Told(Struct, frozen=True):
    """What an answer told."""

    text: str
    calls: list[Call]
    finish: str
    """``stop``, ``length`` or ``tools``; else the dialect's own word."""
    id: str = ""
    """The answer's own id, in dialects that have one."""
    spent: int | None = None
    """The tokens of the answer."""


class Surface(Protocol):
    """One dialect's spelling and grammar."""

    name: str
    streams_as: str
    stops: bool
    """Whether the dialect knows stop sequences."""

    def ask(self, model: str, question: Question, *, stream: bool) -> tuple[str, dict[str, Any]]:
        """Path and body."""

    def headers(self, key: str) -> dict[str, str]:
        """How the key is shown."""

    def whole(self, body: dict[str, Any]) -> Told:
        """Reads a whole reply; `Broken` where it is not the dialect's."""

    def stream(self, data: bytes) -> Told:
        """Reads a stream to its end; `Broken` where it is not the dialect's."""

    def error(self, body: dict[str, Any], status: int) -> None:
        """`Broken` where an error is not told in the dialect's shape."""


def wanted(holds: object, sentence: str) -> None:
    """Holds a rule."""
    if not holds:
        raise Broken(sentence)


def member(of: Any, name: str, kind: type | tuple[type, ...]) -> Any:
    """A member that must be there, of that type."""
    wanted(isinstance(of, dict), f"where {name} should stand is no object")
    wanted(name in of, f"{name} is missing")
    value = of[name]
    fits = isinstance(value, kind) and not (kind is int and isinstance(value, bool))
    wanted(fits, f"{name} has the wrong type {type(value).__name__}")
    return value


def parsed(data: bytes | str) -> dict[str, Any]:
    """A JSON object."""
    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Broken("it is not a JSON object") from None


def frames(data: bytes) -> list[tuple[str, str]]:
    """The events of an SSE stream, as (name, data); comments are passed over."""
    try:
        text = data.decode().replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise Broken("the stream is not UTF-8") from None
    wanted(text.endswith("\n\n"), "the stream ends in the middle of an event")
    found = []
    for block in text.split("\n\n"):
        lines = [line for line in block.split("\n") if line and not line.startswith(":")]
        name = "".join(line[6:].strip() for line in lines if line.startswith("event:"))
        rest = [line[5:].removeprefix(" ") for line in lines if line.startswith("data:")]
        if rest:
            found.append((name, "\n".join(rest)))
    wanted(found, "the stream holds no event")
    return found
