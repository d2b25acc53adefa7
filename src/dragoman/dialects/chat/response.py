"""Whole replies: a provider's ``chat.completion`` read, tapped, or written for a chat client.

A 200 is no promise: it may hold an error (P140), blank lines before its JSON (DeepSeek), a page
of HTML or nothing. Whatever holds no completion is an ``UpstreamError``.
"""

from __future__ import annotations

from msgspec import Raw
from msgspec.structs import replace

from dragoman.core.errors import UpstreamError
from dragoman.core.parts import Citation, Ext, Opaque, Part, Refusal, Text, Thinking, ToolCall, raw
from dragoman.core.response import Choice, Response
from dragoman.core.usage import USUAL_TIERS, in_tier
from dragoman.dialects.base import Context, Tapped, Target, Undo
from dragoman.dialects.chat.citations import read_annotation
from dragoman.dialects.chat.error import malformed
from dragoman.dialects.chat.finish import failed_finish, read_finish
from dragoman.dialects.chat.mend import mend_whole
from dragoman.dialects.chat.pictures import read_image
from dragoman.dialects.chat.regular import read_regular
from dragoman.dialects.chat.reply_wire import (
    REFUSED,
    REPLY,
    ChoiceWire,
    Oddity,
    ReplyWire,
    Said,
    logprobs_of,
    present,
    said,
    unix_seconds,
)
from dragoman.dialects.chat.thoughts import Thought, continues, thoughts
from dragoman.dialects.chat.tool_calls import call_of, id_seed, made_id, spoken_name, unwrap
from dragoman.dialects.chat.usage import usage_of
from dragoman.dialects.openai_errors import read_error
from dragoman.dialects.told_cost import ABSENT

# --------------------------------------------------------------------------- what came


def is_whole_body(data: bytes | bytearray) -> bool:
    """Whether bytes begin like a JSON object or a page, which no event stream does (P11)."""
    return bytes(data[:256]).lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"<"))


def open_reply(body: bytes) -> tuple[ReplyWire, Oddity]:
    """The completion in a body of status 200.

    Raises:
        UpstreamError: there is none, or an error stands in its place.
    """
    found = REPLY.read(body.removeprefix(b"\xef\xbb\xbf"), whole=True)
    if found is None:
        raise malformed()
    reply, oddity = found
    error = reported_error(reply, body) if may_report(reply) else None
    if error is not None:
        raise error
    if reply.choices is None and reply.usage is None and not reply.id:
        raise malformed()
    for choice in reply.choices or ():
        failure = failed_finish(choice.finish_reason) if choice.finish_reason else None
        if failure is not None:
            raise failure
        if choice.message is not None:
            choice.delta = None  # Perplexity puts an empty one beside the message
    return reply, oddity


def reported_error(reply: ReplyWire, data: bytes, *, named: bool = False) -> UpstreamError | None:
    """The failure that a chunk or a reply tells, wherever it stands (P140).

    ``named``: the event was called ``error``, as Groq does.
    """
    told = _spot_of_error(reply)
    if told is None:
        if not named:
            return None
        told = Raw(data)
    body = b'{"error":' + bytes(told) + b"}"
    return read_error(200, {}, body)


def may_report(chunk: ReplyWire) -> bool:
    """Whether a chunk has any member in which failures are told: a look, where it is one of many."""
    if chunk.error is not ABSENT or chunk.x_groq is not None:
        return True
    choices = chunk.choices
    if not choices:
        return False
    return len(choices) > 1 or choices[0].error is not ABSENT


def _spot_of_error(reply: ReplyWire) -> Raw | None:
    """The first member that holds a failure."""
    if present(reply.error):
        return reply.error
    for choice in reply.choices or ():
        if present(choice.error):
            return choice.error
    groq = reply.x_groq
    return groq.error if groq is not None and present(groq.error) else None


# --------------------------------------------------------------------------- reading


def read_response(body: bytes, target: Target, undo: Undo) -> Response:
    """The completion in canonical form.

    Raises:
        UpstreamError: see ``open_reply``.
    """
    del target  # every flavour is read alike: what differs between them never collides
    reply, _ = open_reply(body)
    seed = id_seed(reply.id or "")
    choices = reply.choices or [ChoiceWire()]  # R-XLATE-024: no choice is an empty one
    return Response(
        id=reply.id or "",
        model=reply.model or "",
        created=unix_seconds(reply.created),
        choices=tuple(_choice(choice, undo, seed) for choice in choices),
        usage=usage_of(reply),
        service_tier=reply.service_tier,
        system_fingerprint=reply.system_fingerprint or None,
    )


def _choice(choice: ChoiceWire, undo: Undo, seed: str) -> Choice:
    words = said(choice) or Said()
    parts: list[Part] = [*_thinking(thoughts(words)), *_content(words)]
    if words.refusal:
        parts.append(Refusal(words.refusal))
    calls = _calls(words, undo, choice.index, seed)
    parts += calls
    parts += [media for image in words.images or () if (media := read_image(image))]
    unknown = _cite(parts, words.annotations or [])
    if words.audio:
        parts.append(Opaque("chat", "audio", raw(words.audio)))
    ext: Ext | None = {"chat": {"annotations": raw(unknown)}} if unknown else None
    has_calls = any(isinstance(call, ToolCall) for call in calls)
    return Choice(
        parts=tuple(parts),
        finish=read_finish(choice.finish_reason, has_calls=has_calls),
        index=choice.index,
        logprobs=logprobs_of(choice),
        ext=ext,
    )


