"""What the rows of docs/policy.md are made of: a feature as each dialect says it.

A probe has what is said, the ``ground`` that it stands on (the same request without it), and
``needles``: values that a provider must find again, if it is told at all and nothing is reported. A
feature that other dialects say in words of their own (an effort, a choice of tools) has none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from dragoman.core.loss import Loss

Json = dict[str, Any]


@dataclass(frozen=True)
class Probe:
    """A feature in one dialect's words."""

    said: Json
    ground: Json = field(default_factory=dict)
    needles: tuple[Any, ...] = ()
    thinks: bool = False
    """Whether it is asked of a model that reasons."""


@dataclass(frozen=True)
class Feature:
    """A row: its name, and how each dialect says it."""

    name: str
    says: dict[str, Probe]


Fate = Literal["met", "carried", "emulated", "changed", "dropped", "in part", "refused", "unsaid"]


@dataclass(frozen=True)
class Cell:
    """What becomes of a feature, and what the caller is told."""

    fate: Fate
    told: str = ""

    def __str__(self) -> str:
        return f"{self.fate}: {self.told}" if self.told else self.fate


def found(body: bytes, needles: tuple[Any, ...]) -> bool:
    """Whether each needle is somewhere in the body: a word within a text, a number as it is."""
    leaves = list(_leaves(json.loads(body)))
    texts = [leaf for leaf in leaves if isinstance(leaf, str)]
    numbers = [leaf for leaf in leaves if isinstance(leaf, int | float)]
    return all(
        any(needle in text for text in texts) if isinstance(needle, str) else needle in numbers
        for needle in needles
    )


def _leaves(value: Any) -> Iterator[Any]:
    """Names and values, however deep; JSON in a text counts by its words."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    elif not isinstance(value, bool):
        yield value


def reported(losses: list[Loss], *, in_part: bool) -> Cell:
    """What the reports say of a feature; ``in_part``: some of it has arrived."""
    actions = {loss.action for loss in losses}
    told = "; ".join(dict.fromkeys(f"`{loss.path}`, {_escaped(loss.reason)}" for loss in losses))
    if actions == {"emulated"}:
        return Cell("emulated", told)
    if "dropped" not in actions:
        return Cell("changed", told)
    return Cell("in part" if in_part else "dropped", told)


def _escaped(reason: str) -> str:
    return reason.replace("_", " ").replace("|", "\\|")


SCHEMA = {
    "type": "object",
    "properties": {"needle_a": {"type": "string"}},
    "required": ["needle_a"],
    "additionalProperties": False,
}
EMPTY = {"type": "object", "properties": {}}
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
PDF = "JVBERi0xLjQKJeLjz9MK"
WAV = "UklGRiQAAABXQVZFZm10IA=="
HI: Json = {"role": "user", "content": "hi"}
SAID: Json = {"role": "assistant", "content": "a"}

# ------------------------------------------------------------------------- small words of each dialect


def plain(dialect: str) -> Json:
    """The smallest request of a dialect."""
    match dialect:
        case "anthropic":
            return {"model": "m", "max_tokens": 40000, "messages": [HI]}
        case "gemini":
            return {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
        case "responses":
            return {"model": "m", "input": [HI]}
        case "ollama":
            return {"model": "m", "stream": False, "messages": [HI]}
        case "generate":
            return {"model": "m", "stream": False, "prompt": "hi"}
        case "completions":
            return {"model": "m", "prompt": "hi"}
        case _:
            return {"model": "m", "messages": [HI]}


def same(names: str, said: Json, *needles: Any, ground: Json | None = None) -> dict[str, Probe]:
    """One request in several dialects that say it alike."""
    return {name: Probe(said, ground or {}, needles) for name in names.split()}


def config(said: Json, *needles: Any, thinks: bool = False) -> dict[str, Probe]:
    """A member of Gemini's ``generationConfig``."""
    return {"gemini": Probe({"generationConfig": said}, {}, needles, thinks=thinks)}


