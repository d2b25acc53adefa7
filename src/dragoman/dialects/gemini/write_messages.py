"""Messages in the order and shape that Gemini demands.

User and model alternate, but results of tools stand in a content of their own (P71, P177); the
conversation begins and ends with the user (P72, P178); nothing is empty (P155).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import assert_never

from msgspec import Raw

from dragoman.core.errors import unsupported
from dragoman.core.parts import (
    Media,
    Message,
    Opaque,
    Part,
    Refusal,
    SearchResult,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from dragoman.dialects.call_arguments import as_object_on_one_line
from dragoman.dialects.gemini.draft import Draft, own
from dragoman.dialects.gemini.read_parts import MADE
from dragoman.dialects.gemini.signatures import UNSIGNED, is_native
from dragoman.dialects.gemini.wire import DIALECT
from dragoman.dialects.gemini.write_media import WirePart, write_media
from dragoman.dialects.gemini.write_results import search_words, write_result
from dragoman.dialects.halves import mend


@dataclass(slots=True)
class Content:
    """What one side says; ``results`` where it is tools that speak."""

    role: str
    parts: list[WirePart | Raw] = field(default_factory=list)
    results: bool = False


def write_system(draft: Draft) -> list[WirePart]:
    """The leading instructions, one part each."""
    found: list[WirePart] = []
    for number, part in enumerate(draft.request.system):
        path = f"system[{number}]"
        if not isinstance(part, Text):
            raise unsupported(
                f"{path} is no text, which is all that instructions may be here.", path
            )
        found += _text(draft, part, path)
    return found


def write_contents(draft: Draft) -> list[Content]:
    """The conversation."""
    contents: list[Content] = []
    names: dict[str, str] = {}
    order: list[str] = []
    for number, message in enumerate(draft.request.messages):
        path = f"messages[{number}]"
        if message.name is not None:
            draft.lose(f"{path}.name", "not_in_dialect")
        draft.foreign(message.ext, path)
        match message.role:
            case "assistant":
                for part in message.parts:
                    if isinstance(part, ToolCall):
                        names[part.id] = part.name
                        order.append(part.id)
                _join(contents, Content("model", _model(draft, message, path)))
            case "user":
                for content in _user(draft, message, names, order, path):
                    _join(contents, content)
            case "system":
                draft.lose(path, "no_system_role_here", "emulated")
                told: list[WirePart | Raw] = [
                    {"text": f"<system>\n{part.text}\n</system>"}
                    for part in message.parts
                    if isinstance(part, Text)
                ]
                _join(contents, Content("user", told))
            case _:
                assert_never(message.role)
    return _framed(draft, contents)


def _join(contents: list[Content], content: Content) -> None:
    """Neighbours of one role are one (P71), a turn that says nothing stays as a blank (P155)."""
    if not content.parts:
        if content.role == "model":
            return
        content.parts.append({"text": " "})
    last = contents[-1] if contents else None
    if last is not None and last.role == content.role and last.results == content.results:
        last.parts += content.parts
    else:
        contents.append(content)


def _framed(draft: Draft, contents: list[Content]) -> list[Content]:
    """The user speaks first and last (P72, P178)."""
    if not contents or contents[0].role == "model":
        draft.lose("messages", "a_blank_user_turn_goes_first", "emulated")
        contents.insert(0, Content("user", [{"text": " "}]))
    if contents[-1].role == "model":
        draft.lose("messages", "a_blank_user_turn_ends_the_conversation", "emulated")
        contents.append(Content("user", [{"text": " "}]))
    return contents


# --------------------------------------------------------------------------- the user


def _user(
    draft: Draft, message: Message, names: dict[str, str], order: list[str], path: str
) -> list[Content]:
    results: list[tuple[int, WirePart]] = []
    said: list[WirePart | Raw] = []
    for number, part in enumerate(message.parts):
        place = f"{path}.content[{number}]"
        if isinstance(part, ToolResult):
            written, behind = write_result(draft, part, names, place)
            rank = order.index(part.call_id) if part.call_id in order else len(order)
            results.append((rank, written))
            said += behind
        else:
            said += _user_part(draft, part, place)
    results.sort(key=lambda pair: pair[0])
    found: list[Content] = []
    if results:
        found.append(Content("user", [written for _, written in results], results=True))
    if said or not results:
        found.append(Content("user", said))
    return found


def _user_part(draft: Draft, part: Part, path: str) -> Sequence[WirePart | Raw]:
    match part:
        case Text():
            return _text(draft, part, path)
        case Refusal(text=text):
            return [{"text": text}] if text else []
        case Media():
            return write_media(draft, part, path)
        case SearchResult():
            return [{"text": search_words(draft, part, path)}]
        case Opaque():
            return [_opaque(part, path)]
        case Thinking() | ToolCall() | ToolResult():
            raise unsupported(f"{path} can stand in an assistant message only.", path)
        case _:
            assert_never(part)


def _opaque(part: Opaque, path: str) -> Raw:
    if part.dialect == DIALECT:
        return part.payload
    raise unsupported(
        f"{path} is a part of kind {part.kind}, which exists in the dialect {part.dialect} only.",
        path,
    )


def _text(draft: Draft, part: Text, path: str) -> list[WirePart]:
    draft.foreign(part.ext, path)
    if part.cache is not None:
        draft.lose(f"{path}.cache_control", "caching_is_implicit_here")
    if part.citations:
        draft.lose(f"{path}.annotations", "not_in_dialect")
    return [{"text": mend(part.text), **own(part.ext)}] if part.text else []


# --------------------------------------------------------------------------- the model


def _model(draft: Draft, message: Message, path: str) -> list[WirePart | Raw]:
    """The model's parts, each signature on the part that it belongs to (P98)."""
    of_call = {
        part.id: part.encrypted
        for part in message.parts
        if isinstance(part, Thinking) and part.redacted and part.id and is_native(part)
    }
    found: list[WirePart | Raw] = []
    pending: str | None = None
    """A signature for the part that follows."""
    signed = False
    calls: list[WirePart] = []
    for number, part in enumerate(message.parts):
        place = f"{path}.content[{number}]"
        if isinstance(part, Thinking):
            if not is_native(part):
                draft.lose(place, "reasoning_without_signature_of_this_family")
            elif part.redacted:
                if part.id is None or not _calls(message, part.id):
                    if pending is not None:
                        found.append({"text": "", "thoughtSignature": pending})
                    pending = part.encrypted
            else:
                if pending is not None:
                    found.append({"text": "", "thoughtSignature": pending})
                    pending = None
                found.append(_thought(part))
            continue
        for written in _model_part(draft, part, place):
            if isinstance(part, ToolCall) and isinstance(written, dict):
                calls.append(written)
                own_signature = of_call.get(part.id) or part.signature
                if own_signature:
                    written["thoughtSignature"] = own_signature
                    signed = True
            if pending is not None and isinstance(written, dict):
                free = "thoughtSignature" not in written
                signed = signed or (free and isinstance(part, ToolCall))
                held = written.setdefault("thoughtSignature", pending)
                pending = None if free and held else pending
            found.append(written)
    if pending is not None:
        found.append({"text": "", "thoughtSignature": pending})
    if calls and not signed and draft.modern:
        calls[0]["thoughtSignature"] = UNSIGNED
    return found


