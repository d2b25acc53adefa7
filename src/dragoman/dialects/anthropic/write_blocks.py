"""Parts → content blocks of a request, one part at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from dragoman.core.errors import unsupported
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
from dragoman.dialects.anthropic.draft import Block, Draft, own
from dragoman.dialects.anthropic.envelope import is_native
from dragoman.dialects.anthropic.wire import DIALECT
from dragoman.dialects.anthropic.write_media import write_media
from dragoman.dialects.call_arguments import as_object

CallIds = Callable[[str, str], str]
"""Id of a call, path → the id that is sent for it."""


def write_assistant(draft: Draft, part: Part, path: str, call_id: CallIds) -> list[Block]:
    """The blocks of one part of an assistant's turn; none where nothing may be sent."""
    match part:
        case Text():
            return _text(draft, part, path)
        case Refusal():
            return _words(part.text)
        case Thinking():
            return _thinking(draft, part, path)
        case ToolCall():
            return [_tool_use(draft, part, path, call_id(part.id, path))]
        case Media():
            # The assistant's own sound goes back as the words in it (P87).
            if part.transcript is not None:
                draft.lose(path, "audio_as_its_transcript", "emulated")
                return _words(part.transcript)
            raise unsupported(
                f"{path} is {part.kind} in an assistant message, which Anthropic does not take.",
                path,
            )
        case Opaque():
            return [_opaque(part, path)]
        case SearchResult() | ToolResult():
            raise unsupported(f"{path} cannot stand in an assistant message.", path)
        case _:
            assert_never(part)


def write_user(draft: Draft, part: Part, path: str, result_id: CallIds) -> list[Block]:
    """The blocks of one part of a user's turn; none where nothing may be sent."""
    match part:
        case Text():
            return _text(draft, part, path)
        case Refusal():
            return _words(part.text)
        case Media():
            return [write_media(draft, part, path)]
        case SearchResult():
            return [_search_result(draft, part, path)]
        case ToolResult():
            return [_tool_result(draft, part, path, result_id(part.call_id, path))]
        case Opaque():
            return [_opaque(part, path)]
        case Thinking() | ToolCall():
            raise unsupported(f"{path} can stand in an assistant message only.", path)
        case _:
            assert_never(part)


def _text(draft: Draft, part: Text, path: str) -> list[Block]:
    """A text block; Anthropic refuses one that says nothing (P69)."""
    if part.ext is not None:
        draft.foreign(part.ext, path)
    if not part.text or part.text.isspace():
        return []
    block: dict[str, object] = {"type": "text", "text": part.text}
    if part.citations:
        native = [c.raw for c in part.citations if c.dialect == DIALECT and c.raw is not None]
        if native:
            block["citations"] = native
        if len(native) < len(part.citations):
            draft.lose(f"{path}.annotations", "citations_of_another_dialect")
    if part.ext is not None:
        block.update(own(part.ext))
    if part.cache is not None:
        block["cache_control"] = draft.cache_control(part.cache, path)
    return [block]


def _words(text: str) -> list[Block]:
    return [{"type": "text", "text": text}] if text.strip() else []


def _thinking(draft: Draft, part: Thinking, path: str) -> list[Block]:
    """Signed reasoning of this family byte for byte; any other is left out, never shown as text (P92, P93)."""
    if is_native(part):
        if part.encrypted is not None and part.signature is None:
            return [{"type": "redacted_thinking", "data": part.encrypted}]
        if part.signature:
            return [{"type": "thinking", "thinking": part.text, "signature": part.signature}]
    draft.lose(path, "reasoning_without_signature_of_this_family")
    return []


def _tool_use(draft: Draft, part: ToolCall, path: str, call_id: str) -> Block:
    arguments, whole = as_object(part)
    if not whole:
        draft.lose(f"{path}.arguments", "not_a_json_object", "changed")
    block: dict[str, object] = {
        "type": "tool_use",
        "id": call_id,
        "name": draft.tool_name(part.name),
        "input": arguments,
    }
    if part.signature is not None:
        draft.lose(f"{path}.signature", "signature_of_another_family")
    draft.foreign(part.ext, path)
    block.update(own(part.ext))
    if part.cache is not None:
        block["cache_control"] = draft.cache_control(part.cache, path)
    return block


def _tool_result(draft: Draft, part: ToolResult, path: str, call_id: str) -> Block:
    block: dict[str, object] = {"type": "tool_result", "tool_use_id": call_id}
    content = _result_content(draft, part, path)
    if content:  # An empty list is refused, and absence says the same (P174).
        block["content"] = content
    if part.is_error:
        block["is_error"] = True
    draft.foreign(part.ext, path)
    block.update(own(part.ext))
    if part.cache is not None:
        block["cache_control"] = draft.cache_control(part.cache, path)
    return block


def _result_content(draft: Draft, part: ToolResult, path: str) -> str | list[Block]:
    if len(part.parts) == 1:
        only = part.parts[0]
        if isinstance(only, Text) and only.cache is None and not only.citations and not only.ext:
            return only.text
    blocks: list[Block] = []
    for number, inner in enumerate(part.parts):
        place = f"{path}.content[{number}]"
        match inner:
            case Text():
                blocks += _text(draft, inner, place)
            case Refusal():
                blocks += _words(inner.text)
            case Media():
                blocks.append(write_media(draft, inner, place))
            case SearchResult():
                blocks.append(_search_result(draft, inner, place))
            case Opaque():
                blocks.append(_opaque(inner, place))
            case Thinking() | ToolCall() | ToolResult():
                raise unsupported(f"{place} cannot stand in a tool's result.", place)
            case _:
                assert_never(inner)
    return blocks


def _search_result(draft: Draft, part: SearchResult, path: str) -> Block:
    content: list[Block] = []
    for number, inner in enumerate(part.parts):
        place = f"{path}.content[{number}]"
        if not isinstance(inner, Text):
            raise unsupported(f"{place} is no text, which is all a search result holds.", place)
        content += _text(draft, inner, place)
    block: dict[str, object] = {
        "type": "search_result",
        "source": part.source,
        "title": part.title,
        "content": content,
    }
    if part.citations_enabled is not None:
        block["citations"] = {"enabled": part.citations_enabled}
    if part.cache is not None:
        block["cache_control"] = draft.cache_control(part.cache, path)
    return block


def _opaque(part: Opaque, path: str) -> Block:
    """What only this dialect knows goes back as it came; of another dialect it is refused."""
    if part.dialect == DIALECT:
        return part.payload
    raise unsupported(
        f"{path} is a part of kind {part.kind}, which exists in the dialect {part.dialect} only.",
        path,
    )
