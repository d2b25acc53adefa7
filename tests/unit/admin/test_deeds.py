"""Every row that changes something is written down, and takes no member that is not its own."""

from __future__ import annotations

import ast
import inspect
import sys
import typing
from types import ModuleType

import pytest
from pydantic import BaseModel

from dragoman.admin.application import ROUTERS

ROWS = [
    (method, route)
    for router in ROUTERS
    for route in router.routes
    for method in sorted(route.methods)
    if method not in {"GET", "HEAD"}
]
HANDED_IN = {("POST", "/api/admin/keys")}
"""What a stranger hands in has a log of its own (R-ADM-010): nobody has done anything by it yet."""
ids = [f"{method} {route.path}" for method, route in ROWS]


def _called(function):
    """What a function of the admin room calls, by module and name."""
    module = sys.modules[function.__module__]
    for node in ast.walk(ast.parse(inspect.getsource(function).lstrip())):
        found = None
        if isinstance(node, ast.Name):
            found = getattr(module, node.id, None)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            of = getattr(module, node.value.id, None)
            found = getattr(of, node.attr, None) if isinstance(of, ModuleType) else None
        if inspect.isfunction(inspect.unwrap(found) if callable(found) else found):
            yield inspect.unwrap(found)


def _reaches_a_deed(function, seen):
    if (function.__module__, function.__name__) == ("dragoman.admin.deeds", "deed"):
        return True
    if function in seen or not function.__module__.startswith("dragoman.admin."):
        return False
    seen.add(function)
    return any(_reaches_a_deed(each, seen) for each in _called(function))


@pytest.mark.parametrize(("method", "route"), ROWS, ids=ids)
def test_a_row_that_changes_something_writes_it_down(method, route):
    """K13."""
    written = _reaches_a_deed(inspect.unwrap(route.endpoint), set())
    assert written == ((method, route.path) not in HANDED_IN)


def test_what_only_reads_is_told_from_it():
    """The test above would see a row that forgets it."""
    reading = [route for router in ROUTERS for route in router.routes if "GET" in route.methods]
    assert len(reading) > 30
    assert not [route.path for route in reading if _reaches_a_deed(route.endpoint, set())]


def _models(annotation):
    """Every model within a type."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
        for field in annotation.model_fields.values():
            yield from _models(field.annotation)
    for each in typing.get_args(annotation):
        yield from _models(each)


@pytest.mark.parametrize(("method", "route"), ROWS, ids=ids)
def test_a_row_takes_no_member_that_is_not_its_own(method, route):
    """Mass assignment (A7): of all rows what the matrix shows of some."""
    if route.body_field is not None:
        models = list(_models(route.body_field.field_info.annotation))
        assert models, "what is said has a form"
        assert [each for each in models if each.model_config.get("extra") != "forbid"] == []
