"""The conversation as messages of ``/api/chat``.

Every message stays where it was and none are merged; each result of a tool is a message of its
own, before the words that follow it, and names its function (P30).
"""

from __future__ import annotations

from typing import assert_never

from dragoman.core.errors import invalid
from dragoman.core.parts import (
    Ext,
    Message,
    Part,
    Thinking,
    ToolCall,
    ToolResult,
)
from dragoman.dialects.call_arguments import as_object_on_one_line
from dragoman.dialects.halves import mend
from dragoman.dialects.ollama.calls import Calls
from dragoman.dialects.ollama.draft import Draft, Object
from dragoman.dialects.ollama.wire import DIALECT, Members
from dragoman.dialects.ollama.write_parts import Content, add_part

_REPLAYED = frozenset({None, "chat", DIALECT})
"""Families whose reasoning a model here can have written; state of others stays behind (P93)."""


def write_system(draft: Draft, instruction: str | None) -> list[Object]:
    """The leading instructions, a message each, and what stands for a choice that there is not."""
    written: list[Object] = []
    for number, part in enumerate(draft.request.system):
        content = Content()
        add_part(part, f"system[{number}]", content, draft)
        item = content.put({"role": "system"})
        draft.extend(item, own_of(part), f"system[{number}]")
        written.append(item)
    if instruction is not None:
        written.append({"role": "system", "content": instruction})
    return written


def own_of(part: Part) -> Ext | None:
    """The members of this dialect that ride on a part; others have been told as lost."""
    mine: Members | None = (getattr(part, "ext", None) or {}).get(DIALECT)
    return {DIALECT: mine} if mine else None


def write_turns(draft: Draft) -> list[Object]:
    """The conversation.

    Raises:
        CallerError: a result answers no call, or a part cannot be said here.
    """
    written: list[Object] = []
    calls = Calls()
    for number, message in enumerate(draft.request.messages):
        at = f"messages[{number}]"
        if message.name is not None:
            draft.lose(f"{at}.name", "this provider takes no names")  # P77
        match message.role:
            case "user" | "system":
                written += _spoken(message, message.role, at, calls, draft)
            case "assistant":
                calls.next_turn()
                written.append(_assistant(message, at, calls, draft))
            case _:
                assert_never(message.role)
    return written


def _spoken(message: Message, role: str, at: str, calls: Calls, draft: Draft) -> list[Object]:
    results: list[Object] = []
    content = Content()
    spoke = not message.parts
    for number, part in enumerate(message.parts):
        path = f"{at}.content[{number}]"
        if isinstance(part, ToolResult):
            results.append(_result(part, path, calls, draft))
        else:
            add_part(part, path, content, draft)
            spoke = True
    if not spoke:
        if message.ext is not None:
            draft.foreign(message.ext, at)
        return results
    item = content.put({"role": role})
    draft.extend(item, message.ext, at)
    return [*results, item]


def _result(result: ToolResult, at: str, calls: Calls, draft: Draft) -> Object:
    found = calls.answer(result.call_id, "")
    name = result.name or (found[1] if found else None)
    if not name:
        raise invalid(
            f"The tool result at {at} answers the call {result.call_id[:64]!r}, which no "
            "assistant message before it makes.",
            at,
            "tool_call_id_invalid",
        )
    content = Content()
    for number, part in enumerate(result.parts):
        add_part(part, f"{at}.content[{number}]", content, draft)
    if result.is_error:
        content.words = [f"Error: {''.join(content.words[:1])}", *content.words[1:]]
        draft.lose(f"{at}.is_error", "the text says it", "emulated")  # P53
    if result.cache is not None:
        draft.lose(f"{at}.cache_control", "no cache marks at this provider")
    item = content.put({"role": "tool"})
    item["tool_name"] = name
    if result.call_id:
        item["tool_call_id"] = mend(result.call_id)
    draft.extend(item, result.ext, at)
    return item


def _assistant(message: Message, at: str, calls: Calls, draft: Draft) -> Object:
    content = Content()
    thoughts: list[str] = []
    made: list[Object] = []
    for number, part in enumerate(message.parts):
        path = f"{at}.content[{number}]"
        match part:
            case Thinking():
                if part.family in _REPLAYED and not part.redacted:
                    thoughts.append(part.text)
                else:
                    draft.lose(path, "reasoning of another model family is not replayed")
            case ToolCall():
                made.append(_call(part, path, calls, draft))
            case _:
                add_part(part, path, content, draft)
    item = content.put({"role": "assistant"}, joiner="")
    if thinking := "".join(thoughts):
        item["thinking"] = mend(thinking)
    if made:
        item["tool_calls"] = made
    draft.extend(item, message.ext, at)
    return item


def _call(call: ToolCall, at: str, calls: Calls, draft: Draft) -> Object:
    arguments, kept = as_object_on_one_line(call)
    if not kept:
        draft.lose(f"{at}.arguments", "no JSON object", "changed")
    if call.signature is not None:
        draft.lose(f"{at}.signature", "this provider has no thought signatures")
    if call.cache is not None:
        draft.lose(f"{at}.cache_control", "no cache marks at this provider")
    made = calls.make(call.id, call.name)
    item: Object = {
        "id": mend(made),
        "function": {"name": mend(call.name), "arguments": arguments},
    }
    draft.extend(item, call.ext, at)
    return item
