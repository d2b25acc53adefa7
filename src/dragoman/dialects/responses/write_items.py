"""Canonical turns → input items.

A message of the assistant becomes its reasoning, its words and its calls, each an item, in their
order; the results of a turn's calls come before the user's own words.
"""

from __future__ import annotations

from typing import assert_never

from dragoman.core.errors import unsupported
from dragoman.core.parts import (
    Media,
    Message,
    Opaque,
    Refusal,
    SearchResult,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from dragoman.core.request import Request
from dragoman.dialects.members import Object, members_of
from dragoman.dialects.responses.annotations import write_annotation
from dragoman.dialects.responses.draft import Draft, call_id
from dragoman.dialects.responses.envelope import is_native
from dragoman.dialects.responses.wire import DIALECT, own
from dragoman.dialects.responses.write_content import mark, write_part, write_parts, write_text


def write_items(request: Request, draft: Draft) -> list[Object]:
    """The conversation without its leading instructions.

    Raises:
        CallerError: it ends with words of the assistant's, which nothing here continues (P76).
    """
    items: list[Object] = []
    for i, message in enumerate(request.messages):
        at = f"messages[{i}]"
        if message.name is not None:
            draft.lose(f"{at}.name", "messages have no names in this dialect")
        match message.role:
            case "user":
                items += _user(message, at, draft)
            case "assistant":
                items += _assistant(message, at, draft)
            case "system":
                items += _system(message, at, draft)
            case _:
                assert_never(message.role)
    _refuse_prefill(request)
    return items


def _refuse_prefill(request: Request) -> None:
    last = request.messages[-1] if request.messages else None
    if last is None or last.role != "assistant":
        return
    if not any(isinstance(part, (ToolCall, Opaque)) for part in last.parts):
        raise unsupported(
            "The conversation ends with the assistant's words, and this model answers anew instead "
            "of continuing them: end it with a user message.",
            f"messages[{len(request.messages) - 1}]",
        )


def write_system(request: Request, draft: Draft) -> tuple[str | None, list[Object]]:
    """Leading instructions: as ``instructions``, or as a leading item where they carry marks.

    In JSON mode they stand in the input, for OpenAI looks there for the word JSON (P188).
    """
    texts: list[Text] = []
    for i, part in enumerate(request.system):
        if not isinstance(part, Text):
            at = f"system[{i}]"
            raise unsupported(f"{at} is no text, which is all that instructions can be.", at)
        texts.append(part)
    if not texts:
        return None, []
    bare = all(text.cache is None and not own(text.ext) for text in texts)
    if bare and request.output.format != "json" and request.messages:
        for i, text in enumerate(texts):
            draft.extend({}, text.ext, f"system[{i}]")
        return "\n\n".join(text.text for text in texts if text.text), []
    content = [write_text(text, f"system[{i}]", draft) for i, text in enumerate(texts)]
    return None, [{"type": "message", "role": "developer", "content": content}]


def _system(message: Message, at: str, draft: Draft) -> list[Object]:
    """Instructions in the middle of a conversation, where they stood (P74)."""
    content = write_parts(message.parts, f"{at}.content", draft)
    if not content:
        return []
    role = message.role_name if message.role_name in {"system", "developer"} else "developer"
    item: Object = {"type": "message", "role": role, "content": content}
    draft.extend(item, message.ext, at)
    return [item]


def _user(message: Message, at: str, draft: Draft) -> list[Object]:
    items: list[Object] = []
    content: list[Object] = []
    for i, part in enumerate(message.parts):
        path = f"{at}.content[{i}]"
        if isinstance(part, ToolResult):
            items.append(_result(part, path, draft))
        elif isinstance(part, Opaque) and part.dialect == DIALECT:
            items.append(members_of(part.payload, path))
        else:
            content += write_part(part, path, draft)
    if content:
        plain = len(content) == 1 and content[0].keys() == {"type", "text"}
        said = content[0]["text"] if plain else content
        item: Object = {"type": "message", "role": "user", "content": said}
        draft.extend(item, message.ext, at)
        items.append(item)
    elif message.ext is not None:
        draft.extend({}, message.ext, at)
    return items


def _result(part: ToolResult, at: str, draft: Draft) -> Object:
    content: list[Object] = []
    for i, inner in enumerate(part.parts):
        content += write_part(inner, f"{at}.content[{i}]", draft)
    if part.is_error:
        _flag(content)
        draft.lose(f"{at}.is_error", "the text says it", "emulated")
    if part.cache is not None:
        if content:
            mark(content[-1], part.cache, at, draft)
        else:
            draft.lose(f"{at}.cache_control", "there is no content that could carry the mark")
    plain = len(content) == 1 and content[0].keys() == {"type", "text"}
    item: Object = {
        "type": (
            "custom_tool_call_output" if part.call_id in draft.custom else "function_call_output"
        ),
        "call_id": call_id(part.call_id),
        "output": (content[0]["text"] if plain else content) if content else "",
    }
    draft.extend(item, part.ext, at)
    return item


def _flag(content: list[Object]) -> None:
    """A failure has no flag in this dialect: the text says it (P53)."""
    for item in content:
        if item.get("type") == "input_text":
            item["text"] = f"Error: {item['text']}"
            return
    content.insert(0, {"type": "input_text", "text": "Error: "})


# --------------------------------------------------------------------------- assistant


def _assistant(message: Message, at: str, draft: Draft) -> list[Object]:
    items: list[Object] = []
    words: list[Object] = []

    def close() -> None:
        """Ends the message item that is being collected."""
        if words:
            item: Object = {"type": "message", "role": "assistant"}
            for part in words:
                if "phase" in part:
                    item["phase"] = part.pop("phase")  # P191
            # The form of a single text needs no id even by the letter of the schema (P149).
            plain = len(words) == 1 and words[0].get("annotations") == []
            item["content"] = words[0]["text"] if plain else list(words)
            items.append(item)
            words.clear()

    native = False
    for i, part in enumerate(message.parts):
        path = f"{at}.content[{i}]"
        match part:
            case Text():
                if part.text:
                    words.append(_said(part, path, draft))
            case Refusal():
                words.append({"type": "refusal", "refusal": part.text})
            case Thinking():
                close()
                if item := _reasoning(part, path, draft):
                    items.append(item)
                    native = True
            case ToolCall():
                close()
                items.append(_call(part, path, draft, native=native))
            case Opaque():
                close()
                if part.dialect == DIALECT:
                    items.append(members_of(part.payload, path))
                else:
                    write_part(part, path, draft)
            case Media():
                words.append(_spoken(part, path, draft))
            case SearchResult() | ToolResult():
                raise unsupported(f"{path} cannot stand in an assistant message.", path)
            case _:
                assert_never(part)
    close()
    if items and items[-1].get("type") == "reasoning":
        # Reasoning that nothing follows is refused (P104).
        items.pop()
        draft.lose(at, "reasoning that nothing follows is not replayed")
    draft.extend(items[-1] if items else {}, message.ext, at)
    return items


def _said(part: Text, at: str, draft: Draft) -> Object:
    notes: list[object] = []
    for i, citation in enumerate(part.citations):
        note = write_annotation(citation, len(part.text))
        if note is None:
            draft.lose(f"{at}.citations[{i}]", "a citation that this dialect cannot say")
        else:
            notes.append(note)
    item: Object = {"type": "output_text", "text": part.text, "annotations": notes}
    if part.cache is not None:
        draft.lose(f"{at}.cache_control", "no cache marks on the assistant's words")
    draft.extend(item, part.ext, at)
    return item


def _spoken(part: Media, at: str, draft: Draft) -> Object:
    """What the assistant said aloud goes back as its words (P87)."""
    if part.transcript is None:
        raise unsupported(f"{at} is {part.kind} in an assistant message.", at)
    draft.lose(at, "the recording became its transcript", "emulated")
    return {"type": "output_text", "text": part.transcript, "annotations": []}


def _reasoning(part: Thinking, at: str, draft: Draft) -> Object | None:
    """This family's own reasoning with its state; without it, or of another family, none (P93, P104).

    Its id is left out, for what we send is not stored.
    """
    if not is_native(part) or part.encrypted is None:
        draft.lose(at, "reasoning of another model family is not replayed")
        return None
    shown = bool(part.text) and part.summary
    item: Object = {
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": part.text}] if shown else [],
        "encrypted_content": part.encrypted,
    }
    if part.text and not part.summary:
        item["content"] = [{"type": "reasoning_text", "text": part.text}]
    return item


def _call(call: ToolCall, at: str, draft: Draft, *, native: bool) -> Object:
    """A call; arguments are the original text, and nothing at all is ``{}`` (P34).

    The item's own id goes with the reasoning that led to it, and with nothing else (P190).
    """
    custom = call.kind == "custom"
    item: Object = {
        "type": "custom_tool_call" if custom else "function_call",
        "call_id": call_id(call.id),
        "name": draft.name(call.name),
    }
    if native and call.item_id is not None:
        item["id"] = call.item_id
    if custom:
        draft.custom.add(call.id)
        item["input"] = call.arguments
    else:
        item["arguments"] = call.arguments if call.arguments.strip() else "{}"
    if call.signature is not None:
        draft.lose(f"{at}.signature", "this provider has no thought signatures")
    if call.cache is not None:
        draft.lose(f"{at}.cache_control", "tool calls carry no cache marks in this dialect")
    draft.extend(item, call.ext, at)
    return item


def filler() -> Object:
    """What stands for a conversation that has no turn (P189)."""
    return {"type": "message", "role": "user", "content": ""}
