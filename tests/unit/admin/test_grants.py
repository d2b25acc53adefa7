"""Whatever keys are made, changed, moved and rotated by whoever may: nobody comes to more than they had (A8).

The machine speaks to the very functions that the admin room calls, over keys, projects and tenants in memory. Its law
is of what a *secret* opens: a caller that holds some secrets holds, after any number of deeds of its own, none that
opens what none of its own opened before.
"""

from __future__ import annotations

from contextlib import suppress
from types import SimpleNamespace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from msgspec.structs import replace

from dragoman.admin import key_deeds
from dragoman.admin.grants import check_scopes
from dragoman.admin.key_shapes import RotateSaid, UpdateSaid
from dragoman.admin.scope_shapes import ScopeSaid, scopes_said
from dragoman.core.call import NO_LIMITS, Caller, Limits
from dragoman.core.errors import CallerError
from dragoman.core.scopes import NOTHING_SAID, Scopes, allows_model, together
from dragoman.core.secret import Secret
from dragoman.identity.permissions import permit, rank_of
from dragoman.identity.ports import KeyRecord
from dragoman.identity.tenancy import Project
from sampling import examples

pytestmark = pytest.mark.req("R-AUTH-008", "R-AUTH-010")

MODELS = ("a/x", "a/y", "b/x")
PATTERNS = ["*", "a/*", "b/*", "a/x", "x"]
PERMISSIONS = ("completions", "usage", "tenant", "admin")
ROLES = ("user", "tenant_admin", "admin")
PLACES = [(tenant, project) for tenant in ("one", "two") for project in ("default", "web")]

lists = lambda words: st.none() | st.lists(st.sampled_from(words), max_size=2, unique=True)  # noqa: E731
SCOPES = st.builds(
    ScopeSaid, models=lists(PATTERNS), surfaces=st.none(), permissions=lists(PERMISSIONS)
)
LIMITS = st.sampled_from([NO_LIMITS, Limits(rpm=0), Limits(rpm=5), Limits(rpm=50)])
NUMBER = st.integers(0, 30)


