"""The tools that a request offers and the calls in its history, where each dialect has them.

Nothing is refused here: what is no tool or no call of its dialect is passed over, and its reader says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct

from dragoman.core.provider import Family

_ANY = msgspec.json.Decoder()
_SIZE = msgspec.json.Encoder().encode
_DECLARED = ("functionDeclarations", "function_declarations")
_SCHEMAS = (
    "parameters",
    "input_schema",
    "parametersJsonSchema",
    "parameters_json_schema",
)
_OF_RESPONSES = {"function_call": "arguments", "custom_tool_call": "input"}
_OF_GEMINI = ("functionCall", "function_call")


class Tool(Struct, frozen=True):
    """One tool on offer."""

    at: str
    """The member that holds it."""
    name: str
    description: str
    schema_at: str
    schema: object


class Turn(Struct, frozen=True):
    """The calls that the model made in one turn of the history: where each stands, and its arguments' bytes."""

    at: str
    calls: tuple[tuple[str, int], ...]


def tools_of(members: Mapping[str, Raw]) -> Iterator[Tool]:
    """Every tool on offer that has a name."""
    for at, entry in enumerate(_objects(_value(members, "tools"))):
        where = f"tools[{at}]"
        declared = next((name for name in _DECLARED if name in entry), None)
        if declared is not None:
            for inner, each in enumerate(_objects(entry[declared])):
                yield from _tool(each, f"{where}.{declared}[{inner}]")
        elif isinstance(entry.get("function"), dict):
            yield from _tool(entry["function"], f"{where}.function")
        elif isinstance(entry.get("custom"), dict):
            yield from _tool(entry["custom"], f"{where}.custom")
        else:
            yield from _tool(entry, where)
    for at, entry in enumerate(_objects(_value(members, "functions"))):
        yield from _tool(entry, f"functions[{at}]")


def turns_of(members: Mapping[str, Raw], family: Family) -> Iterator[Turn]:
    """The model's turns that hold calls."""
    match family:
        case "responses":
            yield from _of_responses(_value(members, "input"))
        case "gemini":
            yield from _of_contents(_value(members, "contents"))
        case _:
            yield from _of_messages(_value(members, "messages"))


def _tool(entry: dict[str, Any], at: str) -> Iterator[Tool]:
    name = entry.get("name")
    if isinstance(name, str):
        said = entry.get("description")
        schema = next((each for each in _SCHEMAS if each in entry), "")
        description = said if isinstance(said, str) else ""
        yield Tool(at, name, description, f"{at}.{schema}", entry.get(schema))


def _of_messages(found: object) -> Iterator[Turn]:
    for at, message in enumerate(_objects(found)):
        where = f"messages[{at}]"
        calls = [
            (f"{where}.tool_calls[{inner}].{kind}", _bytes(called, member))
            for inner, call in enumerate(_objects(message.get("tool_calls")))
            for kind, member in (("function", "arguments"), ("custom", "input"))
            if isinstance(called := call.get(kind), dict)
        ]
        if isinstance(legacy := message.get("function_call"), dict):
            calls.append((f"{where}.function_call", _bytes(legacy, "arguments")))
        calls += [
            (f"{where}.content[{inner}]", _bytes(block, "input"))
            for inner, block in enumerate(_objects(message.get("content")))
            if block.get("type") == "tool_use"
        ]
        if calls:
            yield Turn(where, tuple(calls))


def _of_responses(found: object) -> Iterator[Turn]:
    """Calls that follow one another were made in one turn."""
    calls: list[tuple[str, int]] = []
    for at, item in enumerate(_objects(found)):
        member = _OF_RESPONSES.get(str(item.get("type")))
        if member is not None:
            calls.append((f"input[{at}]", _bytes(item, member)))
        elif calls and item.get("type") != "reasoning":
            yield Turn("input", tuple(calls))
            calls = []
    if calls:
        yield Turn("input", tuple(calls))


def _of_contents(found: object) -> Iterator[Turn]:
    for at, content in enumerate(_objects(found)):
        calls = tuple(
            (f"contents[{at}].parts[{inner}].{name}", _bytes(called, "args"))
            for inner, part in enumerate(_objects(content.get("parts")))
            for name in _OF_GEMINI
            if isinstance(called := part.get(name), dict)
        )
        if calls:
            yield Turn(f"contents[{at}]", calls)


def _bytes(call: dict[str, Any], member: str) -> int:
    said = call.get(member)
    if said is None:
        return 0
    if isinstance(said, str):
        return len(said.encode("utf-8", "surrogatepass"))
    return len(_SIZE(said))


def _objects(found: object) -> list[dict[str, Any]]:
    """A list's entries, so that each keeps its place; what is no object is an empty one."""
    if not isinstance(found, list):
        return []
    return [entry if isinstance(entry, dict) else {} for entry in found]


def _value(members: Mapping[str, Raw], name: str) -> object:
    raw = members.get(name)
    try:
        return None if raw is None else _ANY.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