def options(said: Json, *needles: Any) -> dict[str, Probe]:
    """A member of Ollama's ``options``."""
    return same("ollama generate", {"options": said}, *needles)


def chat_tool(name: str = "f", **more: Any) -> Json:
    """A function as chat and Ollama offer it."""
    function = {"name": name, "description": "needle-tool", "parameters": EMPTY, **more}
    return {"type": "function", "function": function}


def flat_tool(name: str = "f", **more: Any) -> Json:
    """A function as Responses offers it."""
    return {
        "type": "function", "name": name, "description": "needle-tool", "parameters": EMPTY,
        "strict": False, **more,
    }  # fmt: skip


def claude_tool(name: str = "f", **more: Any) -> Json:
    """A function as Anthropic offers it."""
    return {"name": name, "description": "needle-tool", "input_schema": EMPTY, **more}


def _google_tools(*names: str) -> list[Json]:
    return [
        {
            "functionDeclarations": [
                {"name": name, "description": "needle-tool", "parametersJsonSchema": EMPTY}
                for name in names
            ]
        }
    ]


TOOLS: dict[str, Json] = {
    "chat": {"tools": [chat_tool(), chat_tool("g")]},
    "responses": {"tools": [flat_tool(), flat_tool("g")]},
    "anthropic": {"tools": [claude_tool(), claude_tool("g")]},
    "gemini": {"tools": _google_tools("f", "g")},
    "ollama": {"tools": [chat_tool(), chat_tool("g")]},
}
"""Two functions on offer."""


def choice(**said: Json) -> dict[str, Probe]:
    """A choice among the two functions."""
    return {name: Probe({**TOOLS[name], **choice}, TOOLS[name]) for name, choice in said.items()}


def mode(mode: str, *names: str) -> Json:
    """Gemini's choice among functions."""
    config: Json = {"mode": mode} | ({"allowedFunctionNames": list(names)} if names else {})
    return {"toolConfig": {"functionCallingConfig": config}}


def part_of_user(**parts: Json) -> dict[str, Probe]:
    """A part of the user's message; the needles are the longest words in it."""
    found = {}
    for dialect, part in parts.items():
        if dialect == "gemini":
            said: Json = {"contents": [{"role": "user", "parts": [{"text": "hi"}, part]}]}
        elif dialect == "responses":
            content = [{"type": "input_text", "text": "hi"}, part]
            said = {"input": [{"role": "user", "content": content}]}
        elif dialect in {"ollama", "generate"}:
            said = {"messages": [{**HI, **part}]} if dialect == "ollama" else part
        else:
            content = [{"type": "text", "text": "hi"}, part]
            said = {"messages": [{"role": "user", "content": content}]}
        found[dialect] = Probe(said, {}, _words(part))
    return found


def beside(ground: dict[str, Probe], said: dict[str, Probe], *needles: Any) -> dict[str, Probe]:
    """What the second says and the first does not."""
    return {name: Probe(said[name].said, ground[name].said, needles) for name in said}


def _words(part: Any) -> tuple[str, ...]:
    """What stands for the part: its bytes, address or words."""
    text = str(part)
    return tuple(each for each in (PNG, PDF, WAV, "example.org/y", "needle-words") if each in text)


_CALLS: dict[str, list[Json]] = {
    "chat": [
        HI,
        {
            "role": "assistant",
            "tool_calls": [
                {"id": "t1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
            ],
        },
    ],
    "responses": [
        HI,
        {"type": "function_call", "call_id": "t1", "name": "f", "arguments": "{}"},
    ],
    "anthropic": [
        HI,
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {}}],
        },
    ],
    "gemini": [
        {"role": "user", "parts": [{"text": "hi"}]},
        {"role": "model", "parts": [{"functionCall": {"id": "t1", "name": "f", "args": {}}}]},
    ],
    "ollama": [
        HI,
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "t1", "function": {"name": "f", "arguments": {}}}],
        },
    ],
}


