"""What a caller wants, in words of the mock's own, whichever dialect it asked in.

These are not the gateway's canonical types on purpose: the mock must be able to disagree
with the gateway's reading of the same bytes (D39).
"""

from __future__ import annotations

from typing import Any, TypeAlias

from msgspec import Struct

__all__ = ["Ask", "Json", "Refused", "Tool", "as_dict", "as_list", "tokens"]

Json: TypeAlias = dict[str, Any]


class Refused(Exception):  # noqa: N818 - a refusal is an answer here, told in the caller's dialect
    """The request is not one that the provider would take."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        param: str | None = None,
        code: str | None = None,
        type_: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.param = param
        self.code = code
        self.type = type_


class Tool(Struct, frozen=True):
    """A tool on offer; ``schema`` is that of its arguments."""

    name: str
    schema: Json


class Ask(Struct):
    """One request for words; ``input`` counts all that it says, in tokens."""

    model: str
    prompt: str = ""
    """Text of the last user message."""
    stream: bool = False
    include_usage: bool = False
    input: int = 0
    n: int = 1
    max_tokens: int | None = None
    stops: tuple[str, ...] = ()
    tools: tuple[Tool, ...] = ()
    choice: str = "auto"
    """``auto``, ``none``, ``required``, or ``=`` and the name of the tool that is forced."""
    parallel: bool = True
    results: tuple[str, ...] = ()
    """What the tools answered, if the last message brings it."""
    thinks: bool = False
    schema: Json | None = None
    """The shape that the answer must have; ``{}`` is any JSON object."""
    images: tuple[str, ...] = ()
    """What each image of the last user message is."""


def tokens(text: str) -> int:
    """The mock's tokeniser: four bytes of UTF-8 are a token, a rest is one too."""
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    return (size + 3) >> 2


def as_dict(value: object, name: str) -> Json:
    """``value``, if it is an object."""
    if isinstance(value, dict):
        return value
    raise Refused(f"'{name}' should be an object.", param=name)


def as_list(value: object, name: str) -> list[Any]:
    """``value``, if it is an array."""
    if isinstance(value, list):
        return value
    raise Refused(f"'{name}' should be an array.", param=name)
