"""JSON Schemas as Anthropic takes them: tool parameters (P59) and structured output (P61).

A schema that is already acceptable keeps its bytes, so that the order of its keys, and
with it the provider's prompt cache, stays as the caller wrote it.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec
from msgspec import Raw, Struct

from dragoman.dialects.anthropic import wire
from dragoman.dialects.anthropic.wire import WireError, encode

Schema: TypeAlias = dict[str, object]

EMPTY = Raw(b'{"type":"object","properties":{}}')


class _Head(Struct, frozen=True):
    """What decides whether parameters can stay as they are; msgspec skips the rest."""

    type: Raw = wire.NULL
    properties: Raw = wire.NULL
    anyOf: Raw = wire.NULL  # noqa: N815 the keyword's own spelling
    oneOf: Raw = wire.NULL  # noqa: N815
    allOf: Raw = wire.NULL  # noqa: N815


_HEAD = msgspec.json.Decoder(_Head)
_SCHEMA = msgspec.json.Decoder(Schema)

_JOINERS = ("anyOf", "oneOf", "allOf")


def parameters(raw: Raw | None, path: str) -> tuple[Raw, str | None]:
    """A tool's schema as Anthropic takes it, and in one word what was changed, if anything.

    The root has to be an object and may not be a choice of schemas (P59).
    """
    if raw is None or wire.is_null(raw):
        return EMPTY, None
    head = wire.value(_HEAD, raw, path)
    if all(wire.is_null(getattr(head, name)) for name in _JOINERS):
        if bytes(head.type) == b'"object"' and not wire.is_null(head.properties):
            return raw, None
        schema = wire.value(_SCHEMA, raw, path)
        return Raw(encode(_object(schema))), None
    schema = wire.value(_SCHEMA, raw, path)
    return Raw(encode(_object(_merged(schema)))), "choice_of_schemas_merged"


def _object(schema: Schema) -> Schema:
    """The schema with an object at its root, its other keywords in their order."""
    kept = {name: item for name, item in schema.items() if name not in {"type", "properties"}}
    found = schema.get("properties")
    return {"type": "object", "properties": found if isinstance(found, dict) else {}, **kept}


def _merged(schema: Schema) -> Schema:
    """One object schema for a root that chooses among several.

    Properties are united. A property is required where the root says so, or where every
    alternative (of ``allOf``: any member) does.
    """
    merged = {name: item for name, item in schema.items() if name not in _JOINERS}
    properties = dict(_as_dict(merged.get("properties")))
    required = list(_names(merged.get("required")))
    for joiner in _JOINERS:
        found = schema.get(joiner)
        options = [_as_dict(option) for option in found] if isinstance(found, list) else []
        for option in options:
            for name, item in _as_dict(option.get("properties")).items():
                properties.setdefault(name, item)
        demanded = [set(_names(option.get("required"))) for option in options]
        if demanded:
            join = set.union if joiner == "allOf" else set.intersection
            common = join(*demanded)
            required += [name for name in properties if name in common and name not in required]
    merged["properties"] = properties
    if required:
        merged["required"] = required
    return merged


def _as_dict(node: object) -> Schema:
    return node if isinstance(node, dict) else {}


def _names(node: object) -> list[str]:
    return [name for name in node if isinstance(name, str)] if isinstance(node, list) else []


# --------------------------------------------------------------------------- strict schemas

_FORMATS = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
)
_PLAIN = frozenset(
    {"$ref", "$schema", "$id", "type", "title", "description", "default", "enum", "const"}
)
_LISTS = frozenset({"anyOf", "allOf"})
_MAPS = frozenset({"properties", "$defs", "definitions"})


def strict(
    raw: Raw, path: str, *, title: str | None = None, description: str | None = None
) -> tuple[Raw, bool]:
    """A schema for output that has to match it, and whether a keyword had to go.

    Keywords that Anthropic refuses (bounds, patterns, most formats) move into the
    description, where the model still reads them; ``oneOf`` becomes ``anyOf``; objects are
    closed, as the provider demands (P61). ``title`` and ``description`` are given to a root
    that has none.
    """
    schema = wire.value(_SCHEMA, raw, path)
    lost: list[str] = []
    cleaned = _clean(schema, lost)
    for name, words in (("title", title), ("description", description)):
        if words is not None:
            cleaned.setdefault(name, words)
    return Raw(encode(cleaned)), bool(lost)


def _clean(schema: Schema, lost: list[str]) -> Schema:
    kept: Schema = {}
    stripped: list[str] = []
    for name, item in schema.items():
        if name in _PLAIN or name == "required":
            kept[name] = item
        elif (name == "oneOf" or name in _LISTS) and isinstance(item, list):
            kept["anyOf" if name == "oneOf" else name] = [_clean_any(one, lost) for one in item]
        elif name in _MAPS and isinstance(item, dict):
            kept[name] = {key: _clean_any(one, lost) for key, one in item.items()}
        elif name == "items" and isinstance(item, dict):
            kept[name] = _clean(item, lost)
        elif _is_allowed(name, item):
            kept[name] = item
        elif name == "additionalProperties" and item is True:
            continue  # the default of an open object: closing it below is what is demanded
        else:
            stripped.append(f"{name}: {encode(item).decode()}")
    if _is_object(kept):
        kept["additionalProperties"] = False
    if stripped:
        lost += stripped
        said = kept.get("description")
        note = "{" + ", ".join(stripped) + "}"
        kept["description"] = f"{said}\n\n{note}" if isinstance(said, str) and said else note
    return kept


def _clean_any(node: object, lost: list[str]) -> object:
    return _clean(node, lost) if isinstance(node, dict) else node


def _is_allowed(name: str, item: object) -> bool:
    match name:
        case "format":
            return item in _FORMATS if isinstance(item, str) else False
        case "minItems":
            return item in {0, 1} if isinstance(item, int) else False
        case "additionalProperties":
            return item is False
        case _:
            return False


def _is_object(schema: Schema) -> bool:
    kind = schema.get("type")
    return (
        kind == "object"
        or (isinstance(kind, list) and "object" in kind)
        or ("properties" in schema)
    )


def is_object(raw: Raw, path: str) -> bool:
    """Whether a schema describes an object, which is all that a tool's input can be."""
    try:
        head = wire.value(_HEAD, raw, path)
    except WireError:
        return False
    return bytes(head.type) == b'"object"' or not wire.is_null(head.properties)