def _calls(message: Message, call_id: str) -> bool:
    return any(isinstance(part, ToolCall) and part.id == call_id for part in message.parts)


def _thought(part: Thinking) -> WirePart:
    written: WirePart = {"text": mend(part.text), "thought": True}
    state = part.signature or part.encrypted
    return written | ({"thoughtSignature": state} if state else {})


def _model_part(draft: Draft, part: Part, path: str) -> Sequence[WirePart | Raw]:
    match part:
        case Text():
            return _text(draft, part, path)
        case Refusal(text=text):
            return [{"text": text}] if text else []
        case ToolCall():
            arguments, whole = as_object_on_one_line(part)
            if not whole:
                draft.lose(f"{path}.arguments", "not_a_json_object", "changed")
            if part.cache is not None:
                draft.lose(f"{path}.cache_control", "caching_is_implicit_here")
            draft.foreign(part.ext, path)
            call: WirePart = {}
            if part.id and not part.id.startswith(MADE):
                call["id"] = part.id
            call |= {"name": draft.tool_name(part.name), "args": arguments}
            return [{"functionCall": call, **own(part.ext)}]
        case Media():
            if part.transcript is not None:
                draft.lose(path, "audio_as_its_transcript", "emulated")
                return [{"text": part.transcript}]
            return write_media(draft, part, path)
        case Opaque():
            return [_opaque(part, path)]
        case SearchResult() | ToolResult() | Thinking():
            raise unsupported(f"{path} cannot stand in an assistant message.", path)
        case _:
            assert_never(part)
