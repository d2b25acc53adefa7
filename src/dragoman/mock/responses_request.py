"""Reading an OpenAI Responses request the way a provider does: strict where OpenAI is."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from dragoman.mock.ask import Ask, Json, Refused, Tool, as_dict, as_list, tokens

__all__ = ["read_responses", "sealed"]

_ROLES = frozenset({"system", "developer", "user", "assistant"})
_TEXTS = frozenset({"input_text", "output_text", "text"})
_LEAST = 16
"""Bounds of the output below it are refused (P111)."""


def sealed(thinking: str) -> str:
    """The state of what the mock thought; a changed or foreign one is refused."""
    return "mock" + sha256(b"sealed " + thinking.encode("utf-8", "replace")).hexdigest()


def read_responses(body: Json) -> Ask:
    """What the request asks for; ``Refused`` with OpenAI's words where it would refuse."""
    if not isinstance(model := body.get("model"), str) or not model:
        raise Refused(
            "Missing required parameter: 'model'.",
            param="model",
            code="missing_required_parameter",
        )
    ask = Ask(model=model)
    if isinstance(told := body.get("instructions"), str):
        ask.input += tokens(told) + 4
    given = body.get("input")
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    if given is None:
        raise Refused(
            "Missing required parameter: 'input'.",
            param="input",
            code="missing_required_parameter",
        )
    _read_items(as_list(given, "input"), ask)
    _read_tools(body, ask)
    _read_shape(body, ask)
    ask.stream = body.get("stream") is True
    ask.max_tokens = _limit(body)
    reasoning = body.get("reasoning")
    ask.thinks = isinstance(reasoning, dict) and reasoning.get("effort") not in {None, "none"}
    return ask


def _limit(body: Json) -> int | None:
    value = body.get("max_output_tokens")
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < _LEAST:
        raise Refused(
            f"Invalid 'max_output_tokens': integer below minimum value. Expected a value >= {_LEAST}, "
            f"but got {value} instead.",
            param="max_output_tokens",
            code="integer_below_min_value",
        )
    return value


def _read_items(items: list[Any], ask: Ask) -> None:
    called: set[str] = set()
    results: list[str] = []
    for place, each in enumerate(items):
        where = f"input[{place}]"
        item = as_dict(each, where)
        kind = item.get("type", "message")
        match kind:
            case "message":
                results.clear()
                _read_message(item, ask, where)
            case "function_call" | "custom_tool_call":
                called.add(str(item.get("call_id")))
                ask.input += tokens(str(item.get("arguments") or item.get("input") or "")) + 4
            case "function_call_output" | "custom_tool_call_output":
                if item.get("call_id") not in called:
                    raise Refused(
                        f"No tool call found for function call output with call_id "
                        f"{item.get('call_id')}.",
                        param="input",
                    )
                text, images = _content(item.get("output"), where)
                ask.input += tokens(text) + 85 * len(images) + 4
                results.append(text)
            case "reasoning":
                _check_reasoning(item, items, place)
            case _:
                raise Refused(f"Invalid value: {kind!r}.", param=f"{where}.type")
    ask.results = tuple(results)


def _read_message(item: Json, ask: Ask, where: str) -> None:
    role = item.get("role")
    if role not in _ROLES:
        raise Refused(f"Invalid value: {role!r}.", param=f"{where}.role")
    text, images = _content(item.get("content"), where)
    ask.input += tokens(text) + 85 * len(images) + 4
    if role == "user":
        ask.prompt, ask.images = text, images


def _check_reasoning(item: Json, items: list[Any], place: int) -> None:
    """Its state has to be the mock's own, and something has to follow it (P104)."""
    state = item.get("encrypted_content")
    summary = "".join(str(part.get("text")) for part in item.get("summary") or ())
    if state != sealed(summary):
        raise Refused(
            "The encrypted content could not be verified.", code="invalid_encrypted_content"
        )
    if place + 1 == len(items):
        raise Refused(
            f"Item '{item.get('id')}' of type 'reasoning' was provided without its required "
            "following item.",
            param="input",
        )


def _content(content: object, where: str) -> tuple[str, tuple[str, ...]]:
    """All text of a message's content, and what its images are."""
    if content is None:
        return "", ()
    if isinstance(content, str):
        return content, ()
    texts: list[str] = []
    images: list[str] = []
    for part in as_list(content, f"{where}.content"):
        match as_dict(part, f"{where}.content"):
            case {"type": str(kind), "text": str(text)} if kind in _TEXTS:
                texts.append(text)
            case {"type": "refusal", "refusal": str(text)}:
                texts.append(text)
            case {"type": "input_image", "image_url": str(url)}:
                images.append(_image(url))
            case {"type": "input_image" | "input_file" as kind}:
                texts.append(f"[{kind}]")
            case other:
                raise Refused(
                    f"Invalid value: {other.get('type')!r}.", param=f"{where}.content[0].type"
                )
    return "".join(texts), tuple(images)


def _image(url: str) -> str:
    if not url.startswith("data:"):
        return "by URL"
    kind, _, data = url[5:].partition(";base64,")
    return f"{kind} of {len(data.rstrip('=')) * 3 // 4} bytes"


def _read_tools(body: Json, ask: Ask) -> None:
    offered: list[Tool] = []
    for place, each in enumerate(as_list(body.get("tools") or [], "tools")):
        tool = as_dict(each, f"tools[{place}]")
        if tool.get("type") not in {"function", "custom"}:
            continue  # tools that the provider would run; the mock runs none
        if not (name := tool.get("name")):
            where = f"tools[{place}].name"
            raise Refused(f"Missing required parameter: '{where}'.", param=where)
        schema = tool.get("parameters") or {}
        offered.append(Tool(str(name), schema))
        ask.input += tokens(str(schema)) + tokens(str(tool.get("description") or "")) + 4
    ask.tools = tuple(offered)
    ask.parallel = body.get("parallel_tool_calls") is not False
    match body.get("tool_choice"):
        case None | "auto":
            ask.choice = "auto"
        case "none" | "required" as mode:
            ask.choice = mode
        case {"type": "function" | "custom", "name": name}:
            if name not in {tool.name for tool in offered}:
                raise Refused(f"Tool choice {name!r} not found in 'tools'.", param="tool_choice")
            ask.choice = f"={name}"
        case {"type": "allowed_tools", "mode": str(mode)}:
            ask.choice = mode
        case other:
            raise Refused(f"Invalid value: {other!r}.", param="tool_choice")


def _read_shape(body: Json, ask: Ask) -> None:
    text = body.get("text")
    match text.get("format") if isinstance(text, dict) else None:
        case {"type": "json_schema", "name": str(), "schema": dict(schema)}:
            ask.schema = schema
        case {"type": "json_schema"}:
            raise Refused("Missing required parameter: 'text.format.name'.", param="text.format")
        case {"type": "json_object"}:
            ask.schema = {}
        case _:
            ask.schema = None
