"""A request of words and the usual options, as most are: one decode reads it, and says that it is no more.

What is checked here by types need not be looked at again. Whatever is otherwise, the least odd thing, is None here
and read member by member (``read.py``).
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from dragoman.core.parts import Message, Part, Text
from dragoman.core.request import Request, Sampling

_Words: TypeAlias = Annotated[str, Meta(min_length=1)]
_Number: TypeAlias = int | float | None
_Whole: TypeAlias = int | None


class _Said(Struct, gc=False, forbid_unknown_fields=True):
    role: Literal["system", "developer", "user", "assistant"]
    content: _Words


class _StreamOptions(Struct, gc=False, forbid_unknown_fields=True):
    include_usage: bool | None = None


class _Asked(Struct, forbid_unknown_fields=True):
    model: _Words
    messages: Annotated[list[_Said], Meta(min_length=1)]
    temperature: _Number = None
    top_p: _Number = None
    max_tokens: Annotated[int, Meta(ge=0)] | None = None
    max_completion_tokens: Annotated[int, Meta(ge=0)] | None = None
    stop: str | tuple[str, ...] | None = None
    seed: _Whole = None
    n: _Whole = None
    frequency_penalty: _Number = None
    presence_penalty: _Number = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    user: str | None = None


NAMES = frozenset(_Asked.__struct_fields__)
"""What such a request may say."""

_DECODE = msgspec.json.Decoder(_Asked).decode


def read_plain(body: bytes) -> Request | None:
    """The request of a body that has no member but those of ``NAMES``; None where it is no plain one."""
    try:
        asked = _DECODE(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    system: list[Part] = []
    turns: list[Message] = []
    for said in asked.messages:
        role, words = said.role, Text(said.content)
        if role == "user" or role == "assistant":  # noqa: PLR1714  a set would have its types forgotten
            turns.append(Message(role, (words,)))
        elif turns:
            return None
        else:
            system.append(words)
    limit, options = asked.max_completion_tokens, asked.stream_options
    return Request(
        asked.model,
        tuple(turns),
        asked.stream or False,
        tuple(system),
        sampling=_sampling(asked),
        max_tokens=asked.max_tokens if limit is None else limit,
        end_user=asked.user,
        include_usage=options is not None and options.include_usage is True,
    )


def _sampling(asked: _Asked) -> Sampling:
    stop = asked.stop
    if isinstance(stop, str):
        stop = (stop,)
    return Sampling(
        asked.temperature,
        asked.top_p,
        None,
        None,
        asked.seed,
        asked.frequency_penalty,
        asked.presence_penalty,
        None,
        None,
        stop or (),
        asked.n,
    )
