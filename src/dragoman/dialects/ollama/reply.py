"""A line of a stream and a whole reply, which are one and the same object here.

``/api/chat`` says it in ``message``, ``/api/generate`` in ``response`` and ``thinking`` at the top
level; a reader takes either, a writer says it in the form of its ``Shape``.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Raw, Struct

from dragoman.core.errors import UpstreamError
from dragoman.core.parts import Ext, Part, ToolCall
from dragoman.core.response import Finish
from dragoman.core.usage import Usage, count
from dragoman.dialects.base import Context, Undo
from dragoman.dialects.broken import not_understood
from dragoman.dialects.halves import mended
from dragoman.dialects.ollama.error import is_error, read_line_error
from dragoman.dialects.ollama.wire import BAD_JSON, DIALECT, NULL, compact, encode, starts_with

Shape: TypeAlias = Literal["chat", "generate"]


class Function(Struct, frozen=True):
    """A call's name and its arguments, an object (or its text, from servers that differ)."""

    name: str = ""
    arguments: Raw = NULL


class Call(Struct, frozen=True):
    """A tool call; ids are new in Ollama and missing in most replies."""

    id: str | None = None
    function: Function = Function()


class Said(Struct, frozen=True):
    """A message of the assistant, or a piece of one."""

    content: str | None = None
    thinking: str | None = None
    tool_calls: list[Call] | None = None


class Line(Struct, frozen=True):
    """One line, or a whole reply; counts are checked by ``core.usage.count`` (M11)."""

    model: str | None = None
    created_at: str | None = None
    message: Said | None = None
    response: str | None = None
    thinking: str | None = None
    done: bool | None = None
    done_reason: str | None = None
    prompt_eval_count: Any = None
    eval_count: Any = None
    logprobs: Raw = NULL
    error: Raw = NULL
    context: Raw = NULL
    total_duration: Raw = NULL
    load_duration: Raw = NULL
    prompt_eval_duration: Raw = NULL
    eval_duration: Raw = NULL
    remote_model: Raw = NULL
    remote_host: Raw = NULL

    @property
    def said(self) -> Said:
        """What the line adds to the answer, whichever way it says it."""
        if self.message is not None:
            return self.message
        return Said(content=self.response, thinking=self.thinking)

    @property
    def says_nothing(self) -> bool:
        """Whether it has none of the members by which a reply of this dialect is known."""
        return self.message is None and self.response is None and self.done is None


_LINE = msgspec.json.Decoder(Line)

_EXTRA = (
    "context",
    "total_duration",
    "load_duration",
    "prompt_eval_duration",
    "eval_duration",
    "remote_model",
    "remote_host",
)
"""Members of a last line that only Ollama has."""


def read_line(data: bytes, what: str = "a line") -> Line:
    """A line or a whole reply.

    Raises:
        UpstreamError: it is an error, or nothing of this dialect.
    """
    try:
        line = _LINE.decode(data)
    except BAD_JSON:
        try:
            line = _LINE.decode(mended(data))
        except (*BAD_JSON, ValueError):
            raise not_understood(what) from None
    if is_error(line.error):
        raise read_line_error(data)
    if line.says_nothing:
        raise not_understood(what)
    return line


# --------------------------------------------------------------------------- reading


def read_usage(line: Line) -> Usage:
    """The counts of a last line, unknown where they are left out, as zeros and cached prompts are (P129)."""
    return Usage(input=count(line.prompt_eval_count), output=count(line.eval_count))


def read_finish(line: Line, *, has_calls: bool) -> Finish:
    """Why the answer ended: tool calls come with ``stop``, and a length is never anything else (P45)."""
    match line.done_reason:
        case "length":
            return Finish("length", raw="length")
        case "stop" | "load" | "unload" | None | "":
            return Finish("tool_calls" if has_calls else "stop", raw=line.done_reason or None)
        case other:
            return Finish("tool_calls" if has_calls else "unknown", raw=other)


def read_extra(line: Line) -> Ext | None:
    """What only this dialect says at the end."""
    found = {name: raw for name in _EXTRA if (raw := getattr(line, name)) is not NULL}
    kept = {name: Raw(compact(raw)) for name, raw in found.items() if bytes(raw) != b"null"}
    return {DIALECT: kept} if kept else None


