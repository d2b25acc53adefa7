"""Named request steps: quirks of providers that a rename or a refused member cannot say.

A provider's file names the steps it needs. A step takes the top level of a request that is
ready to go, whether written by ``write`` or patched by ``patch``, and gives the changed one with
what that cost. In a patched request values are the caller's own bytes: a step decodes the
messages one level deep, and every member that it does not touch stays as it came (D2).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any, TypeAlias

from msgspec import Raw

from dragoman.core.errors import unsupported
from dragoman.core.loss import Loss
from dragoman.core.parts import raw
from dragoman.dialects.base import Target
from dragoman.dialects.chat.flavours import flavour_of
from dragoman.dialects.members import Object, items_of, members_of, plain

Stepped: TypeAlias = tuple[Object, tuple[Loss, ...]]
Step: TypeAlias = Callable[[Object, Target], Stepped]

_SHORT_ID = re.compile(r"[a-zA-Z0-9]{9}")
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_BRIDGE: Object = {"role": "assistant", "content": "."}


# --------------------------------------------------------------------------- looking inside


def _messages(body: Object) -> list[Object]:
    """The messages, each one a copy whose values nobody has touched."""
    value = body.get("messages")
    if isinstance(value, Raw):
        return [
            members_of(item, f"messages[{i}]")
            for i, item in enumerate(items_of(value, "messages"))
        ]
    return [dict(message) for message in value or ()]


def _value(message: Object, name: str) -> Any:
    return plain(message.get(name), name)


def _role(message: Object) -> object:
    return _value(message, "role")


def _with(body: Object, messages: list[Object]) -> Object:
    return {**body, "messages": messages}


def _content_text(content: object) -> str:
    """All words of a content."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = (part.get("text") for part in content if isinstance(part, dict))
    return "\n".join(text for text in parts if isinstance(text, str))


def _instruct(messages: list[Object], words: str) -> list[Object]:
    """The messages with words added to the leading instructions."""
    first = messages[0] if messages else {}
    if _role(first) not in {"system", "developer"}:
        return [{"role": "system", "content": words}, *messages]
    content = _value(first, "content")
    if isinstance(content, list):
        content = [*content, {"type": "text", "text": words}]
    else:
        content = f"{content}\n\n{words}" if content else words
    return [{**first, "content": content}, *messages[1:]]


# --------------------------------------------------------------------------- roles and names


def developer_to_system(body: Object, _: Target) -> Stepped:
    """The developer's instructions under the older name (P75)."""
    messages = _messages(body)
    changed = False
    for message in messages:
        if _role(message) == "developer":
            message["role"] = "system"
            changed = True
    return (_with(body, messages) if changed else body), ()


def merge_system(body: Object, _: Target) -> Stepped:
    """One leading system message, for servers that accept exactly one (P184)."""
    messages = _messages(body)
    leading = 0
    while leading < len(messages) and _role(messages[leading]) in {"system", "developer"}:
        leading += 1
    if leading < 2:
        return body, ()
    words = [_content_text(_value(message, "content")) for message in messages[:leading]]
    merged = {**messages[0], "content": "\n\n".join(text for text in words if text)}
    return _with(body, [merged, *messages[leading:]]), ()


def drop_names(body: Object, _: Target) -> Stepped:
    """No ``name`` on messages (P77, P204); on a result it only repeats what its id says."""
    messages = _messages(body)
    losses: list[Loss] = []
    changed = False
    for i, message in enumerate(messages):
        role = _role(message)
        if role == "function" or "name" not in message:
            continue
        name = _value(message, "name")
        del message["name"]
        changed = True
        if name is not None and role != "tool":
            losses.append(Loss(f"messages[{i}].name", "this provider takes no names"))
    return (_with(body, messages) if changed else body), tuple(losses)


# --------------------------------------------------------------------------- content


def join_text(body: Object, _: Target) -> Stepped:
    """A list of texts as one string: the assistant's is one utterance, others have lines (P84)."""
    messages = _messages(body)
    losses: list[Loss] = []
    changed = False
    for i, message in enumerate(messages):
        content = _value(message, "content")
        if not isinstance(content, list) or not content or not all(map(_is_text, content)):
            continue
        joiner = "" if _role(message) == "assistant" else "\n"
        message["content"] = joiner.join(part["text"] for part in content if part["text"])
        changed = True
        for j, part in enumerate(content):
            losses += [
                Loss(f"messages[{i}].content[{j}].{name}", "this provider takes plain text only")
                for name in part
                if name not in {"type", "text"} and part[name] is not None
            ]
    return (_with(body, messages) if changed else body), tuple(losses)


def _is_text(part: object) -> bool:
    return (
        isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)
    )


def json_word(body: Object, _: Target) -> Stepped:
    """JSON mode needs the word in the prompt, or the provider refuses it (P123)."""
    form = plain(body.get("response_format"), "response_format")
    if not isinstance(form, dict) or form.get("type") != "json_object":
        return body, ()
    messages = _messages(body)
    said = (_content_text(_value(message, "content")) for message in messages)
    if any("json" in words.lower() for words in said):
        return body, ()
    changed = _with(body, _instruct(messages, "Respond with a JSON object."))
    return changed, (Loss("response_format", "an instruction was added", "emulated"),)


