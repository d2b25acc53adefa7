"""Canonical turns → the chat dialect's messages.

Results come first in the user's turn, one ``tool`` message for each, in the order of their calls;
then what of them a tool message cannot hold; then the user's own words (P48, P52).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from msgspec import Raw

from dragoman.core.errors import unsupported
from dragoman.core.parts import (
    FileRef,
    Media,
    Message,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    raw,
)
from dragoman.core.request import Request
from dragoman.dialects.chat.draft import Draft, call_id
from dragoman.dialects.chat.write_content import collapse, mark, write_part, write_parts
from dragoman.dialects.members import Object

_ISSUERS = {"anthropic": "anthropic/", "responses": "openai/", "gemini": "google/"}


def write_messages(request: Request, draft: Draft) -> list[Object]:
    """The conversation, the system's words first."""
    messages = list(_leading(request.system, draft))
    order: dict[str, int] = {}
    turns = list(enumerate(request.messages))
    for is_user, group in groupby(turns, key=lambda turn: turn[1].role == "user"):
        run = list(group)
        if is_user:
            messages += _user_run(run, order, draft)
            continue
        for i, message in run:
            at = f"messages[{i}]"
            if message.role == "assistant":
                messages.append(_assistant(message, at, draft))
                order = {part.id: n for n, part in enumerate(_calls(message))}
            else:
                messages += _system(message, at, draft)
    if request.messages and request.messages[-1].role == "assistant":
        _tell_prefill(request.messages[-1], len(request.messages) - 1, draft)
    return messages


def _calls(message: Message) -> list[ToolCall]:
    return [part for part in message.parts if isinstance(part, ToolCall)]


def _tell_prefill(message: Message, i: int, draft: Draft) -> None:
    """An answer that the model is asked to continue (P76)."""
    continued = draft.flavour.prefill and draft.target.capability.prefill
    if not continued and not _calls(message):
        draft.lose(f"messages[{i}]", "this model answers anew instead of continuing", "changed")


# --------------------------------------------------------------------------- system


def _system_role(draft: Draft) -> str:
    """OpenAI's reasoning models call it developer; everybody else understands system (P75)."""
    modern = draft.flavour.name == "openai" and draft.target.capability.reasons_by_default
    return "developer" if modern else "system"


def _message_ext(part: Part) -> dict[str, Raw]:
    """Members of the message, which ride on the first of its texts when it leads (P74)."""
    ext = part.ext if isinstance(part, Text) else None
    return {} if ext is None else {k: v for k, v in ext.get("chat", {}).items() if k == "name"}


def _leading(parts: tuple[Part, ...], draft: Draft) -> Iterator[Object]:
    """One message, or several where some have a name."""
    pieces: list[list[tuple[int, Part]]] = []
    for i, part in enumerate(parts):
        if not pieces or _message_ext(part):
            pieces.append([])
        pieces[-1].append((i, part))
    for piece in pieces:
        content: list[Object] = []
        named: Object = {}
        for i, part in piece:
            for item in write_part(part, f"system[{i}]", draft):
                if "name" in item:
                    named["name"] = item.pop("name")
                content.append(item)
        if named and not draft.flavour.names:
            named = {}
            draft.lose(f"system[{piece[0][0]}].name", "this provider takes no names")
        if content:
            yield {"role": _system_role(draft), "content": collapse(content, draft), **named}


def _system(message: Message, at: str, draft: Draft) -> list[Object]:
    content = write_parts(message.parts, f"{at}.content", draft)
    if not content and message.parts:
        return []
    known = draft.flavour.developer and message.role_name == "developer"
    role = "developer" if known else _system_role(draft)
    item: Object = {"role": role, "content": collapse(content, draft)}
    return [_finished(item, message, at, draft)]


# --------------------------------------------------------------------------- user


def _user_run(
    run: Sequence[tuple[int, Message]], order: dict[str, int], draft: Draft
) -> list[Object]:
    """Neighbouring user turns, with every result before every other word."""
    results: list[tuple[int, str, ToolResult]] = []
    words: list[Object] = []
    for i, message in run:
        rest: list[tuple[str, Part]] = []
        for j, part in enumerate(message.parts):
            at = f"messages[{i}].content[{j}]"
            if isinstance(part, ToolResult):
                results.append((order.get(part.call_id, -1), at, part))
            else:
                rest.append((at, part))
        if rest or not message.parts:
            content = [item for at, part in rest for item in write_part(part, at, draft)]
            item: Object = {"role": "user", "content": collapse(content, draft)}
            words.append(_finished(item, message, f"messages[{i}]", draft))
        elif message.ext is not None or message.name is not None:
            _finished({}, message, f"messages[{i}]", draft)
    answers: list[Object] = []
    moved: list[Object] = []
    for _, at, result in sorted(results, key=lambda item: item[0]):
        answers.append(_result(result, at, moved, draft))
    if moved:
        answers.append({"role": "user", "content": moved})
    return answers + words


