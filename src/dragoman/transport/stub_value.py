"""A value that fits a JSON schema's required members, always the same one for the same schema.

The stub makes a tool's arguments and structured answers of it. What a schema says beside types,
choices, lengths and bounds (patterns, conditions) is not looked at.
"""

from __future__ import annotations

import math
from typing import TypeAlias

Json: TypeAlias = dict[str, object]

_DEEPEST = 16
_LISTS_DOWN_TO = 4
"""Below this depth lists stay empty, if they may: a tree of nodes has an end."""
_MOST = 1000
_FORMATS = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "time": "12:00:00Z",
    "duration": "PT1H",
    "email": "stub@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def fitting(schema: object) -> object:
    """The value; a schema that says nothing is fitted by an empty object."""
    root = _object(schema)
    return _fit(root, root, "value", 0)


def _fit(schema: Json, root: Json, name: str, depth: int) -> object:
    if depth > _DEEPEST:
        return None
    reference = schema.get("$ref")
    if isinstance(reference, str):
        return _fit(_referred(reference, root), root, name, depth + 1)
    for fixed in ("const", "default"):
        if fixed in schema:
            return schema[fixed]
    if choices := _list(schema.get("enum")):
        return choices[0]
    for union in ("anyOf", "oneOf"):
        if choices := _list(schema.get(union)):
            solid = [one for one in map(_object, choices) if one.get("type") != "null"]
            return _fit(solid[0], root, name, depth + 1) if solid else None
    if parts := _list(schema.get("allOf")):
        return _fit(_joined(schema, parts, root), root, name, depth + 1)
    return _of_kind(schema, root, name, depth)


def _of_kind(schema: Json, root: Json, name: str, depth: int) -> object:
    match _kind(schema, depth):
        case "object":
            members = _object(schema.get("properties"))
            required = [one for one in _list(schema.get("required")) if isinstance(one, str)]
            return {one: _fit(_object(members.get(one)), root, one, depth + 1) for one in required}
        case "array":
            least = _whole(schema, "minItems", 1 if depth <= _LISTS_DOWN_TO else 0)
            number = min(least, _whole(schema, "maxItems", _MOST), _MOST)
            item = _object(schema.get("items"))
            return [_fit(item, root, name, depth + 1) for _ in range(number)]
        case "string":
            return _word(schema, name)
        case "integer":
            return math.ceil(_number(schema, whole=True))
        case "number":
            return _number(schema, whole=False)
        case "boolean":
            return True
        case _:
            return None


def _kind(schema: Json, depth: int) -> object:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    if kind is not None:
        return kind
    if "items" in schema:
        return "array"
    return "object" if depth == 0 or "properties" in schema or "required" in schema else "string"


def _word(schema: Json, name: str) -> str:
    form = schema.get("format")
    if isinstance(form, str) and form in _FORMATS:
        return _FORMATS[form]
    word = f"stub {name}".ljust(min(_whole(schema, "minLength", 0), _MOST), ".")
    return word[: _whole(schema, "maxLength", len(word))]


def _number(schema: Json, *, whole: bool) -> float:
    """The smallest that is allowed, from 0 on; the largest, where that is below 0."""
    step = _bound(schema, "multipleOf") or (1 if whole else 0)
    least, above = _bound(schema, "minimum"), _bound(schema, "exclusiveMinimum")
    most, below = _bound(schema, "maximum"), _bound(schema, "exclusiveMaximum")
    if above is not None and (least is None or above >= least):
        if not step:
            end = below if most is None else most
            return above + 1 if end is None else (above + end) / 2
        least = math.floor(above / step) * step + step
    if least is None:
        if below is not None and (most is None or below <= most):
            most = below - 1 if not step else math.ceil(below / step) * step - step
        if most is None or most >= 0:
            return 0
        return math.floor(most / step) * step if step else most
    return math.ceil(least / step) * step if step else least


def _bound(schema: Json, name: str) -> float | None:
    value = schema.get(name)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _whole(schema: Json, name: str, otherwise: int) -> int:
    value = schema.get(name)
    return max(0, value) if isinstance(value, int) else otherwise


def _referred(reference: str, root: Json) -> Json:
    found: object = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        if step:
            found = _object(found).get(step.replace("~1", "/").replace("~0", "~"))
    return _object(found)


def _joined(schema: Json, parts: list[object], root: Json) -> Json:
    """The schema and all its parts as one."""
    whole = {name: value for name, value in schema.items() if name != "allOf"}
    for part in map(_object, parts):
        reference = part.get("$ref")
        more = _referred(reference, root) if isinstance(reference, str) else part
        members = {**_object(whole.get("properties")), **_object(more.get("properties"))}
        required = [*_list(whole.get("required")), *_list(more.get("required"))]
        whole = {**whole, **more, "properties": members, "required": required}
    if not whole["properties"]:
        del whole["properties"]
    if not whole["required"]:
        del whole["required"]
    return whole


def _object(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
