"""JSON Schemas as Anthropic takes them."""

from __future__ import annotations

import json

import pytest
from msgspec import Raw

from dragoman.dialects.anthropic import schema as schemas
from dragoman.dialects.anthropic.wire import WireError


def parameters(given):
    raw, changed = schemas.parameters(Raw(json.dumps(given).encode()), "p")
    return json.loads(bytes(raw)), changed


def strict(given, **names):
    raw, lost = schemas.strict(Raw(json.dumps(given).encode()), "p", **names)
    return json.loads(bytes(raw)), lost


@pytest.mark.pitfall(59)
@pytest.mark.parametrize("given", [None, {}, {"type": "object"}, {"properties": None}])
def test_parameters_that_say_nothing_are_an_empty_object(given):
    assert parameters(given) == ({"type": "object", "properties": {}}, None)
    assert schemas.parameters(None, "p")[0] == schemas.EMPTY


@pytest.mark.pitfall(59, 124)
def test_parameters_that_are_fine_keep_their_bytes():
    raw = Raw(b'{"properties" : {"z":{},"a":{}}, "type":"object","x":1.0}')
    assert schemas.parameters(raw, "p") == (raw, None)


@pytest.mark.pitfall(59)
def test_a_missing_type_is_an_object():
    assert parameters({"properties": {"a": {}}, "required": ["a"]}) == (
        {"type": "object", "properties": {"a": {}}, "required": ["a"]},
        None,
    )
    assert parameters({"type": ["object", "null"], "properties": {}})[0]["type"] == "object"


@pytest.mark.pitfall(59)
def test_a_choice_at_the_root_is_merged():
    merged, changed = parameters(
        {
            "description": "d",
            "properties": {"x": {"type": "string"}},
            "required": ["x"],
            "oneOf": [
                {"properties": {"a": {}, "x": {}}, "required": ["a", "b"]},
                {"properties": {"b": {}}, "required": ["b", 5]},
                "odd",
            ],
            "allOf": [{"properties": {"c": {}}, "required": ["c"]}],
            "anyOf": None,
        }
    )
    assert merged == {
        "type": "object",
        "properties": {"x": {"type": "string"}, "a": {}, "b": {}, "c": {}},
        "description": "d",
        "required": ["x", "c"],
    }
    assert changed
    both, _ = parameters({"anyOf": [{"required": ["a"], "properties": {"a": {}}}]})
    assert both["required"] == ["a"]
    assert "required" not in parameters({"anyOf": []})[0]


@pytest.mark.parametrize("given", [[], "x", 5, True])
def test_what_is_no_schema_is_refused(given):
    with pytest.raises(WireError):
        parameters(given)


@pytest.mark.pitfall(61)
def test_keywords_that_anthropic_refuses_move_into_the_description():
    cleaned, lost = strict(
        {
            "type": "object",
            "properties": {
                "age": {"type": "integer", "minimum": 0, "description": "Years"},
                "mail": {"type": "string", "format": "email", "pattern": ".+@.+"},
                "odd": {"type": "string", "format": "ssn"},
            },
        }
    )
    assert lost
    found = cleaned["properties"]
    assert found["age"] == {"type": "integer", "description": "Years\n\n{minimum: 0}"}
    assert found["mail"]["format"] == "email"
    assert found["mail"]["description"] == '{pattern: ".+@.+"}'
    assert found["odd"] == {"type": "string", "description": '{format: "ssn"}'}


@pytest.mark.pitfall(61)
def test_objects_are_closed_at_every_depth_and_one_of_is_any_of():
    cleaned, lost = strict(
        {
            "$defs": {"N": {"type": ["object", "null"], "properties": {}}},
            "type": "object",
            "properties": {
                "list": {"type": "array", "minItems": 1, "items": {"properties": {}}},
                "one": {"oneOf": [{"type": "string"}, {"$ref": "#/$defs/N"}, True]},
                "all": {"allOf": [{"type": "object", "additionalProperties": False}]},
            },
            "required": ["list"],
            "additionalProperties": True,
        }
    )
    assert not lost
    assert cleaned == {
        "$defs": {
            "N": {"type": ["object", "null"], "properties": {}, "additionalProperties": False}
        },
        "type": "object",
        "properties": {
            "list": {
                "type": "array",
                "minItems": 1,
                "items": {"properties": {}, "additionalProperties": False},
            },
            "one": {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/N"}, True]},
            "all": {"allOf": [{"type": "object", "additionalProperties": False}]},
        },
        "required": ["list"],
        "additionalProperties": False,
    }


@pytest.mark.pitfall(61)
@pytest.mark.parametrize(
    "keyword",
    [
        {"minItems": 2},
        {"minItems": "1"},
        {"format": 5},
        {"additionalProperties": {"type": "string"}},
        {"items": [{"type": "string"}]},
        {"anyOf": "odd"},
        {"properties": []},
    ],
)
def test_what_is_stripped_is_told(keyword):
    cleaned, lost = strict({"type": "array", **keyword})
    assert lost
    assert next(iter(keyword)) in cleaned["description"]


def test_a_root_without_a_name_gets_the_one_that_was_given():
    assert strict({"type": "string"}, title="n", description="d")[0] == {
        "type": "string",
        "title": "n",
        "description": "d",
    }
    assert strict({"title": "own"}, title="n")[0] == {"title": "own"}


@pytest.mark.parametrize(
    ("given", "is_object"),
    [
        (b'{"type":"object"}', True),
        (b'{"properties":{}}', True),
        (b'{"type":"array"}', False),
        (b"[]", False),
    ],
)
def test_whether_a_schema_describes_an_object(given, is_object):
    assert schemas.is_object(Raw(given), "p") is is_object
