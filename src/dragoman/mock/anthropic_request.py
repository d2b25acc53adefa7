"""Reading an Anthropic Messages request the way Anthropic does: strict where it is strict."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from typing import Any

from dragoman.mock.ask import Ask, Json, Refused, Tool, as_dict, as_list, tokens

__all__ = ["read_messages", "signature"]

_BLOCK_TOKENS = 85


def signature(thinking: str) -> str:
    """What proves that the mock thought this; a changed or foreign one is refused (P97)."""
    return "mock" + b64encode(sha256(thinking.encode("utf-8", "replace")).digest()).decode()


def read_messages(body: Json, *, counting: bool = False) -> Ask:
    """What the request asks for; ``Refused`` with Anthropic's words where it would refuse."""
    if not isinstance(model := body.get("model"), str) or not model:
        raise Refused("model: Field required", param="model")
    limit = body.get("max_tokens")
    if not counting and limit is None:
        raise Refused("max_tokens: Field required", param="max_tokens")
    if limit is not None and (not isinstance(limit, int) or limit < 1):
        raise Refused("max_tokens: Input should be greater than or equal to 1")
    ask = Ask(model=model, max_tokens=limit)
    ask.input += _system(body.get("system"))
    _read_turns(as_list(body.get("messages"), "messages"), ask)
    _read_tools(body, ask)
    ask.stream = body.get("stream") is True
    ask.stops = tuple(body.get("stop_sequences") or ())
    ask.thinks = _thinks(body, limit)
    match body.get("output_config") or {}:
        case {"format": {"type": "json_schema", "schema": dict(schema)}}:
            ask.schema = schema
        case _:
            ask.schema = None
    return ask


def _system(system: object) -> int:
    if system is None:
        return 0
    if isinstance(system, str):
        return tokens(system) + 4
    blocks = as_list(system, "system")
    return sum(tokens(str(as_dict(block, "system").get("text", ""))) for block in blocks) + 4


def _thinks(body: Json, limit: int | None) -> bool:
    match body.get("thinking"):
        case {"type": "enabled", "budget_tokens": int(budget)}:
            if budget < 1024:
                raise Refused("thinking.budget_tokens: Input should be at least 1024")
            if limit is not None and budget >= limit:
                raise Refused("`max_tokens` must be greater than `thinking.budget_tokens`.")
            return True
        case {"type": "enabled"}:
            raise Refused("thinking.enabled.budget_tokens: Field required")
        case {"type": "adaptive" | "between_tools"}:
            return True
        case _:
            return False


def _read_turns(messages: list[Any], ask: Ask) -> None:
    if not messages:
        raise Refused("messages: at least one message is required")
    called: set[str] = set()
    still_open: set[str] = set()
    before = ""
    for place, each in enumerate(messages):
        where = f"messages.{place}"
        message = as_dict(each, where)
        role = message.get("role")
        if role not in {"user", "assistant", "system"}:
            raise Refused(f"{where}.role: Input should be 'user', 'assistant' or 'system'")
        turn = _turn(message, where, called)
        ask.input += tokens("".join(turn.texts)) + turn.more + 4
        if role == "assistant":
            if before == "user":
                _check_answered(still_open, where)
                called.clear()
            called |= turn.called
            still_open |= turn.called
        else:
            # Consecutive user messages are one turn: the results may be spread over them.
            still_open -= turn.answered
        if role == "user":
            ask.prompt, ask.images = "".join(turn.texts), tuple(turn.images)
        ask.results = tuple(turn.results)
        before = role
    if before == "user":
        _check_answered(still_open, f"messages.{len(messages) - 1}")


def _check_answered(still_open: set[str], where: str) -> None:
    if still_open:
        raise Refused(
            f"{where}: `tool_use` ids were found without `tool_result` blocks immediately "
            f"after: {', '.join(sorted(still_open))}."
        )