def unix_seconds(text: str | None) -> int | None:
    """Seconds since 1970 of an RFC 3339 time."""
    if not text:
        return None
    try:
        return max(0, int(datetime.fromisoformat(text).timestamp()))
    except (ValueError, OverflowError, OSError):
        return None


class _Wrapped(Struct, frozen=True):
    input: str


_WRAPPED = msgspec.json.Decoder(_Wrapped)
_WORDS = msgspec.json.Decoder(str)


def read_call(call: Call, number: int, seed: str, undo: Undo) -> Part:
    """A call with an id of its own, even where Ollama gave none (P29)."""
    arguments = call.function.arguments
    if starts_with(arguments, b'"'):
        text = _WORDS.decode(arguments)
    else:
        text = "{}" if bytes(arguments) == b"null" else compact(arguments).decode()
    name = undo.tool_names.get(call.function.name, call.function.name)
    made = call.id or made_id(seed, number, name, text)
    if name in undo.custom_tools:
        try:
            return ToolCall(made, name, _WRAPPED.decode(text).input, "custom")
        except (*BAD_JSON, UnicodeEncodeError):
            return ToolCall(made, name, text, "custom")
    return ToolCall(made, name, text)


def made_id(seed: str, number: int, name: str, arguments: str) -> str:
    """An id that is the same whenever the same reply is read, and another in the next turn (P31)."""
    text = f"{seed}\0{number}\0{name}\0{arguments}".encode("utf-8", "replace")
    return "call_" + hashlib.blake2b(text, digest_size=12).hexdigest()


class _Token(Struct, frozen=True):
    token: str = ""
    logprob: float = 0.0
    bytes: list[int] | None = None


class _Tokens(_Token, frozen=True):
    top_logprobs: list[_Token] | None = None


_TOKENS = msgspec.json.Decoder(list[_Tokens])


def read_logprobs(raw: Raw) -> bytes | None:
    """Log probabilities in OpenAI's shape, which wants what Ollama leaves out."""
    try:
        tokens = _TOKENS.decode(raw)
    except BAD_JSON:
        return None
    if not tokens:
        return None
    content = [
        {
            "token": one.token,
            "logprob": one.logprob,
            "bytes": one.bytes,
            "top_logprobs": one.top_logprobs or [],
        }
        for one in tokens
    ]
    return encode({"content": content, "refusal": None})


class _Content(Struct, frozen=True):
    content: Raw = NULL


_CONTENT = msgspec.json.Decoder(_Content)


def write_logprobs(raw: bytes | Raw) -> Raw | None:
    """The tokens of OpenAI's shape as Ollama tells them."""
    try:
        tokens = _CONTENT.decode(raw).content
    except BAD_JSON:
        return None
    return None if bytes(tokens) in {b"null", b"[]"} else tokens


# --------------------------------------------------------------------------- writing


def created_at(created: int | None, context: Context) -> str:
    """A time as Go writes it."""
    seconds = context.created if created is None else created
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return "1970-01-01T00:00:00Z"


def write_usage(usage: Usage | None) -> dict[str, object]:
    """The counts; unknown ones are left out, as Ollama itself does."""
    written: dict[str, object] = {}
    if usage is not None and usage.input is not None:
        written["prompt_eval_count"] = usage.input
    if usage is not None and usage.output is not None:
        written["eval_count"] = usage.output
    return written


def write_reason(finish: Finish) -> str:
    """Ollama has two reasons to end."""
    return "length" if finish.reason in {"length", "context_overflow"} else "stop"


def broken_finish(reason: str) -> UpstreamError:
    """An end that no completion may be made of (P137)."""
    return UpstreamError(
        "upstream",
        "The provider's model ended its answer with an error.",
        code=f"upstream_{reason}",
    )


BROKEN = frozenset({"malformed_tool_call", "error"})
"""Ends that are failures."""
SILENCED = frozenset({"content_filter", "refusal", "pause"})
"""Ends that Ollama cannot tell from a regular one."""


def write_said(
    shape: Shape, content: str, thinking: str = "", calls: list[object] | None = None
) -> dict[str, object]:
    """The members that hold what was said."""
    if shape == "generate":
        told: dict[str, object] = {"response": content}
        if thinking:
            told["thinking"] = thinking
        return told
    message: dict[str, object] = {"role": "assistant", "content": content}
    if thinking:
        message["thinking"] = thinking
    if calls:
        message["tool_calls"] = calls
    return {"message": message}