def run(work):
    """What comes of work that never waits."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waited")


class Keys:
    """Keys in memory."""

    def __init__(self):
        self.rows = {}
        self.tenancy = {}

    async def get(self, key_id):
        return self.rows.get(key_id)

    async def create(self, like):
        record = replace(like, id=f"k{len(self.rows)}")
        self.rows[record.id] = record
        return record, Secret(record.id)

    async def change(self, key_id, change):
        said = {
            name: getattr(change, name)
            for name in ("name", "role", "project", "scopes", "limits")
            if getattr(change, name) is not None
        }
        self.rows[key_id] = replace(self.rows[key_id], **said)
        return self.rows[key_id]

    async def rotate(self, old, overlap_s):
        del overlap_s
        return old, Secret(old.id)

    # The tenancy of the same desk.

    async def project(self, tenant, project_id):
        return Project(
            tenant, project_id, "", scopes=self.tenancy.get((tenant, project_id), NOTHING_SAID)
        )


class Log:
    """An audit log that takes everything."""

    async def append(self, entry):
        del entry
        return SimpleNamespace(number=1, seal="")


class Grants(RuleBasedStateMachine):
    """One caller, who holds a key and whatever secrets its deeds give it."""

    @initialize(
        role=st.sampled_from(ROLES[1:]),
        scope=SCOPES,
        project_scope=SCOPES,
        tenant_scope=SCOPES,
        limits=LIMITS,
        others=st.lists(
            st.tuples(st.sampled_from(PLACES), st.sampled_from(ROLES), SCOPES, LIMITS), max_size=4
        ),
    )
    def furnish(self, role, scope, project_scope, tenant_scope, limits, others):
        self.keys = Keys()
        self.tenant_scopes = {"one": scopes_said(tenant_scope), "two": NOTHING_SAID}
        self.keys.tenancy[("one", "default")] = scopes_said(project_scope)
        self.desk = SimpleNamespace(
            keys=self.keys,
            tenancy=self.keys,
            audit=Log(),
            tiers=dict,
            limits=lambda caller: caller.limits,
            keys_changed=lambda *_: None,
            wall=lambda: 0.0,
            log=lambda *_, **__: None,
        )
        mine = KeyRecord(
            "", "one", "mine", 0.0, role=role, limits=limits, scopes=scopes_said(scope)
        )
        run(self.keys.create(mine))
        for (tenant, project), its_role, its_scope, its_limits in others:
            other = KeyRecord("", tenant, "o", 0.0, role=its_role, limits=its_limits,
                              project=project, scopes=scopes_said(its_scope))  # fmt: skip
            run(self.keys.create(other))
        self.held = {"k0"}
        self.rights = self._rights("k0")
        self.rank = rank_of(role)

    def _bounds(self, record):
        return together(
            self.tenant_scopes[record.tenant],
            self.keys.tenancy.get((record.tenant, record.project), NOTHING_SAID),
            record.scopes,
        )

    def _caller(self, key_id):
        record = self.keys.rows[key_id]
        return Caller(record.id, record.tenant, record.name, record.role, record.limits,
                      None, record.project, self._bounds(record))  # fmt: skip

    def _rights(self, key_id):
        """What a secret opens: models, kinds of routes, and whose."""
        caller = self._caller(key_id)
        found = set()
        for permission in PERMISSIONS:
            with suppress(CallerError):
                permit(caller, permission)
                found.add(permission)
        bounds = caller.bounds
        if "completions" in found:
            found |= {
                f"asks {model}"
                for model in MODELS
                if bounds is None or allows_model(bounds, *model.split("/"))
            }
        return found

    def _do(self, by, permission, work):
        """A deed by a key that the caller holds, if its row lets it in."""
        held = sorted(self.held)
        caller = self._caller(held[by % len(held)])
        call = SimpleNamespace(caller=caller, request_id="r")
        try:
            permit(caller, permission)
            made = run(work(call, caller))
        except CallerError:
            return
        if hasattr(made, "key"):
            self.held.add(made.id)

    def _on(self, number):
        names = sorted(self.keys.rows)
        return names[number % len(names)]

    @rule(
        by=NUMBER,
        place=st.sampled_from(PLACES),
        role=st.sampled_from(ROLES),
        scope=SCOPES,
        limits=LIMITS,
        way=st.sampled_from(["tenant", "admin"]),
    )
    def make(self, by, place, role, scope, limits, way):
        async def work(call, caller):
            tenant = place[0] if way == "admin" else caller.tenant
            like = KeyRecord("", tenant, "m", 0.0, role=role, limits=limits,
                             project=place[1], scopes=scopes_said(scope))  # fmt: skip
            return await key_deeds.make(self.desk, call, like)

        self._do(by, way, work)

    @rule(
        by=NUMBER,
        on=NUMBER,
        scope=st.none() | SCOPES,
        role=st.none() | st.sampled_from(ROLES),
        project=st.sampled_from([None, "default", "web"]),
        way=st.sampled_from(["tenant", "admin"]),
    )
    def update(self, by, on, scope, role, project, way):
        async def work(call, caller):
            del caller
            record = await key_deeds.one(self.desk, call, self._on(on))
            said = UpdateSaid(scope=scope, role=role, project=project)
            return await key_deeds.update(self.desk, call, record, said)

        self._do(by, way, work)

    @rule(by=NUMBER, on=NUMBER, way=st.sampled_from(["tenant", "admin"]))
    def rotate(self, by, on, way):
        async def work(call, caller):
            del caller
            record = await key_deeds.one(self.desk, call, self._on(on))
            return await key_deeds.rotate(self.desk, call, record, RotateSaid().overlap_s)

        self._do(by, way, work)

    @rule(
        by=NUMBER,
        place=st.sampled_from(PLACES),
        scope=SCOPES,
        way=st.sampled_from(["tenant", "admin"]),
    )
    def rescope_project(self, by, place, scope, way):
        async def work(call, caller):
            del call
            tenant = place[0] if way == "admin" else caller.tenant
            said = scopes_said(scope)
            await check_scopes(self.desk, caller, said, tenant, None)
            self.keys.tenancy[(tenant, place[1])] = said

        self._do(by, way, work)

    @invariant()
    def nobody_comes_to_more(self):
        if not hasattr(self, "held"):
            return
        for key_id in self.held:
            record = self.keys.rows[key_id]
            assert self._rights(key_id) <= self.rights, (record, self._bounds(record))
            assert rank_of(record.role) <= self.rank
            if "admin" not in self.rights:
                assert record.tenant == "one"


Grants.TestCase.settings = settings(
    max_examples=examples(200), stateful_step_count=20, deadline=None
)
TestGrants = Grants.TestCase


@pytest.mark.gate
@pytest.mark.timeout(1200)
def test_no_long_history_of_grants_comes_to_more():
    """As often and as long as A8 wants it."""
    many = settings(max_examples=2000, stateful_step_count=50, deadline=None)
    run_state_machine_as_test(Grants, settings=many)


def test_a_scope_of_a_tenants_own_asks_nothing_of_a_caller_without_one():
    desk = SimpleNamespace()
    run(check_scopes(desk, Caller("k", "one", role="admin"), Scopes(), "two", None))


def test_what_bounds_a_tenant_bounds_what_its_administrators_give_elsewhere():
    bounds = together(Scopes(models=("a/*",)))
    caller = Caller("k", "one", role="admin", bounds=bounds)
    with pytest.raises(CallerError) as error:
        run(check_scopes(SimpleNamespace(), caller, NOTHING_SAID, "two", "default"))
    assert (error.value.status, error.value.param) == (403, "scope.models")
    run(check_scopes(SimpleNamespace(), caller, Scopes(models=("a/x",)), "two", "default"))