def _turn(message: Json, where: str, called: set[str]) -> _Turn:
    turn = _Turn(where)
    content = message.get("content")
    if isinstance(content, str):
        turn.texts.append(content)
    else:
        for block in as_list(content, f"{where}.content"):
            turn.take(as_dict(block, f"{where}.content"), called)
    return turn


class _Turn:
    """One message, block by block."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.texts: list[str] = []
        self.images: list[str] = []
        self.results: list[str] = []
        self.called: set[str] = set()
        self.answered: set[str] = set()
        self.more = 0
        """Tokens beside the texts."""

    def take(self, block: Json, called: set[str]) -> None:
        """Reads one block; ``called`` are the ids that the turn before left open."""
        match block:
            case {"type": "text", "text": str(text)}:
                self.texts.append(text)
            case {"type": "image", "source": dict(source)}:
                self.images.append(_image(source))
                self.more += _BLOCK_TOKENS
            case {"type": "tool_use", "id": str(id_), "input": dict(arguments)}:
                self.called.add(id_)
                self.more += tokens(str(arguments)) + 4
            case {"type": "tool_result", "tool_use_id": str(id_)}:
                self._result(block, id_, called)
            case {"type": "thinking", "thinking": str(thinking), "signature": str(proof)}:
                if proof != signature(thinking):
                    raise Refused(f"{self.where}.content: Invalid `signature` in `thinking` block")
                self.more += tokens(thinking)
            case {"type": "text" | "image" | "tool_use" | "tool_result" | "thinking" as kind}:
                raise Refused(f"{self.where}.content: a block of type {kind!r} is incomplete")
            case {"type": str()}:
                self.more += _BLOCK_TOKENS
            case _:
                raise Refused(f"{self.where}.content.type: Field required")

    def _result(self, block: Json, id_: str, called: set[str]) -> None:
        if id_ not in called:
            raise Refused(
                f"{self.where}.content: unexpected `tool_use_id` found in `tool_result` blocks: "
                f"{id_}. Each `tool_result` block must have a corresponding `tool_use` block in "
                "the previous message."
            )
        content = block.get("content")
        if isinstance(content, list):
            content = "".join(str(part.get("text", f"[{part.get('type')}]")) for part in content)
        self.answered.add(id_)
        self.results.append(content or "")
        self.more += tokens(content or "")


def _image(source: Json) -> str:
    if source.get("type") == "base64":
        data = str(source.get("data", ""))
        return f"{source.get('media_type')} of {len(data.rstrip('=')) * 3 // 4} bytes"
    return f"by {source.get('type')}"


def _read_tools(body: Json, ask: Ask) -> None:
    offered: list[Tool] = []
    for place, each in enumerate(as_list(body.get("tools") or [], "tools")):
        tool = as_dict(each, f"tools.{place}")
        if not (name := tool.get("name")):
            raise Refused(f"tools.{place}.name: Field required")
        if tool.get("type", "custom") == "custom":
            schema = as_dict(tool.get("input_schema"), f"tools.{place}.input_schema")
            if schema.get("type") != "object":
                raise Refused(f"tools.{place}.input_schema.type: Input should be 'object'")
            offered.append(Tool(str(name), schema))
            ask.input += tokens(str(schema)) + tokens(str(tool.get("description") or "")) + 4
    ask.tools = tuple(offered)
    match body.get("tool_choice"):
        case {"type": "any" | "auto" | "none" as kind, **rest}:
            ask.choice = "required" if kind == "any" else kind
            ask.parallel = rest.get("disable_parallel_tool_use") is not True
        case {"type": "tool", "name": str(name)}:
            if name not in {tool.name for tool in offered}:
                raise Refused(f"tool_choice.name: Tool '{name}' not found in provided tools")
            ask.choice = f"={name}"
        case None:
            ask.choice = "auto"
        case _:
            raise Refused("tool_choice: Input should be auto, any, tool or none")
