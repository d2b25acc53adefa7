"""How far each role goes, and what becomes of a change whose record cannot be written."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from dragoman.admin.deeds import deed
from dragoman.admin.reach import reach_of, sees
from dragoman.core.call import Caller
from dragoman.core.errors import CallerError, HouseError
from dragoman.core.scopes import Bounds
from dragoman.identity.permissions import permit


def caller(role, tenant="one", key="k1"):
    return Caller(key, tenant, role=role)


@pytest.mark.parametrize(
    ("role", "own", "same_tenant", "foreign"),
    [
        ("admin", True, True, True),
        ("tenant_admin", True, True, False),
        ("user", True, False, False),
        ("what nobody has heard of", True, False, False),
    ],
)
def test_what_lies_beyond_a_role_is_not_there(role, own, same_tenant, foreign):
    who = caller(role)
    assert sees(who, "one", "k1") is own
    assert sees(who, "one", "k2") is same_tenant
    assert sees(who, "two", "k3") is foreign
    assert sees(who, "two", "k1") is foreign, "an id alone opens nothing"


@pytest.mark.parametrize(
    ("role", "permissions", "reach"),
    [
        ("admin", ["admin", "usage"], "all"),
        ("admin", ["tenant", "usage"], "tenant"),
        ("admin", ["usage"], "own"),
        ("tenant_admin", ["usage", "admin"], "own"),
        ("tenant_admin", ["tenant"], "tenant"),
    ],
)
def test_a_role_goes_no_further_than_the_permissions_of_its_key(role, permissions, reach):
    bounds = Bounds(permissions=frozenset(permissions))
    assert reach_of(Caller("k1", "one", role=role, bounds=bounds)) == reach


@pytest.mark.parametrize(
    ("bounds", "permission", "family", "may"),
    [
        (Bounds(permissions=frozenset({"completions"})), "completions", "chat", True),
        (Bounds(permissions=frozenset({"completions"})), "usage", None, False),
        (Bounds(permissions=frozenset({"completions"})), "admin", None, False),
        (Bounds(permissions=frozenset()), "models", None, False),
        (Bounds(surfaces=frozenset({"ollama"})), "completions", "generate", True),
        (Bounds(surfaces=frozenset({"ollama"})), "completions", "chat", False),
        (Bounds(surfaces=frozenset({"ollama"})), "models", "chat", True),
        (Bounds(surfaces=frozenset({"chat"})), "completions", "completions", False),
        (Bounds(models=(("a/*",),)), "admin", None, True),
    ],
)
def test_a_scope_names_the_routes_and_the_dialects_that_are_left(bounds, permission, family, may):
    who = Caller("k1", "one", role="admin", bounds=bounds)
    if may:
        permit(who, permission, family)
        return
    with pytest.raises(CallerError, match="scope does not have") as error:
        permit(who, permission, family)
    assert (error.value.status, error.value.code) == (403, "insufficient_permissions")


def test_a_role_that_is_none_reaches_as_little_as_can_be():
    assert reach_of(caller("root")) == "own"


@pytest.mark.parametrize(
    ("role", "permission", "may"),
    [
        ("user", "usage", True),
        ("user", "tenant", False),
        ("user", "admin", False),
        ("tenant_admin", "tenant", True),
        ("tenant_admin", "admin", False),
        ("admin", "tenant", True),
        ("admin", "admin", True),
        ("root", "admin", False),
        ("root", "tenant", False),
    ],
)
def test_a_permission_is_for_whose_role_reaches_it(role, permission, may):
    if may:
        permit(caller(role), permission)
        return
    with pytest.raises(CallerError) as error:
        permit(caller(role), permission)
    assert (error.value.status, error.value.code) == (403, "insufficient_permissions")


# --------------------------------------------------------------------------- deeds


class Log:
    """An audit log that takes so many entries and no more."""

    def __init__(self, room):
        self.room = room
        self.deeds = []

    async def append(self, entry):
        if len(self.deeds) >= self.room:
            raise HouseError("overloaded", "The disk is full.", code="database_error")
        self.deeds.append(entry)
        return SimpleNamespace(number=len(self.deeds), seal="s")


def changed(room, *, fails=None):
    told, done = [], []
    log = Log(room)
    desk = SimpleNamespace(audit=log, log=lambda level, what, **more: told.append((level, what)))
    call = SimpleNamespace(caller=caller("admin"), request_id="r-1")

    async def go():
        async with deed(desk, call, "alias.put", "a", before={"old": 1}) as note:
            done.append("changed")
            if fails is not None:
                raise fails
            note.after = {"new": 2}

    try:
        asyncio.run(go())
    except (HouseError, CallerError, RuntimeError) as error:
        return log.deeds, done, told, error
    return log.deeds, done, told, None


def test_a_change_stands_in_the_log_before_and_after_it_is_made():
    deeds, done, _, error = changed(10)
    assert (error, done) == (None, ["changed"])
    assert [(each.outcome, each.before, each.after) for each in deeds] == [
        ("begun", '{"old":1}', None),
        ("done", None, '{"new":2}'),
    ]
    assert {(each.actor, each.actor_tenant, each.request_id) for each in deeds} == {
        ("k1", "one", "r-1")
    }


def test_a_change_that_cannot_be_recorded_is_not_made():
    """K13: the operation fails, with 503."""
    deeds, done, _, error = changed(0)
    assert (deeds, done) == ([], [])
    assert error.status == 503


def test_a_change_that_fails_is_recorded_as_such_without_its_words():
    deeds, _, _, error = changed(10, fails=RuntimeError("sk-secret"))
    assert isinstance(error, RuntimeError)
    assert [(each.outcome, each.after) for each in deeds] == [
        ("begun", None),
        ("failed", '"RuntimeError"'),
    ]


def test_a_change_whose_end_cannot_be_recorded_is_told_to_the_log():
    deeds, done, told, error = changed(1)
    assert (len(deeds), done, error) == (1, ["changed"], None)
    assert ("error", "audit entry lost") in told