def schema_to_json_object(body: Object, _: Target) -> Stepped:
    """JSON mode and an instruction in place of a schema that nobody enforces."""
    value = body.get("response_format")
    form = plain(value, "response_format")
    if not isinstance(form, dict) or form.get("type") != "json_schema":
        return body, ()
    inner = form.get("json_schema")
    schema = inner.get("schema") if isinstance(inner, dict) else None
    text = bytes(raw(schema if schema is not None else {"type": "object"})).decode()
    words = (
        f"Respond with a JSON object that conforms to this JSON schema, and nothing else:\n{text}"
    )
    changed = _with(body, _instruct(_messages(body), words))
    changed["response_format"] = {"type": "json_object"}
    reason = "the schema is an instruction and is not enforced"
    return changed, (Loss("response_format.json_schema", reason, "emulated"),)


# --------------------------------------------------------------------------- tools


def short_id(given: str) -> str:
    """An id of nine letters and digits, the same for a call and its result (P32)."""
    if _SHORT_ID.fullmatch(given):
        return given
    number = int.from_bytes(hashlib.sha256(given.encode("utf-8", "surrogatepass")).digest(), "big")
    digits: list[str] = []
    for _ in range(9):
        number, digit = divmod(number, 62)
        digits.append(_BASE62[digit])
    return "".join(digits)


def short_tool_ids(body: Object, _: Target) -> Stepped:
    """Call ids in the form that Mistral demands (P32)."""
    messages = _messages(body)
    changed = False
    for message in messages:
        given = _value(message, "tool_call_id")
        if isinstance(given, str) and short_id(given) != given:
            message["tool_call_id"] = short_id(given)
            changed = True
        calls = _value(message, "tool_calls")
        if not isinstance(calls, list):
            continue
        short = [_shortened(call) for call in calls]
        if short != calls:
            message["tool_calls"] = short
            changed = True
    return (_with(body, messages) if changed else body), ()


def _shortened(call: object) -> object:
    if isinstance(call, dict) and isinstance(call.get("id"), str):
        return {**call, "id": short_id(call["id"])}
    return call


def bridge_after_tool(body: Object, _: Target) -> Stepped:
    """An assistant's word between results and what is no answer to them, which Mistral demands (P153)."""
    bridged: list[Object] = []
    previous: object = None
    messages = _messages(body)
    for message in messages:
        role = _role(message)
        if previous == "tool" and role in {"user", "system", "developer"}:
            bridged.append(dict(_BRIDGE))
        bridged.append(message)
        previous = role
    return (_with(body, bridged) if len(bridged) != len(messages) else body), ()


def prefix_prefill(body: Object, _: Target) -> Stepped:
    """An assistant message at the end is a beginning to continue (P154)."""
    messages = _messages(body)
    last = messages[-1] if messages else {}
    if _role(last) != "assistant" or _value(last, "prefix") is not None:
        return body, ()
    if _value(last, "tool_calls"):
        return body, ()
    return _with(body, [*messages[:-1], {**last, "prefix": True}]), ()


# --------------------------------------------------------------------------- reasoning, answers


def replay_reasoning(body: Object, _: Target) -> Stepped:
    """Where tools and thinking meet, every assistant turn carries its reasoning, "" if lost (P101)."""
    thinking = plain(body.get("thinking"), "thinking")
    if isinstance(thinking, dict) and thinking.get("type") == "disabled":
        return body, ()
    messages = _messages(body)
    called = any(_value(message, "tool_calls") for message in messages)
    if not called:
        return body, ()
    changed = False
    for message in messages:
        if _role(message) == "assistant" and _value(message, "reasoning_content") is None:
            message["reasoning_content"] = _value(message, "reasoning") or ""
            message.pop("reasoning", None)
            changed = True
    return (_with(body, messages) if changed else body), ()


def reject_many(body: Object, target: Target) -> Stepped:
    """One answer a request is all that this provider gives (P115)."""
    many = plain(body.get("n"), "n")
    if isinstance(many, (int, float)) and many > 1:
        raise unsupported(
            f"n is {many}; {target.provider} gives one answer a request: send it {many} times.",
            "n",
        )
    return body, ()


def reasoning_name(body: Object, target: Target) -> Stepped:
    """Reasoning in the history under the name that the flavour reads (P181)."""
    flavour = flavour_of(target.quirks.flavour).name
    wanted = "reasoning" if flavour in {"groq", "openrouter"} else "reasoning_content"
    other = "reasoning_content" if wanted == "reasoning" else "reasoning"
    messages = _messages(body)
    changed = False
    for message in messages:
        if _role(message) == "assistant" and other in message:
            value = message.pop(other)
            if _value(message, wanted) is None:
                message[wanted] = value
            changed = True
    return (_with(body, messages) if changed else body), ()


STEPS: dict[str, Step] = {
    "developer_to_system": developer_to_system,
    "merge_system": merge_system,
    "drop_names": drop_names,
    "join_text": join_text,
    "json_word": json_word,
    "schema_to_json_object": schema_to_json_object,
    "short_tool_ids": short_tool_ids,
    "bridge_after_tool": bridge_after_tool,
    "prefix_prefill": prefix_prefill,
    "replay_reasoning": replay_reasoning,
    "reject_many": reject_many,
    "reasoning_name": reasoning_name,
}
"""The steps by the names that providers' files use."""
