"""Whole replies: read, written, and tapped on their way through."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from msgspec import Raw

from dragoman.core.errors import CallerError
from dragoman.core.loss import Loss
from dragoman.core.parts import (
    Media,
    Opaque,
    Part,
    Refusal,
    SearchResult,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from dragoman.core.response import Choice, Response
from dragoman.dialects.base import Context, Tapped, Target, Undo, Written
from dragoman.dialects.broken import truncated
from dragoman.dialects.call_arguments import as_object_on_one_line
from dragoman.dialects.halves import mend, mended
from dragoman.dialects.ollama import reply
from dragoman.dialects.ollama.reply import Line, Shape
from dragoman.dialects.ollama.wire import BAD_JSON, DIALECT, compact, encode, members, own
from dragoman.dialects.untold import stop_losses, tier_losses, usage_losses

# --------------------------------------------------------------------------- reading


def open_reply(body: bytes) -> Line:
    """The reply in a body of status 200.

    Raises:
        UpstreamError: there is none, an error stands in its place, or it says that it is not done.
    """
    line = reply.read_line(body.strip(b"\xef\xbb\xbf \t\r\n"), "a reply")
    if line.done is False:
        raise truncated()
    return line


def read_response(body: bytes, target: Target, undo: Undo) -> Response:
    """The canonical response.

    Raises:
        UpstreamError: see ``open_reply``.
    """
    line = open_reply(body)
    said = line.said
    parts: list[Part] = []
    if said.thinking:
        parts.append(Thinking(said.thinking, family=DIALECT))
    if said.content:
        parts.append(Text(said.content))
    seed = line.created_at or ""
    calls = [
        reply.read_call(call, number, seed, undo)
        for number, call in enumerate(said.tool_calls or ())
    ]
    logprobs = reply.read_logprobs(line.logprobs)
    choice = Choice(
        (*parts, *calls),
        reply.read_finish(line, has_calls=bool(calls)),
        logprobs=None if logprobs is None else Raw(logprobs),
        ext=reply.read_extra(line),
    )
    return Response(
        id="",
        model=line.model or target.model,
        created=reply.unix_seconds(line.created_at),
        choices=(choice,),
        usage=reply.read_usage(line),
    )


# --------------------------------------------------------------------------- writing


def responder(shape: Shape) -> Callable[[Response, Context], Written]:
    """The writer of whole replies of one shape."""

    def write_response(response: Response, context: Context) -> Written:
        return _write(response, context, shape)

    return write_response


def _write(response: Response, context: Context, shape: Shape) -> Written:
    """A whole reply.

    Raises:
        UpstreamError: the provider ended in a way that is no answer (P137).
    """
    choice = response.choices[0] if response.choices else None
    if choice is not None and choice.finish.reason in reply.BROKEN:
        raise reply.broken_finish(choice.finish.reason)
    losses: list[Loss] = []
    content: list[str] = []
    thinking: list[str] = []
    calls: list[object] = []
    for number, part in enumerate(choice.parts if choice else ()):
        losses += lost_of(part, number, shape)
        match part:
            case Text() | Refusal():
                content.append(part.text)
            case Thinking():
                thinking.append(part.text)
            case ToolCall() if shape == "chat":
                calls.append(write_call(part, len(calls), context))
            case Media() if part.transcript is not None:
                content.append(part.transcript)
            case _:
                pass
    body: dict[str, object] = {
        "model": response.model or context.model,
        "created_at": reply.created_at(response.created, context),
        **reply.write_said(shape, mend("".join(content)), mend("".join(thinking)), calls),
    }
    if choice is not None and choice.logprobs is not None:
        tokens = reply.write_logprobs(choice.logprobs)
        if tokens is not None:
            body["logprobs"] = tokens
    body["done"] = True
    body["done_reason"] = reply.write_reason(choice.finish) if choice else "stop"
    if choice is not None:
        if choice.finish.reason in reply.SILENCED:
            losses.append(silenced(choice.finish.reason))
        losses += stop_losses(choice.finish, "message")
        body.update(own(choice.ext))
    body.update(reply.write_usage(response.usage))
    losses += usage_losses(response.usage, frozenset()) + tier_losses(response.service_tier)
    losses += [answer_loss(more.index) for more in response.choices[1:]]
    return Written(encode(body), tuple(losses))


def write_call(call: ToolCall, number: int, context: Context) -> dict[str, object]:
    """A call, its arguments as an object and its place among its neighbours told."""
    function = {
        "index": number,
        "name": call.name or "tool",
        "arguments": as_object_on_one_line(call)[0],
    }
    return {"id": call.id or f"call_{context.call_id[:16]}{number:02x}", "function": function}


def lost_of(part: Part, number: int, shape: Shape) -> list[Loss]:
    """What of a part of the answer cannot be said here (D6)."""
    at = f"message.content[{number}]"
    match part:
        case Text():
            return [Loss(f"{at}.citations", "not_in_dialect")] if part.citations else []
        case Thinking():
            state = part.signature or part.encrypted
            return [Loss(f"{at}.signature", "not_in_dialect")] if state else []
        case ToolCall():
            return _lost_of_call(part, at, shape)
        case Media():
            return [] if part.transcript is not None else [Loss(at, "not_in_dialect")]
        case Refusal():
            return []
        case SearchResult() | ToolResult() | Opaque():
            return [Loss(at, "not_in_dialect")]
        case _:
            assert_never(part)


def _lost_of_call(call: ToolCall, at: str, shape: Shape) -> list[Loss]:
    if shape == "generate":
        return [Loss(at, "no_tool_calls_in_generate")]
    found: list[Loss] = []
    if call.signature:
        found.append(Loss(f"{at}.signature", "not_in_dialect"))
    if not as_object_on_one_line(call)[1]:
        found.append(Loss(f"{at}.arguments", "not_a_json_object", "changed"))
    return found


def answer_loss(index: int) -> Loss:
    """Any answer but the first: this dialect has one (P115)."""
    return Loss(f"choices[{index}]", "one_answer_only")


def silenced(reason: str) -> Loss:
    """An end that is told as a regular one."""
    return Loss("done_reason", f"{reason}_is_told_as_stop", "changed")


# --------------------------------------------------------------------------- the same dialect


def tap_response(body: bytes, target: Target, context: Context) -> Tapped:
    """The provider's own bytes, and what they say about the call.

    Raises:
        UpstreamError: see ``open_reply``.
    """
    line = open_reply(body)
    if line.model is None:
        body = with_model(body, context.model or target.model)
    finish = reply.read_finish(line, has_calls=bool(line.said.tool_calls))
    return Tapped(body, usage=reply.read_usage(line), finish=finish, model=line.model)


def with_model(data: bytes, model: str) -> bytes:
    """A line or a reply with the id that was sent, where the provider wrote none (D4)."""
    try:
        found = members(data, "reply")
    except CallerError:  # It could only be decoded leniently.
        found = members(mended(data), "reply")
    found.pop("model", None)
    return encode({"model": model, **found})


def response_frames(body: bytes) -> bytes:
    """A whole reply as a stream: it is a stream of one line.

    Raises:
        UpstreamError: see ``open_reply``.
    """
    open_reply(body)
    try:
        return compact(body) + b"\n"
    except BAD_JSON:
        return mended(body) + b"\n"
