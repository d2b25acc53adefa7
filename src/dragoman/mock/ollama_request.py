"""Reading requests to Ollama's own interface the way its server does (`dialects.md` §1.5).

What Go cannot put into its types is refused with the status 400; what nobody reads is let be.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import Any

from dragoman.mock.ask import Ask, Json, Refused, Tool, as_dict, as_list, tokens

__all__ = ["inputs", "read_generate", "read_messages"]

_ROLES = frozenset({"system", "user", "assistant", "tool"})


def read_messages(body: Json) -> Ask | None:
    """What ``/api/chat`` is asked; None for a request that only loads the model."""
    ask = _opened(body)
    messages = as_list(body.get("messages") or [], "messages")
    if not messages:
        return None
    results: list[str] = []
    for place, each in enumerate(messages):
        where = f"messages[{place}]"
        message = as_dict(each, where)
        role = message.get("role")
        if role not in _ROLES:
            raise Refused(f"invalid role: {role}")
        text = message.get("content") or ""
        if not isinstance(text, str):
            raise Refused(
                "json: cannot unmarshal array into Go struct field ChatRequest.messages of type string"
            )
        images = _images(message.get("images"))
        ask.input += tokens(text) + tokens(str(message.get("thinking") or "")) + 4
        ask.input += 85 * len(images) + _called(message, where)
        if role == "tool":
            if not (message.get("tool_name") or message.get("tool_call_id")):
                raise Refused(f"{where}: a tool message names no tool")
            results.append(text)
            continue
        results.clear()
        if role == "user":
            ask.prompt, ask.images = text, images
    ask.results = tuple(results)
    _read_tools(body, ask)
    return ask


def read_generate(body: Json) -> Ask | None:
    """What ``/api/generate`` is asked; None for a request that only loads the model."""
    ask = _opened(body)
    ask.prompt = str(body.get("prompt") or "")
    ask.images = _images(body.get("images"))
    if not (ask.prompt or ask.images):
        return None
    said = ask.prompt + str(body.get("system") or "") + str(body.get("suffix") or "")
    ask.input = tokens(said) + 85 * len(ask.images) + 4
    return ask


def inputs(body: Json) -> list[str]:
    """The texts of ``/api/embed``, or the one of ``/api/embeddings``."""
    given = body.get("input", body.get("prompt"))
    texts = [given] if isinstance(given, str) else as_list(given, "input")
    if not all(isinstance(text, str) for text in texts):
        raise Refused("invalid input type")
    return texts


def _opened(body: Json) -> Ask:
    if not isinstance(model := body.get("model"), str) or not model:
        raise Refused("model is required")
    ask = Ask(model=model, stream=body.get("stream") is not False)
    options = as_dict(body.get("options") or {}, "options")
    limit = options.get("num_predict")
    ask.max_tokens = limit if isinstance(limit, int) and limit > 0 else None
    ask.stops = tuple(as_list(options.get("stop") or [], "options.stop"))
    think = body.get("think")
    if think not in {None, True, False, "low", "medium", "high", "max"}:
        raise Refused(f"invalid think value: {think}")
    ask.thinks = bool(think)
    match body.get("format"):
        case dict(schema):
            ask.schema = schema
        case "json":
            ask.schema = {}
        case None | "":
            pass
        case _:
            raise Refused('invalid format: expected "json" or a JSON schema')
    return ask


def _images(given: object) -> tuple[str, ...]:
    """What each image is; anything but bare base64 is refused, a data URL too."""
    seen: list[str] = []
    for each in as_list(given or [], "images"):
        try:
            data = b64decode(str(each), validate=True)
        except (binascii.Error, ValueError):
            raise Refused("illegal base64 data at input byte 4") from None
        kind = "image/png" if data.startswith(b"\x89PNG") else "image"
        seen.append(f"{kind} of {len(data)} bytes")
    return tuple(seen)


def _called(message: Json, where: str) -> int:
    """Tokens of the calls in a message; arguments that are no object are refused."""
    spent = 0
    for each in as_list(message.get("tool_calls") or [], f"{where}.tool_calls"):
        function = as_dict(as_dict(each, where).get("function"), f"{where}.tool_calls.function")
        if not isinstance(arguments := function.get("arguments"), dict):
            raise Refused(
                "json: cannot unmarshal string into Go struct field "
                "ToolCallFunction.messages.tool_calls.function.arguments of type "
                "api.ToolCallFunctionArguments"
            )
        spent += tokens(str(function.get("name"))) + tokens(str(arguments)) + 4
    return spent


def _read_tools(body: Json, ask: Ask) -> None:
    offered: list[Tool] = []
    for place, each in enumerate(as_list(body.get("tools") or [], "tools")):
        function = as_dict(as_dict(each, f"tools[{place}]").get("function"), f"tools[{place}]")
        schema: Any = function.get("parameters")
        offered.append(Tool(str(function.get("name")), schema if schema is not None else {}))
        ask.input += tokens(str(schema)) + tokens(str(function.get("description") or "")) + 4
    ask.tools = tuple(offered)
