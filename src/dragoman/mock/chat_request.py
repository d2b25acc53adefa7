"""Reading an OpenAI chat request the way a provider does: strict where OpenAI is."""

from __future__ import annotations

from typing import Any

from dragoman.mock.ask import Ask, Json, Refused, Tool, as_dict, as_list, tokens

__all__ = ["read_chat"]

_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})


def read_chat(body: Json) -> Ask:
    """What the request asks for; ``Refused`` with OpenAI's words where it would refuse."""
    if not isinstance(model := body.get("model"), str) or not model:
        raise Refused("you must provide a model parameter", param="model")
    if "messages" not in body:
        raise Refused(
            "Missing required parameter: 'messages'.",
            param="messages",
            code="missing_required_parameter",
        )
    ask = Ask(model=model)
    _read_messages(as_list(body["messages"], "messages"), ask)
    _read_tools(body, ask)
    _read_shape(body, ask)
    ask.stream = body.get("stream") is True
    options = body.get("stream_options")
    if options is not None and not ask.stream:
        raise Refused(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
            param="stream_options",
        )
    ask.include_usage = isinstance(options, dict) and options.get("include_usage") is True
    ask.n = _whole(body, "n") or 1
    ask.max_tokens = _whole(body, "max_completion_tokens") or _whole(body, "max_tokens")
    stop = body.get("stop")
    ask.stops = (stop,) if isinstance(stop, str) else tuple(stop or ())
    ask.thinks = _thinks(body)
    return ask


def _whole(body: Json, name: str) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise Refused(f"Invalid '{name}': expected an integer above 0.", param=name)
    return value


def _read_messages(messages: list[Any], ask: Ask) -> None:
    if not messages:
        raise Refused(
            "Invalid 'messages': empty array. Expected an array with minimum length 1.",
            param="messages",
        )
    called: set[str] = set()
    results: list[str] = []
    for place, message in enumerate(messages):
        where = f"messages[{place}]"
        said = as_dict(message, where)
        role = said.get("role")
        if role not in _ROLES:
            raise Refused(f"Invalid value: {role!r} at '{where}.role'.", param=f"{where}.role")
        text, images = _content(said.get("content"), where)
        ask.input += tokens(text) + 85 * len(images) + 4
        if role == "tool":
            _check_result(said, called, where)
            results.append(text)
            continue
        results.clear()
        if role == "user":
            ask.prompt, ask.images = text, images
        elif role == "assistant":
            called |= _called(said, ask, where)
    ask.results = tuple(results)


def _check_result(said: Json, called: set[str], where: str) -> None:
    if said.get("tool_call_id") not in called:
        raise Refused(
            f"Invalid parameter: {where} with role 'tool' must be a response to a preceding "
            "message with 'tool_calls'.",
            param=f"{where}.role",
        )


def _called(said: Json, ask: Ask, where: str) -> set[str]:
    ids: set[str] = set()
    for each in as_list(said.get("tool_calls") or [], f"{where}.tool_calls"):
        call = as_dict(each, f"{where}.tool_calls")
        function = call.get("function") or call.get("custom") or {}
        arguments = function.get("arguments", function.get("input", ""))
        if not isinstance(arguments, str):
            name = f"{where}.tool_calls.function.arguments"
            raise Refused(f"Invalid type for '{name}': expected a string.", param=name)
        ask.input += tokens(arguments) + 4
        ids.add(str(call.get("id")))
    return ids


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
            case {"type": "text" | "refusal" as kind, **rest}:
                texts.append(str(rest.get(kind, "")))
            case {"type": "image_url", "image_url": {"url": str(url)}} | {
                "type": "image_url",
                "image_url": str(url),
            }:
                images.append(_image(url))
            case {"type": "input_audio" | "file" | "thinking" | "document" as kind}:
                texts.append(f"[{kind}]")
            case other:
                name = f"{where}.content"
                raise Refused(f"Invalid part of type {other.get('type')!r}.", param=name)
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
        function = as_dict(tool.get("function") or tool.get("custom"), f"tools[{place}].function")
        if not (name := function.get("name")):
            where = f"tools[{place}].function.name"
            raise Refused(f"Missing required parameter: '{where}'.", param=where)
        schema = function.get("parameters") or {}
        offered.append(Tool(str(name), schema))
        ask.input += tokens(str(schema)) + tokens(str(function.get("description") or "")) + 4
    ask.tools = tuple(offered)
    ask.parallel = body.get("parallel_tool_calls") is not False
    match body.get("tool_choice"):
        case None | "auto":
            ask.choice = "auto"
        case "none":
            ask.choice = "none"
        case "required" | "any":
            ask.choice = "required"
        case {"function": {"name": name}} | {"custom": {"name": name}}:
            if name not in {tool.name for tool in offered}:
                raise Refused(f"Tool choice {name!r} not found in 'tools'.", param="tool_choice")
            ask.choice = f"={name}"
        case other:
            raise Refused(f"Invalid value: {other!r} at 'tool_choice'.", param="tool_choice")


def _read_shape(body: Json, ask: Ask) -> None:
    match body.get("response_format"):
        case {"type": "json_schema", "json_schema": {"schema": dict(schema)}}:
            ask.schema = schema
        case {"type": "json_schema"}:
            where = "response_format.json_schema"
            raise Refused(f"Missing required parameter: '{where}'.", param=where)
        case {"type": "json_object"}:
            ask.schema = {}
        case _:
            ask.schema = None


def _thinks(body: Json) -> bool:
    """Whether thinking was asked for, in any spelling of the chat family."""
    match body:
        case {"reasoning_effort": str(effort)}:
            return effort != "none"
        case {"reasoning": {"enabled": False}} | {"reasoning": {"effort": "none"}}:
            return False
        case {"thinking": {"type": str(kind)}}:
            return kind != "disabled"
        case {"reasoning": dict()} | {"include_reasoning": True} | {"prompt_mode": "reasoning"}:
            return True
        case _:
            return False