def _thinking(pieces: list[Thought]) -> list[Thinking]:
    """The blocks that the pieces make, each with its own signature (P94, P97)."""
    blocks: list[Thinking] = []
    under_way: Thought | None = None
    for piece in pieces:
        if under_way is not None and continues(under_way, piece):
            blocks[-1] = _extended(blocks[-1], piece)
            under_way.encrypted = piece.encrypted or under_way.encrypted
        elif piece.redacted:
            blocks.append(replace(piece.head(), encrypted=piece.encrypted, redacted=True))
            under_way = None
        else:
            blocks.append(_extended(piece.head(), piece))
            under_way = Thought(summary=piece.summary, index=piece.index, id=piece.id)
    return blocks


def _extended(block: Thinking, piece: Thought) -> Thinking:
    return replace(
        block,
        text=block.text + piece.text,
        signature=piece.signature or block.signature,
        encrypted=piece.encrypted or block.encrypted,
    )


def _content(words: Said) -> list[Part]:
    """Text, or Mistral's list of text and thinking in its order."""
    content = words.content
    if not content:
        return []
    if isinstance(content, str):
        return [Text(content)]
    parts: list[Part] = []
    for chunk in content:
        if chunk.type == "thinking":
            inner = chunk.thinking or ""
            text = inner if isinstance(inner, str) else "".join(c.text or "" for c in inner)
            parts.append(Thinking(text, signature=chunk.signature or None, family="chat"))
        elif chunk.text:
            if parts and isinstance(parts[-1], Text):
                parts[-1] = replace(parts[-1], text=parts[-1].text + chunk.text)
            else:
                parts.append(Text(chunk.text))
        elif chunk.refusal:
            parts.append(Refusal(chunk.refusal))
    return parts


def _calls(words: Said, undo: Undo, choice: int, seed: str) -> list[Part]:
    """Tool calls with the caller's own names; a forced tool's input is the answer itself (P64)."""
    wires = [call_of(wire) for wire in words.tool_calls or ()]
    legacy = words.function_call
    if legacy is not None:
        wires.append(ToolCall("", legacy.name or "", legacy.arguments or ""))
    found: list[Part] = []
    number = 0
    for wire in wires:
        if not (wire.id or wire.name or wire.arguments):
            continue  # P44
        if wire.name and wire.name == undo.json_tool:
            found.append(Text(wire.arguments))
        else:
            call_id = wire.id or made_id(number, choice, seed)
            found.append(_call(replace(wire, id=call_id), undo))
        number += 1
    return found


def _call(call: ToolCall, undo: Undo) -> ToolCall:
    name = spoken_name(call.name, undo)
    if name in undo.custom_tools and call.kind == "function":
        return replace(call, name=name, kind="custom", arguments=unwrap(call.arguments))
    return replace(call, name=name)


def _cite(parts: list[Part], annotations: list[Raw]) -> list[Raw]:
    """Joins citations to the last text; gives back the annotations that are none."""
    unknown: list[Raw] = []
    citations: list[Citation] = []
    for annotation in annotations:
        citation = read_annotation(annotation)
        if citation is None:
            unknown.append(annotation.copy())
        else:
            citations.append(citation)
    if citations:
        for at in range(len(parts) - 1, -1, -1):
            part = parts[at]
            if isinstance(part, Text):
                parts[at] = replace(part, citations=tuple(citations))
                break
        else:
            parts.append(Text("", tuple(citations)))
    return unknown


# --------------------------------------------------------------------------- same dialect

_SILENT = ChoiceWire()


def tap_response(body: bytes, target: Target, context: Context) -> Tapped:
    """A completion for a chat client: the provider's own bytes, mended only where it must be.

    Raises:
        UpstreamError: see ``open_reply``.
    """
    del context
    try:
        regular = read_regular(body)
    except REFUSED:
        return _tap_with_care(body, target)
    usage, finish = regular.told()
    tier = regular.service_tier
    if tier is not None and tier not in USUAL_TIERS:
        usage = in_tier(usage, tier)
    return Tapped(body, usage, finish, regular.id or None, regular.model)


def _tap_with_care(body: bytes, target: Target) -> Tapped:
    """A reply with anything about it that is not as in nearly all."""
    reply, oddity = open_reply(body)
    first = reply.choices[0] if reply.choices else _SILENT
    words = said(first)
    has_calls = words is not None and bool(words.tool_calls or words.function_call)
    return Tapped(
        body=mend_whole(body, reply, loose=oddity == "loose", target=target),
        usage=in_tier(usage_of(reply), reply.service_tier),
        finish=read_finish(first.finish_reason, has_calls=has_calls),
        id=reply.id or None,
        model=reply.model,
    )
