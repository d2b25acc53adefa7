"""A caller's generateContent request → the canonical request (`dialects.md` §1.4).

Used on the translated way only. The model and whether it streams stand in the path; who calls
this knows them.
"""

from __future__ import annotations

from msgspec import Raw
from msgspec.structs import replace

from dragoman.core.errors import invalid, unsupported
from dragoman.core.parts import Message, Part, Text, ToolCall, ToolResult
from dragoman.core.request import Request
from dragoman.dialects.gemini import read_options as options
from dragoman.dialects.gemini import wire
from dragoman.dialects.gemini.read_parts import joined, made_id, read_part
from dragoman.dialects.gemini.wire import DIALECT, WireError

_KNOWN = {
    "model",
    "contents",
    "systemInstruction",
    "tools",
    "toolConfig",
    "generationConfig",
    "serviceTier",
    "store",
    "routing",
    "models",
}


def read_request(body: bytes) -> Request:
    """The canonical request.

    Raises:
        CallerError: a member is missing, of a wrong type, or the body is no JSON object.
    """
    try:
        return _request(wire.members(body, ""))
    except WireError as error:
        if not error.path:
            raise invalid(
                f"The body has to be one JSON object: {error.why}.", code="invalid_json"
            ) from None
        raise invalid(
            f"The member {error.path} is not usable: {error.why}.", param=error.path
        ) from None
    except RecursionError:
        raise invalid("The request is nested too deeply.", code="invalid_json") from None


def _request(members: dict[str, Raw]) -> Request:
    if "contents" not in members:
        raise invalid(
            "The member contents is required.", param="contents", code="missing_required_field"
        )
    if "cachedContent" in members:
        raise unsupported(
            "cachedContent names a cache that exists at Google only: send the content itself.",
            "cachedContent",
        )
    ext = {name: raw for name, raw in members.items() if name not in _KNOWN}
    config = options.config_of(members)
    tools = options.read_tools(members)
    choice = options.read_choice(members, ext)
    request = Request(
        model=wire.opt_text(members, "model", "") or "",
        messages=tuple(_messages(members["contents"])),
        system=_system(members),
        tools=tools,
        tool_choice=choice,
        sampling=options.read_sampling(config),
        output=options.read_output(config),
        reasoning=options.read_reasoning(config),
        max_tokens=options.read_max_tokens(config),
        service_tier=options.read_tier(members, ext),
        store=wire.boolean(members["store"], "store") if "store" in members else None,
        include_usage=True,
    )
    left = {name: raw for name, raw in config.items() if name not in options.CONFIG}
    if left:
        ext["generationConfig"] = Raw(wire.encode(left))
    return replace(request, ext={DIALECT: ext} if ext else None)


def _system(members: dict[str, Raw]) -> tuple[Part, ...]:
    path = "systemInstruction"
    if path not in members:
        return ()
    raw = members[path]
    if bytes(raw)[:1] == b'"':
        return (Text(wire.text(raw, path)),)
    found = wire.members(raw, path)
    parts: list[Part] = []
    for number, item in enumerate(wire.items(found["parts"], path) if "parts" in found else ()):
        parts += read_part(item, f"{path}.parts[{number}]", "system")
    return tuple(part for part in parts if not isinstance(part, Text) or part.text.strip())


def _messages(raw: Raw) -> list[Message]:
    """The contents as messages; what a client keeps of a stream is one answer again."""
    found: list[tuple[str, list[Part]]] = []
    for number, item in enumerate(wire.items(raw, "contents")):
        path = f"contents[{number}]"
        if bytes(item)[:1] == b'"':
            found.append(("user", [Text(wire.text(item, path))]))
            continue
        content = wire.members(item, path)
        role = wire.opt_text(content, "role", path) or "user"
        if role not in {"user", "model", "function"}:
            raise WireError(f"{path}.role", "it has to be user or model")
        parts: list[Part] = []
        inner = wire.items(content["parts"], f"{path}.parts") if "parts" in content else []
        for place, part in enumerate(inner):
            parts += read_part(part, f"{path}.parts[{place}]", f"{number}.{place}")
        if role == "model" and found and found[-1][0] == "model":
            found[-1][1].extend(parts)
        else:
            found.append((role, parts))
    if not found:
        raise WireError("contents", "it has to hold at least one content")
    pairs = _Pairs()
    messages: list[Message] = []
    for role, parts in found:
        if role == "model":
            pairs.call(parts)
            messages.append(Message("assistant", joined(parts)))
        else:
            messages.append(Message("user", tuple(pairs.answer(part) for part in parts)))
    return messages


class _Pairs:
    """Which call a result without an id answers: the first unanswered one of its name (P29)."""

    def __init__(self) -> None:
        self._waiting: list[ToolCall] = []

    def call(self, parts: list[Part]) -> None:
        """Calls of the model."""
        self._waiting += [part for part in parts if isinstance(part, ToolCall)]

    def answer(self, part: Part) -> Part:
        """The part; a result with the id and the name of its call."""
        if not isinstance(part, ToolResult):
            return part
        for place, call in enumerate(self._waiting):
            if part.call_id == call.id or (not part.call_id and part.name in {call.name, None}):
                del self._waiting[place]
                return replace(part, call_id=call.id, name=part.name or call.name)
        return part if part.call_id else replace(part, call_id=made_id("result", part.name))