def _turn(dialect: str, result: Any, **more: Any) -> Json:
    """A conversation in which a tool answered."""
    if dialect == "chat":
        last: Json = {"role": "tool", "tool_call_id": "t1", "content": result, **more}
    elif dialect == "responses":
        last = {"type": "function_call_output", "call_id": "t1", "output": result, **more}
    elif dialect == "anthropic":
        block = {"type": "tool_result", "tool_use_id": "t1", "content": result, **more}
        last = {"role": "user", "content": [block]}
    elif dialect == "gemini":
        response = {"functionResponse": {"id": "t1", "name": "f", "response": result, **more}}
        last = {"role": "user", "parts": [response]}
    else:
        last = {"role": "tool", "tool_name": "f", "tool_call_id": "t1", "content": result}
    member = {"gemini": "contents", "responses": "input"}.get(dialect, "messages")
    return {**TOOLS[dialect], member: [*_CALLS[dialect], last]}


def result(*needles: Any, ground: bool = False, **results: tuple[Any, Json]) -> dict[str, Probe]:
    """A turn in which a tool answered; ``ground``: against a plain answer of it."""
    found = {}
    for dialect, (result, more) in results.items():
        before = _turn(dialect, {"output": "r"} if dialect == "gemini" else "r")
        found[dialect] = Probe(
            _turn(dialect, result, **more), before if ground else TOOLS[dialect], needles
        )
    return found


def history(dialect: str, *parts: Json) -> Json:
    """What the assistant said before, between two turns of the user's."""
    if dialect == "gemini":
        user = {"role": "user", "parts": [{"text": "hi"}]}
        return {"contents": [user, {"role": "model", "parts": list(parts)}, user]}
    if dialect == "responses":
        return {"input": [HI, *parts, HI]}
    if dialect == "anthropic":
        return {"messages": [HI, {"role": "assistant", "content": list(parts)}, HI]}
    return {"messages": [HI, {"role": "assistant", "content": "a", **parts[0]}, HI]}


BEFORE = {
    "chat": history("chat", {}),
    "responses": history("responses", SAID),
    "anthropic": history("anthropic", {"type": "text", "text": "a"}),
    "gemini": history("gemini", {"text": "a"}),
    "ollama": history("ollama", {}),
}


def recalled(*needles: Any, **parts: tuple[Json, ...]) -> dict[str, Probe]:
    """Something that the assistant said before, against plain words of it."""
    return {
        dialect: Probe(history(dialect, *said), BEFORE[dialect], needles, thinks=True)
        for dialect, said in parts.items()
    }


def asks_to_think(name: str, said: Json, *needles: Any) -> dict[str, Probe]:
    """A wish that is put to a model that reasons."""
    return {name: Probe(said, {}, needles, thinks=True)}


def beside_members(needles: tuple[Any, ...] = (), **pairs: tuple[Json, Json]) -> dict[str, Probe]:
    """Pairs of what is said without the feature, and with it."""
    return {name: Probe(said, ground, needles) for name, (ground, said) in pairs.items()}


def form(**more: Any) -> Json:
    """A schema for chat's answer."""
    return {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, **more}}


def flat_form(**more: Any) -> Json:
    """A schema for Responses' answer."""
    return {"type": "json_schema", "name": "n", "schema": SCHEMA, **more}


def image(**more: str) -> Json:
    """An image as chat's callers send it."""
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}", **more}}


def flat_image(detail: str) -> Json:
    """An image as Responses' callers send it."""
    return {"type": "input_image", "detail": detail, "image_url": f"data:image/png;base64,{PNG}"}


def claude_pdf(**more: Any) -> Json:
    """A document as Anthropic's callers send it."""
    source = {"type": "base64", "media_type": "application/pdf", "data": PDF}
    return {"type": "document", "source": source, **more}


def search_result(**more: Any) -> Json:
    """A search result of the caller's."""
    words = [{"type": "text", "text": "needle-words"}]
    return {"type": "search_result", "title": "T", "source": "s", "content": words, **more}


CITED = {"citations": {"enabled": True}}
EPHEMERAL = {"cache_control": {"type": "ephemeral"}}
BREAK = {"prompt_cache_breakpoint": {"mode": "explicit"}}
