"""Values that fit schemas."""

import pytest

from dragoman.transport.stub_value import fitting


def one(schema):
    made = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
    return fitting(made)["a"]


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"const": 5}, 5),
        ({"type": "string", "default": "d"}, "d"),
        ({"enum": ["x", "y"]}, "x"),
        ({"anyOf": [{"type": "null"}, {"type": "boolean"}]}, True),
        ({"oneOf": [{"type": "null"}]}, None),
        ({"type": ["null", "string"]}, "stub a"),
        ({"type": ["null"]}, None),
        ({"type": "string", "format": "date"}, "2026-01-31"),
        ({"type": "string", "format": "unheard"}, "stub a"),
        ({"type": "string", "minLength": 8}, "stub a.."),
        ({"type": "string", "maxLength": 4}, "stub"),
        ({"type": "integer"}, 0),
        ({"type": "integer", "minimum": 3}, 3),
        ({"type": "integer", "exclusiveMinimum": 3}, 4),
        ({"type": "integer", "exclusiveMinimum": 3, "minimum": 9}, 9),
        ({"type": "integer", "maximum": -2}, -2),
        ({"type": "integer", "exclusiveMaximum": 0}, -1),
        ({"type": "integer", "minimum": 3, "multipleOf": 5}, 5),
        ({"type": "integer", "minimum": True}, 0),
        ({"type": "array", "items": {"type": "integer"}}, [0]),
        ({"items": {"type": "integer"}, "minItems": 2}, [0, 0]),
        ({"type": "array", "maxItems": 0}, []),
        ({"type": "array", "minItems": "x"}, ["stub a"]),
        ({"properties": {"b": {}}}, {}),
        ({"type": "object", "required": "b"}, {}),
        ({"type": "object", "required": ["b", 1]}, {"b": "stub b"}),
        ({"type": "object", "properties": {"b": {"type": "null"}}}, {}),
        ({}, "stub a"),
        (True, "stub a"),
        (
            {
                "allOf": [
                    {"properties": {"b": {"type": "integer"}}, "required": ["b"]},
                    {"required": ["c"]},
                ]
            },
            {"b": 0, "c": "stub c"},
        ),
        ({"allOf": [{"type": "integer"}]}, 0),
    ],
)
def test_a_value_fits_its_schema(schema, value):
    assert one(schema) == value


def test_a_number_may_lie_between_whole_ones():
    assert one({"type": "number", "minimum": 0.5, "multipleOf": 0.25}) == 0.5
    assert 0.5 <= one({"type": "number", "minimum": 0.5, "maximum": 0.6}) <= 0.6
    assert 0.5 < one({"type": "number", "exclusiveMinimum": 0.5, "maximum": 0.6}) <= 0.6
    assert one({"type": "number", "exclusiveMinimum": 0.5}) == 1.5
    assert one({"type": "number", "maximum": -0.5}) == -0.5
    assert one({"type": "number", "exclusiveMaximum": -0.5}) == -1.5
    assert one({"type": "number"}) == 0


def test_references_are_followed_and_trees_have_an_end():
    node = {
        "type": "object",
        "properties": {"next": {"type": "array", "items": {"$ref": "#/$defs/a~1b"}}},
        "required": ["next"],
    }
    tree = fitting({"$ref": "#/$defs/a~1b", "$defs": {"a/b": node}})
    assert tree == {"next": [{"next": []}]}
    assert fitting({"$ref": "#"}) is None
    joined = {"allOf": [{"$ref": "#/$defs/n"}], "$defs": {"n": node}}
    assert "next" in fitting(joined)
    assert fitting({"$ref": "#/nowhere"}) == "stub value"


@pytest.mark.parametrize("schema", [None, {}, True, [], "x"])
def test_what_says_nothing_is_an_empty_object(schema):
    assert fitting(schema) == {}
