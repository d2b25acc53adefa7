"""What the stub says to a request: words, a tool call, JSON, or why the request is wrong.

It is a provider, so it judges its requests as one: with OpenAI's words, and no more strictly.
"""

from __future__ import annotations

import re
from typing import TypeAlias

import msgspec
from msgspec import Struct

from dragoman.transport.stub_value import Json, fitting

_HELLO = (
    "Hello! ",
    "This is Dragoman's built-in stub: ",
    "set a provider key to talk to a model.",
)

_WORDS = re.compile(r"[\w-]+")

_encode = msgspec.json.Encoder().encode


class Words(Struct, frozen=True):
    """A text in pieces, as a stream has them."""

    pieces: tuple[str, ...]


class ToolCall(Struct, frozen=True):
    """A call of one tool; a custom one is called with a text, a function with JSON."""

    name: str
    given: str
    custom: bool = False


class Refusal(Struct, frozen=True):
    """Why a request is wrong, as the members of OpenAI's error."""

    message: str
    param: str
    code: str | None = None
    status: int = 400


Said: TypeAlias = Words | ToolCall | Refusal


def answer(body: Json) -> Said:
    """What is said to a chat request, the same to the same."""
    return _wrong_list(body, "messages") or _called(body) or _in_form(body)


def _wrong_list(body: Json, name: str) -> Refusal | None:
    value = body.get(name)
    if value is None:
        return Refusal(
            f"Missing required parameter: '{name}'.", name, "missing_required_parameter"
        )
    if not isinstance(value, list):
        return Refusal(f"Invalid type for '{name}': expected an array.", name, "invalid_type")
    if not value:
        return Refusal(
            f"Invalid '{name}': empty array, expected at least one.", name, "empty_array"
        )
    return None


# --------------------------------------------------------------------------- tools


def _called(body: Json) -> ToolCall | Refusal | None:
    """The call that ``tool_choice`` demands, or that the last message asks for by the tool's name."""
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        allowed = choice.get("allowed_tools")
        choice = allowed if isinstance(allowed, dict) else {}
        if choice.get("mode") != "required":
            return None
        wanted = [_name(tool) for tool in _dicts(choice.get("tools"))]
    elif isinstance(choice, dict):
        wanted = [_name(choice)]
    elif choice == "required":
        wanted = []
    else:
        return None if choice == "none" else _named(body)
    tools = _dicts(body.get("tools"))
    if not tools:
        return Refusal("'tool_choice' is only allowed when 'tools' are specified.", "tool_choice")
    found = [tool for tool in tools if not wanted or _name(tool) in wanted]
    if not found:
        return Refusal(
            f"Tool choice '{wanted[0][:80]}' not found in 'tools' parameter.", "tool_choice"
        )
    return _call(found[0])


def _named(body: Json) -> ToolCall | None:
    """A tool that is offered is called if the user's last message says its name."""
    tools, messages = _dicts(body.get("tools")), _dicts(body.get("messages"))
    if not tools or not messages or messages[-1].get("role") != "user":
        return None
    content = messages[-1].get("content")
    parts = [{"text": content}] if isinstance(content, str) else _dicts(content)
    text = " ".join(str(part.get("text", "")) for part in parts)
    words = set(_WORDS.findall(text))
    return next((_call(tool) for tool in tools if _name(tool) in words), None)


def _call(tool: Json) -> ToolCall:
    if tool.get("type") == "custom":
        return ToolCall(_name(tool), "stub input", custom=True)
    function = tool.get("function")
    schema = function.get("parameters") if isinstance(function, dict) else None
    return ToolCall(_name(tool), _encode(fitting(schema)).decode())


def _name(tool: Json) -> str:
    """The name of a tool or of a choice of one: it stands under the type, of some also bare."""
    kind = tool.get("type")
    inner = tool.get(kind) if isinstance(kind, str) else None
    return str((inner if isinstance(inner, dict) else tool).get("name", ""))


def _dicts(value: object) -> list[Json]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


# --------------------------------------------------------------------------- words


def _in_form(body: Json) -> Words:
    """The words, in the form that ``response_format`` asks for."""
    form = body.get("response_format")
    match form:
        case {"type": "json_object"}:
            return _halved({"answer": "".join(_HELLO)})
        case {"type": "json_schema", "json_schema": {"schema": dict() as schema}}:
            return _halved(fitting(schema))
        case _:
            return Words(_HELLO)


def _halved(value: object) -> Words:
    return Words(halves(_encode(value).decode()))


def halves(text: str) -> tuple[str, str]:
    """A text in two pieces."""
    middle = len(text) // 2
    return text[:middle], text[middle:]
