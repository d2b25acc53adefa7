"""Every route says who may use it, and the description of the interface forgets none (A4)."""

from __future__ import annotations

from typing import Any, cast

import pytest
from msgspec.structs import replace

from dragoman.identity.permissions import PERMISSIONS
from dragoman.surface.app import Surface, build
from dragoman.surface.route import Route
from dragoman.surface.routers import ROUTERS
from dragoman.surface.table import ROUTES, check_table

NO_SURFACE = cast("Surface", None)
"""The table is looked at before anything else."""


@pytest.mark.parametrize("row", ROUTES, ids=lambda row: f"{row.method} {row.path}")
def test_a_route_declares_a_permission_and_what_it_is(row):
    assert row.permission in PERMISSIONS
    assert (row.operation is None) != (row.page is None)
    assert row.summary
    assert row.path.startswith("/")


def test_no_route_stands_in_the_table_twice():
    seen = [(row.method, row.path) for row in ROUTES]
    assert len(set(seen)) == len(seen)


@pytest.mark.req("R-AUTH-002")
@pytest.mark.parametrize("permission", ["", None, "completion"])
def test_a_table_with_a_bare_route_refuses_to_build(permission):
    bare = Route(
        "GET", "/v1/new", cast("Any", permission), "Nobody has thought of it", page="models"
    )
    with pytest.raises(ValueError, match="GET /v1/new"):
        build(NO_SURFACE, (*ROUTES, bare))


def test_a_route_that_is_nothing_or_two_things_refuses_to_build():
    page = next(row for row in ROUTES if row.page)
    for wrong in (replace(page, page=None), replace(page, operation="chat")):
        with pytest.raises(ValueError, match="must be a data route or a page"):
            check_table((wrong,))


@pytest.mark.req("R-SURF-033")
def test_every_route_is_in_the_description(lonely):
    paths = lonely.ask("GET", "/openapi.json", key=None).json()["paths"]
    described = {(method.upper(), path) for path, row in paths.items() for method in row}
    assert described == {(row.method, row.path.replace(":path}", "}")) for row in ROUTES}


@pytest.mark.req("R-AUTH-001", "R-AUTH-002")
@pytest.mark.parametrize("row", ROUTES, ids=lambda row: f"{row.method} {row.path}")
def test_a_route_answers_a_stranger_only_if_it_is_public(lonely, row):
    path = row.path.replace("{id:path}", "openai/gpt-4o-mini")
    path = path.replace("{model:path}", "openai/gpt-4o-mini").replace("{path:path}", "user")
    body = {"model": "openai/gpt-4o-mini"} if row.method == "POST" else None
    if row.path == "/api/admin/keys" and row.method == "POST":
        # The one row that strangers may write to looks at what they hand in.
        assert lonely.ask(row.method, path, body, key=None).status == 400
        return
    reply = lonely.ask(row.method, path, body, key=None)
    assert reply.status == (200 if row.permission == "public" else 401)


@pytest.mark.req("R-SURF-046")
@pytest.mark.parametrize("prefix", ROUTERS)
def test_all_of_a_router_is_at_its_provider_and_has_its_switch(prefix):
    home, switch = ROUTERS[prefix]
    rows = [row for row in ROUTES if row.path.startswith(f"{prefix}/")]
    assert {(row.home, row.switch) for row in rows} <= {(home, switch)}
    assert all(row.permission != "public" for row in rows)
    assert not [row for row in ROUTES if row.home == home and row not in rows]


@pytest.mark.parametrize(
    "path",
    [
        "//v1/models",
        "/v1/models/",
        "/V1/models",
        "/v1/./models",
        "/health/../v1/models",
        "/v1/usage%00",
    ],
)
def test_a_path_that_only_looks_like_a_route_is_none(lonely, path):
    """The decision hangs on the matched row, never on a string that resembles one."""
    assert lonely.ask("GET", path, key=None).status in {401, 404}
