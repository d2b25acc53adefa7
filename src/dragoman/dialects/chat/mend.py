"""Repairs of chunks and replies that an OpenAI client could not read (D1).

A repair decodes objects to ``dict[str, Raw]`` only as deep as it must, so that every value that
it does not touch keeps its own bytes. What may be repaired:

- a tool call's missing ``index`` and ``type``, a missing ``choices``: for every provider;
- Mistral's content lists, arguments that are objects (P37), calls that share an index (P40), a
  missing ``finish_reason`` (D40): for providers that are not OpenAI itself.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from dragoman.dialects.base import Target
from dragoman.dialects.chat.reply_wire import CallWire, ContentChunk, ReplyWire, said
from dragoman.dialects.chat.usage import with_cost

_ENCODER = msgspec.json.Encoder()
_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_OBJECTS = msgspec.json.Decoder(list[dict[str, Raw]])
_CHUNKS = msgspec.json.Decoder(list[ContentChunk])

_NULL = Raw(b"null")
_EMPTY = Raw(b"[]")
_FUNCTION = Raw(b'"function"')


class Fix(Struct, frozen=True, gc=False):
    """What one element of ``tool_calls`` has to say: its number, and its type if it opens."""

    index: int | None
    opens: bool


class Repair(Struct):
    """What is wrong with one frame; ``calls`` by the place of a choice and of a call in it."""

    choices: bool = False
    finish_reason: bool = False
    types: bool = False
    """Members of other types than OpenAI's: content lists, arguments that are objects."""
    calls: dict[tuple[int, int], Fix] = {}
    cost: str | None = None


def mend_chunk(data: bytes, repair: Repair) -> bytes:
    """The payload of a frame with its repairs."""
    top = _OBJECT.decode(data)
    if repair.choices:
        top["choices"] = _EMPTY
    elif repair.finish_reason or repair.types or repair.calls:
        top["choices"] = _raw(
            [
                _mend_choice(choice, place, "delta", repair)
                for place, choice in enumerate(_OBJECTS.decode(top["choices"]))
            ]
        )
    if repair.cost is not None:
        top["usage"] = Raw(with_cost(top["usage"], repair.cost))
    return _ENCODER.encode(top)


def mend_whole(body: bytes, reply: ReplyWire, *, loose: bool, target: Target) -> bytes:
    """A whole reply's bytes, mended where a client could not read them."""
    own = target.quirks.flavour == "openai"
    types = loose
    fixes: dict[tuple[int, int], Fix] = {}
    for place, choice in enumerate(reply.choices or ()):
        words = said(choice)
        if words is None:
            continue
        types = types or words.content.__class__ is list
        if words.tool_calls and not own:
            for at, call in enumerate(words.tool_calls):
                if not call.type:
                    fixes[place, at] = Fix(None, opens=True)
    if not (types or fixes) or reply.choices is None:
        return body
    repair = Repair(types=types, calls=fixes)
    try:
        top = _OBJECT.decode(body.removeprefix(b"\xef\xbb\xbf"))
        choices = [
            _mend_choice(choice, place, "message", repair)
            for place, choice in enumerate(_OBJECTS.decode(top["choices"]))
        ]
    except (msgspec.DecodeError, UnicodeDecodeError):
        return body  # stranger than any repair here knows: the client gets what there is
    top["choices"] = _raw(choices)
    return _ENCODER.encode(top)


def _mend_choice(choice: dict[str, Raw], place: int, key: str, repair: Repair) -> dict[str, Raw]:
    if repair.finish_reason:
        choice.setdefault("finish_reason", _NULL)
    words_raw = choice.get(key)
    if words_raw is None or not bytes(words_raw).lstrip().startswith(b"{"):
        return choice
    words = _OBJECT.decode(words_raw)
    if repair.types:
        _flatten_content(words)
    calls = words.get("tool_calls")
    if calls is not None and bytes(calls).lstrip().startswith(b"["):
        words["tool_calls"] = _raw(
            [
                _mend_call(call, repair.calls.get((place, at)), types=repair.types)
                for at, call in enumerate(_OBJECTS.decode(calls))
            ]
        )
    choice[key] = _raw(words)
    return choice


def _mend_call(call: dict[str, Raw], fix: Fix | None, *, types: bool) -> dict[str, Raw]:
    mended: dict[str, Raw] = {}
    if fix is not None:
        if fix.index is not None:
            mended["index"] = _raw(fix.index)
            call.pop("index", None)
        if fix.opens and bytes(call.get("type", _NULL)) in {b"null", b'""'}:
            mended["type"] = _FUNCTION
            call.pop("type", None)
    mended.update(call)
    function = mended.get("function")
    if types and function is not None and bytes(function).startswith(b"{"):
        members = _OBJECT.decode(function)
        arguments = bytes(members.get("arguments", _NULL))
        if arguments.startswith(b"{"):
            members["arguments"] = _raw(arguments.decode())
            mended["function"] = _raw(members)
    return mended


def _flatten_content(words: dict[str, Raw]) -> None:
    """Mistral's content list as the text that it says, its thinking beside it."""
    content = words.get("content")
    if content is None or not bytes(content).startswith((b"[", b"{")):
        return
    if bytes(content).startswith(b"{"):  # Cloudflare: an object where its text is due
        words["content"] = _raw(bytes(content).decode())
        return
    text: list[str] = []
    thinking: list[str] = []
    for chunk in _CHUNKS.decode(content):
        inner = chunk.thinking
        if isinstance(inner, str):
            thinking.append(inner)
        elif inner is not None:
            thinking += [piece.text or "" for piece in inner]
        text.append(chunk.text or "")
    said_text, thought = "".join(text), "".join(thinking)
    words["content"] = _raw(said_text) if said_text or not thought else _NULL
    if thought:
        words["reasoning_content"] = _raw(thought)


def _raw(value: object) -> Raw:
    return Raw(_ENCODER.encode(value))


def fragment_fix(call: CallWire, number: int, *, opens: bool, own: bool) -> Fix | None:
    """What a tool fragment of a stream lacks; ``own``: OpenAI's numbers are never doubted."""
    lacks_index = call.index is None
    renumbered = not own and call.index is not None and call.index != number
    lacks_type = opens and not call.type
    if not (lacks_index or renumbered or lacks_type):
        return None
    return Fix(number if lacks_index or renumbered else None, opens=opens)