def _result(result: ToolResult, at: str, moved: list[Object], draft: Draft) -> Object:
    """One ``tool`` message; what it cannot hold goes into ``moved``."""
    content: list[Object] = []
    sent_id = call_id(result.call_id)
    has_words = any(isinstance(part, Text) and part.text for part in result.parts)
    for k, part in enumerate(result.parts):
        items = write_part(part, f"{at}.content[{k}]", draft)
        for item in items:
            kind = item.get("type")
            if kind == "text" or (kind == "image_url" and draft.flavour.result_media):
                content.append(item)
                continue
            what = part.kind if isinstance(part, Media) else "content"
            draft.lose(f"{at}.content[{k}]", f"the {what} moved behind the results", "emulated")
            if not has_words:
                # Beside words of its own it would be read as one of them, in JSON for one.
                content.append({"type": "text", "text": f"[{what}: see the next user message]"})
            moved.append({"type": "text", "text": f"[{what} from tool call {sent_id}]"})
            moved.append(item)
    if result.is_error:
        _flag(content)
        draft.lose(f"{at}.is_error", "the text says it", "emulated")
    if result.cache is not None:
        if content and content[-1].get("type") == "text":
            mark(content[-1], result.cache, at, draft)
        else:
            draft.lose(f"{at}.cache_control", "there is no text that could carry the mark")
    message: Object = {
        "role": "tool",
        "tool_call_id": sent_id,
        "content": collapse(content, draft),
    }
    draft.extend(message, result.ext, at)
    return message


def _flag(content: list[Object]) -> None:
    """A failure has no flag in this dialect: the text says it (P53)."""
    for item in content:
        if item.get("type") == "text":
            item["text"] = f"Error: {item['text']}"
            return
    content.insert(0, {"type": "text", "text": "Error: "})


# --------------------------------------------------------------------------- assistant


def _assistant(message: Message, at: str, draft: Draft) -> Object:
    content: list[Object] = []
    calls: list[Object] = []
    refusals: list[str] = []
    thoughts: list[Thinking] = []
    audio: Object | None = None
    for i, part in enumerate(message.parts):
        path = f"{at}.content[{i}]"
        match part:
            case Thinking():
                if _fits(part, draft):
                    thoughts.append(part)
                else:
                    draft.lose(path, "reasoning of another model family is not replayed")
            case ToolCall():
                calls.append(_call(part, path, draft))
            case Refusal() if draft.flavour.refusals:
                refusals.append(part.text)
            case Media(kind="audio"):
                audio = _spoken(part, path, content, draft)
            case _:
                content += write_part(part, path, draft)
    recalled = draft.flavour.recall(tuple(thoughts))
    if draft.flavour.name == "openai":
        _unmark(content, f"{at}.content", draft)
    content[:0] = recalled.parts
    item: Object = {"role": "assistant", "content": collapse(content, draft, "") or None}
    if item["content"] is None and not (calls or refusals or audio):
        item["content"] = ""
    item.update(recalled.members)
    if refusals:
        item["refusal"] = "\n".join(refusals)
    if audio:
        item["audio"] = audio
    if calls:
        item["tool_calls"] = calls
    _merge_details(item, message)
    return _finished(item, message, at, draft)


def _fits(thought: Thinking, draft: Draft) -> bool:
    """Whether the target's model can have written this reasoning (P93)."""
    if not draft.flavour.recalls:
        return False
    if thought.family in {None, "chat"}:
        return True
    issuer = _ISSUERS.get(thought.family or "")
    own = issuer is not None and draft.target.model.startswith(issuer)
    return own and draft.flavour.name == "openrouter"


def _unmark(content: list[Object], at: str, draft: Draft) -> None:
    """OpenAI takes breakpoints in every message but the assistant's (§1.1)."""
    for item in content:
        if item.pop("prompt_cache_breakpoint", None) is not None:
            draft.lose(f"{at}.cache_control", "no cache marks on the assistant's words")


def _merge_details(item: Object, message: Message) -> None:
    """Reasoning entries that nobody could read come back beside the others."""
    strange = (message.ext or {}).get("chat", {}).get("reasoning_details")
    known = item.get("reasoning_details")
    if strange is not None and known:
        joined = bytes(raw(known))[:-1] + b"," + bytes(strange)[1:]
        item["reasoning_details"] = Raw(joined)


def _spoken(part: Media, at: str, content: list[Object], draft: Draft) -> Object | None:
    """What the assistant said aloud: the provider's own recording, else its words (P87)."""
    own = isinstance(part.source, FileRef) and part.source.dialect == "chat"
    if own and draft.flavour.media_out and isinstance(part.source, FileRef):
        return {"id": part.source.id}
    if part.transcript is None:
        raise unsupported(f"{at} is audio that is kept by another provider.", at)
    draft.lose(at, "the recording became its transcript", "emulated")
    content.append({"type": "text", "text": part.transcript})
    return None


def _call(call: ToolCall, at: str, draft: Draft) -> Object:
    """A tool call; arguments are the original text, and nothing at all is ``{}`` (P34)."""
    name = draft.name(call.name)
    item: Object = {"id": call_id(call.id), "type": "function"}
    if call.kind == "custom" and draft.flavour.custom_tools:
        item = {**item, "type": "custom", "custom": {"name": name, "input": call.arguments}}
    elif call.kind == "custom":
        wrapped = bytes(raw({"input": call.arguments})).decode()
        item["function"] = {"name": name, "arguments": wrapped}  # P67
    else:
        item["function"] = {
            "name": name,
            "arguments": call.arguments if call.arguments.strip() else "{}",
        }
    if call.signature is not None:
        draft.lose(f"{at}.signature", "this provider has no thought signatures")
    if call.cache is not None:
        draft.lose(f"{at}.cache_control", "tool calls carry no cache marks in this dialect")
    draft.extend(item, call.ext, at)
    return item


def _finished(item: Object, message: Message, at: str, draft: Draft) -> Object:
    """The message's own members: its name, and what only the chat family knows."""
    if message.name is not None:
        if draft.flavour.names:
            item["name"] = message.name
        else:
            draft.lose(f"{at}.name", "this provider takes no names")
    draft.extend(item, message.ext, at)
    return item
