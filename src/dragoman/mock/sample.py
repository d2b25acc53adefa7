"""A value that roughly fits a JSON schema: always the same one for the same schema."""

from __future__ import annotations

from typing import Any

from dragoman.mock.ask import Json

__all__ = ["fitting"]

_DEEPEST = 12
_FORMATS = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "time": "12:00:00Z",
    "duration": "PT1H",
    "email": "mock@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def fitting(schema: object, name: str = "value") -> Any:
    """The value; a schema that says nothing is fitted by an empty object."""
    root = schema if isinstance(schema, dict) else {}
    return _fit(root, root, name, 0)


def _fit(schema: object, root: Json, name: str, depth: int) -> Any:
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return None
    if isinstance(reference := schema.get("$ref"), str):
        return _fit(_referred(reference, root), root, name, depth + 1)
    for fixed in ("const", "default"):
        if fixed in schema:
            return schema[fixed]
    if schema.get("enum"):
        return schema["enum"][0]
    for union in ("anyOf", "oneOf"):
        if choices := schema.get(union):
            return _fit(_first_solid(choices), root, name, depth + 1)
    if schema.get("allOf"):
        return _fit(_joined(schema), root, name, depth + 1)
    return _of_kind(_kind(schema), schema, root, name, depth)


def _kind(schema: Json) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((k for k in kind if k != "null"), "null")
    if isinstance(kind, str):
        return kind
    return "array" if "items" in schema else "object"


def _of_kind(kind: str, schema: Json, root: Json, name: str, depth: int) -> Any:
    match kind:
        case "object":
            properties = schema.get("properties") or {}
            return {key: _fit(each, root, key, depth + 1) for key, each in properties.items()}
        case "array":
            least = schema.get("minItems", 1)
            return [_fit(schema.get("items", {}), root, name, depth + 1) for _ in range(least)]
        case "string":
            return _word(schema, name)
        case "integer" | "number":
            return _number(schema, whole=kind == "integer")
        case "boolean":
            return True
        case _:
            return None


def _word(schema: Json, name: str) -> str:
    if (form := schema.get("format")) in _FORMATS:
        return _FORMATS[form]
    word = f"mock {name}"
    return word.ljust(schema.get("minLength", 0), ".")[: schema.get("maxLength", len(word) + 999)]


def _number(schema: Json, *, whole: bool) -> float:
    if "minimum" in schema:
        lowest: float = schema["minimum"]
        return lowest
    if "exclusiveMinimum" in schema:
        bound: float = schema["exclusiveMinimum"]
        return bound + 1
    highest: float = schema.get("maximum", 7)
    number = min(7, highest)
    return int(number) if whole else float(number)


def _referred(reference: str, root: Json) -> object:
    found: object = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        if step and isinstance(found, dict):
            found = found.get(step.replace("~1", "/").replace("~0", "~"))
    return found


def _first_solid(choices: list[Json]) -> Json:
    return next((each for each in choices if each.get("type") != "null"), choices[0])


def _joined(schema: Json) -> Json:
    properties: Json = dict(schema.get("properties") or {})
    for each in schema["allOf"]:
        properties |= each.get("properties") or {}
    return {"type": "object", "properties": properties}
