import pytest

from dragoman.mock.sample import fitting

pytestmark = pytest.mark.req("R-MOCK-004")


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, "mock value"),
        ({"type": "string", "format": "date"}, "2026-01-31"),
        ({"type": "string", "minLength": 12, "maxLength": 12}, "mock value.."),
        ({"type": "string", "maxLength": 4}, "mock"),
        ({"type": "integer"}, 7),
        ({"type": "integer", "maximum": 3}, 3),
        ({"type": "number"}, 7.0),
        ({"type": "number", "minimum": 0.5}, 0.5),
        ({"type": "integer", "exclusiveMinimum": 9}, 10),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({"type": ["null", "boolean"]}, True),
        ({"type": ["null"]}, None),
        ({"enum": ["a", "b"]}, "a"),
        ({"const": 4}, 4),
        ({"type": "string", "default": "x"}, "x"),
        ({"items": {"type": "boolean"}}, [True]),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, [7, 7]),
        ({"type": "array", "minItems": 0}, []),
        ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, 7),
        ({"oneOf": [{"type": "null"}]}, None),
        (
            {"allOf": [{"properties": {"a": {"type": "integer"}}}], "properties": {"b": {}}},
            {"b": {}, "a": 7},
        ),
        ({"properties": {"city": {"type": "string"}}}, {"city": "mock city"}),
        ({}, {}),
        (None, {}),
    ],
)
def test_a_value_fits_its_schema(schema, value):
    assert fitting(schema) == value


def test_references_are_followed_and_recursion_ends():
    schema = {
        "$defs": {
            "a/b": {"type": "integer"},
            "node": {"properties": {"next": {"$ref": "#/$defs/node"}}},
        },
        "properties": {
            "n": {"$ref": "#/$defs/a~1b"},
            "tree": {"$ref": "#/$defs/node"},
            "lost": {"$ref": "#/x"},
        },
    }
    assert fitting({"properties": {"a": {"$ref": "#"}}, "maxProperties": 1})["a"]["a"]
    value = fitting(schema)
    assert value["n"] == 7
    assert value["lost"] is None
    depth = 0
    node = value["tree"]
    while node:
        node, depth = node["next"], depth + 1
    assert 2 <= depth <= 12
