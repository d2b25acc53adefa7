"""Gemini's own schemas (OpenAPI's subset, types in capitals) → JSON Schema."""

from __future__ import annotations

from typing import Any

from msgspec import Raw

from dragoman.dialects.gemini import wire
from dragoman.dialects.gemini.wire import camel, encode

_NUMBERS = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")
_DROPPED = ("propertyOrdering", "nullable")
_TYPES = ("type_unspecified", "string", "number", "integer", "boolean", "array", "object", "null")
"""By their numbers, which clients built on protocol buffers send."""


def to_json_schema(raw: Raw, path: str) -> Raw:
    """The same schema in JSON Schema's words."""
    try:
        return Raw(encode(_schema(wire.any_value(raw, path))))
    except RecursionError:
        raise wire.WireError(path, "it is nested too deeply") from None


def _schema(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    written: dict[str, Any] = {}
    for spelled, value in node.items():
        name = spelled if spelled.startswith("$") else camel(spelled)
        if value is None and name != "default":
            continue
        if name in _DROPPED:
            continue
        if name == "type":
            written[name] = _type(value)
        elif name in _NUMBERS and isinstance(value, str) and value.isdecimal():
            written[name] = int(value)
        elif name in {"properties", "$defs", "defs"} and isinstance(value, dict):
            written[name] = {key: _schema(inner) for key, inner in value.items()}
        elif name in {"items", "additionalProperties"}:
            written[name] = _schema(value)
        elif name in {"anyOf", "oneOf", "allOf", "prefixItems"} and isinstance(value, list):
            written[name] = [_schema(inner) for inner in value]
        else:
            written[name] = value
    if written.get("type") == "type_unspecified":
        del written["type"]
    if node.get("nullable") is True:
        _nullable(written)
    return written


def _type(value: Any) -> Any:
    if isinstance(value, str):
        return value.lower()
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(_TYPES):
        return _TYPES[value]
    return value


def _nullable(written: dict[str, Any]) -> None:
    kind = written.get("type")
    if isinstance(kind, str) and kind != "null":
        written["type"] = [kind, "null"]
        if isinstance(written.get("enum"), list) and None not in written["enum"]:
            written["enum"] = [*written["enum"], None]
    elif isinstance(written.get("anyOf"), list):
        written["anyOf"] = [*written["anyOf"], {"type": "null"}]
