"""Tenants, projects and what they say of their keys, over SQLite and over PostgreSQL."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace
from sqlalchemy import text

from databases import KINDS, database_url
from dragoman.core.clock import ManualClock
from dragoman.core.errors import CallerError
from dragoman.core.scopes import Bounds, Scopes
from dragoman.identity.ports import KeyChange, KeySearch
from dragoman.identity.tenancy import PlaceChange, Project, Tenant
from dragoman.store.engine import open_database
from dragoman.store.schema import downgrade, upgrade
from dragoman.store.seal import open_sealer
from dragoman.store.sql.key_desk import SqlKeyDesk
from dragoman.store.sql.keys import NewKey, open_keys
from dragoman.store.sql.tenancy import SqlTenancy

pytestmark = [pytest.mark.anyio, pytest.mark.req("R-AUTH-008")]


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(params=KINDS)
async def desk(request, tmp_path):
    async with database_url(request.param, tmp_path) as url:
        database = open_database(url)
        clock = ManualClock()
        keys = await open_keys(database, open_sealer(tmp_path, None), clock)
        yield SqlTenancy(database, clock), keys, SqlKeyDesk(database, keys, clock), clock, database
        await database.close()


async def presented(keys, secret, record):
    return (await keys.find(secret.reveal(), record.id)).record


async def test_a_new_database_has_no_tenant_and_the_first_key_makes_its_own(desk):
    tenancy, keys, *_ = desk
    assert await tenancy.tenants() == []
    record, _ = await keys.create(NewKey("ci", tenant="acme"))
    assert (record.project, record.label, record.scopes) == ("default", None, Scopes())
    assert [each.id for each in await tenancy.tenants()] == ["acme"]
    assert [(each.tenant, each.id) for each in await tenancy.projects()] == [("acme", "default")]


async def test_many_keys_at_once_make_their_tenant_once(desk):
    tenancy, keys, *_ = desk
    await asyncio.gather(*(keys.create(NewKey(f"k{n}", tenant="acme")) for n in range(8)))
    assert [each.id for each in await tenancy.tenants()] == ["acme"]


async def test_a_key_is_made_in_a_project_that_is_there(desk):
    tenancy, keys, keydesk, *_ = desk
    with pytest.raises(CallerError, match="has no project 'web'") as error:
        await keys.create(NewKey("ci", tenant="acme", project="web"))
    assert (error.value.param, await keys.list()) == ("project", ())
    assert await tenancy.tenants() == [], "a refused key makes no tenant"
    await tenancy.add_tenant(Tenant("acme", "Acme"))
    await tenancy.add_project(Project("acme", "web", "The web"))
    record, _ = await keys.create(NewKey("ci", tenant="acme", project="web", label="blue"))
    other, _ = await keys.create(NewKey("else", tenant="other"))
    with pytest.raises(CallerError, match="has no project"):
        await keydesk.change(other.id, KeyChange(project="web"))
    assert (await keydesk.change(record.id, KeyChange(project="default"))).project == "default"
    assert (await keydesk.change("nobody", KeyChange(project="web"))) is None
    assert [k.name for k in await keydesk.page(KeySearch(label="blue"), after=None, limit=9)] == [
        "ci"
    ]
    assert (await keydesk.change(record.id, KeyChange(label=""))).label is None


async def test_a_user_has_one_key_in_a_tenant_and_another_one_elsewhere(desk):
    _, keys, *_ = desk
    first, _ = await keys.create(NewKey("ci", tenant="one", user_id="alice"))
    second, _ = await keys.create(NewKey("ci", tenant="two", user_id="alice"))
    assert first.id != second.id
    with pytest.raises(CallerError, match="alice") as error:
        await keys.create(NewKey("ci", tenant="one", user_id="alice"))
    assert error.value.status == 409


async def test_the_configured_admin_is_not_a_user_of_that_name_in_another_tenant(desk):
    _, keys, *_ = desk
    await keys.create(NewKey("ci", tenant="acme", user_id="boss"))
    made = await keys.ensure_admin("boss", "the-configured-key")
    assert (made.role, made.tenant) == ("admin", "default")
    assert await keys.ensure_admin("boss", "another-key") == made


@pytest.mark.parametrize("what", ["tenant", "project", "key"])
async def test_what_is_suspended_stops_its_keys_until_it_goes_on(desk, what):
    tenancy, keys, keydesk, clock, _ = desk
    record, secret = await keys.create(NewKey("ci", tenant="acme"))
    other, others = await keys.create(NewKey("ci", tenant="other"))

    async def suspend(*, yes):
        if what == "tenant":
            return await tenancy.change_tenant("acme", PlaceChange(suspended=yes))
        if what == "project":
            return await tenancy.change_project("acme", "default", PlaceChange(suspended=yes))
        return await keydesk.change(record.id, KeyChange(suspended=yes))

    generation = await keys.generation()
    first = await suspend(yes=True)
    assert first.suspended == clock.wall()
    assert await keys.generation() == generation + 1
    assert (await presented(keys, secret, record)).stopped == what
    assert (await presented(keys, others, other)).stopped is None
    clock.advance(5)
    assert await suspend(yes=True) == first, "it is suspended since it was"
    assert (await suspend(yes=False)).suspended is None
    assert (await presented(keys, secret, record)).stopped is None
    states = [
        [
            k.name
            for k in await keydesk.page(KeySearch(tenant="acme", state=s), after=None, limit=9)
        ]
        for s in ("active", "suspended")
    ]
    assert states == [["ci"], []]


async def test_a_presented_key_is_bounded_by_its_tenant_its_project_and_itself(desk):
    tenancy, keys, keydesk, *_ = desk
    record, secret = await keys.create(
        NewKey("ci", tenant="acme", scopes=Scopes(models=("openai/gpt-4o",)))
    )
    assert record.scopes == Scopes(models=("openai/gpt-4o",))
    found = await presented(keys, secret, record)
    assert found.bounds == Bounds(models=(("openai/gpt-4o",),))
    await tenancy.change_tenant("acme", PlaceChange(scopes=Scopes(models=("openai/*",))))
    await tenancy.change_project(
        "acme", "default", PlaceChange(name="main", scopes=Scopes(surfaces=("chat",)))
    )
    found = await presented(keys, secret, record)
    assert found.bounds == Bounds((("openai/*",), ("openai/gpt-4o",)), frozenset({"chat"}))
    assert replace(found, bounds=None) == record
    changed = await keydesk.change(record.id, KeyChange(scopes=Scopes()))
    assert changed.scopes == Scopes()
    await tenancy.change_tenant("acme", PlaceChange(scopes=Scopes()))
    await tenancy.change_project("acme", "default", PlaceChange(scopes=Scopes()))
    assert (await presented(keys, secret, record)).bounds is None


async def test_a_scope_that_cannot_be_read_allows_nothing(desk):
    _, keys, _, _, database = desk
    record, secret = await keys.create(NewKey("ci"))
    async with database.write() as connection:
        await connection.execute(text("UPDATE keys SET scopes = '{\"models\": 1'"))
    found = await presented(keys, secret, record)
    assert found.bounds == Bounds(((),), frozenset(), frozenset())


async def test_tenants_and_projects_are_listed_in_pages_and_by_state(desk):
    tenancy = desk[0]
    for number in range(5):
        await tenancy.add_tenant(Tenant(f"t{number}", f"T {number}"))
        await tenancy.add_project(Project(f"t{number}", "web", "Web"))
    await tenancy.change_tenant("t3", PlaceChange(suspended=True))
    await tenancy.change_project("t1", "web", PlaceChange(suspended=True))
    seen, after = [], None
    while rows := await tenancy.tenants(after=after, limit=2):
        seen += [row.id for row in rows]
        after = rows[-1].id
    assert seen == ["t0", "t1", "t2", "t3", "t4"]
    assert [t.id for t in await tenancy.tenants(suspended=True)] == ["t3"]
    assert [t.id for t in await tenancy.tenants(suspended=False, limit=3)] == ["t0", "t1", "t2"]
    seen, after = [], None
    while rows := await tenancy.projects(after=after, limit=3):
        seen += [(row.tenant, row.id) for row in rows]
        after = (rows[-1].tenant, rows[-1].id)
    assert seen == [(f"t{n}", name) for n in range(5) for name in ("default", "web")]
    assert [p.tenant for p in await tenancy.projects(suspended=True)] == ["t1"]
    assert [p.id for p in await tenancy.projects(tenant="t2")] == ["default", "web"]


async def test_what_is_there_is_not_made_again_and_what_is_not_is_not_changed(desk):
    tenancy = desk[0]
    await tenancy.add_tenant(Tenant("acme", "Acme", scopes=Scopes(models=("openai/*",))))
    assert (await tenancy.tenant("acme")).scopes == Scopes(models=("openai/*",))
    with pytest.raises(CallerError, match="already") as error:
        await tenancy.add_tenant(Tenant("acme", "Another"))
    assert error.value.status == 409
    with pytest.raises(CallerError, match="already"):
        await tenancy.add_project(Project("acme", "default", "Another"))
    with pytest.raises(CallerError, match="No tenant") as error:
        await tenancy.add_project(Project("nobody", "web", "Web"))
    assert error.value.status == 404
    assert await tenancy.change_tenant("nobody", PlaceChange(name="x", suspended=True)) is None
    assert await tenancy.change_project("acme", "nothing", PlaceChange(name="x")) is None
    assert (await tenancy.change_tenant("acme", PlaceChange())).name == "Acme"
    assert await tenancy.tenant("nobody") is None
    assert await tenancy.project("acme", "nothing") is None


@pytest.mark.parametrize("name", ["", "a/b", "*", "-", ".", "..", " a", "a ", "a\x00b", "a" * 129])
async def test_what_would_be_read_as_something_else_is_no_name(desk, name):
    tenancy = desk[0]
    with pytest.raises(CallerError, match="1 to 128 printable"):
        await tenancy.add_tenant(Tenant(name, "x"))
    await tenancy.add_tenant(Tenant("acme", "Acme"))
    with pytest.raises(CallerError, match="1 to 128 printable"):
        await tenancy.add_project(Project("acme", name, "x"))


# --------------------------------------------------------------------------- from and to the version before

OLD = (
    "INSERT INTO keys (id, tenant, name, user_id, role, digest, pepper_version, created_ms, expires_ms) "
    "VALUES (:id, :tenant, 'n', :user, 'user', :digest, 1, :made, :ends)"
)


async def _rows(database, query):
    async with database.read() as connection:
        return [tuple(row) for row in await connection.execute(text(query))]


@pytest.mark.parametrize("kind", KINDS)
async def test_keys_of_before_go_into_the_default_project_of_their_tenant(kind, tmp_path):
    async with database_url(kind, tmp_path) as url:
        await downgrade(url, "0011")
        database = open_database(url)
        async with database.write() as connection:
            for number, tenant in enumerate(("acme", "acme", "default", "odd/one")):
                values = {
                    "id": f"k{number}",
                    "tenant": tenant,
                    "user": f"u{number}",
                    "digest": bytes([number]) * 32,
                    "made": 10 + number,
                    "ends": None,
                }
                await connection.execute(text(OLD), values)
        await upgrade(url)
        try:
            assert await _rows(
                database, "SELECT id, tenant, project, user_id FROM keys ORDER BY id"
            ) == [
                ("k0", "acme", "default", "u0"),
                ("k1", "acme", "default", "u1"),
                ("k2", "default", "default", "u2"),
                ("k3", "odd/one", "default", "u3"),
            ]
            assert await _rows(
                database, "SELECT id, name, created_ms FROM tenants ORDER BY id"
            ) == [("acme", "acme", 10), ("default", "default", 12), ("odd/one", "odd/one", 13)]
            assert await _rows(database, "SELECT tenant, id FROM projects ORDER BY tenant") == [
                ("acme", "default"),
                ("default", "default"),
                ("odd/one", "default"),
            ]
        finally:
            await database.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_on_the_way_down_nothing_opens_wider_than_it_was(kind, tmp_path):
    async with database_url(kind, tmp_path) as url:
        database = open_database(url)
        clock = ManualClock()
        keys = await open_keys(database, open_sealer(tmp_path, None), clock)
        tenancy, keydesk = SqlTenancy(database, clock), SqlKeyDesk(database, keys, clock)
        made = {}
        for name, more in (
            ("free", {"user_id": "alice"}),
            ("scoped", {"scopes": Scopes(models=("openai/*",))}),
            ("stopped", {}),
            ("manager", {"role": "tenant_admin"}),
            ("of the stopped", {"tenant": "stopped", "user_id": "alice"}),
        ):
            clock.advance(1)
            made[name] = (await keys.create(NewKey(name, **more)))[0].id
        await keydesk.change(made["stopped"], KeyChange(suspended=True))
        await tenancy.change_tenant("stopped", PlaceChange(suspended=True))
        await database.close()
        await downgrade(url, "0011")
        database = open_database(url)
        found = {
            name: (role, user, ends is not None)
            for name, role, user, ends in await _rows(
                database, "SELECT name, role, user_id, expires_ms FROM keys"
            )
        }
        assert found == {
            "free": ("user", "alice", False),
            "scoped": ("user", None, True),
            "stopped": ("user", None, True),
            "manager": ("user", None, False),
            "of the stopped": ("user", None, True),
        }
        await database.close()
        await upgrade(url)


# --------------------------------------------------------------------------- deletion


async def test_a_tenant_is_deleted_once_it_is_suspended_and_its_id_is_nobodys_any_more(desk):
    tenancy, keys, keydesk, clock, _ = desk
    record, secret = await keys.create(
        NewKey("Alice's", tenant="acme", user_id="alice", label="hers")
    )
    other, others = await keys.create(NewKey("ci", tenant="other", user_id="alice"))
    await tenancy.add_project(Project("acme", "web", "The web"))
    with pytest.raises(CallerError, match="suspend it first") as error:
        await tenancy.delete_tenant("acme")
    assert error.value.status == 409
    assert (await presented(keys, secret, record)).revoked is None
    assert await tenancy.delete_tenant("nobody") is None
    await tenancy.change_tenant("acme", PlaceChange(suspended=True))
    generation = await keys.generation()
    gone = await tenancy.delete_tenant("acme")
    assert (gone.id, gone.name, gone.deleted) == ("acme", "deleted", clock.wall())
    assert await keys.generation() == generation + 1
    assert (await presented(keys, secret, record)).revoked == clock.wall()
    left = await keydesk.get(record.id)
    assert (left.tenant, left.name, left.user_id, left.label) == ("acme", "deleted", None, None)
    assert (await presented(keys, others, other)).revoked is None
    assert [each.id for each in await tenancy.tenants()] == ["other"]
    assert [each.id for each in await tenancy.tenants(deleted=True)] == ["acme"]
    assert await tenancy.deleted_since(0) == ["acme"]
    assert await tenancy.deleted_since(clock.wall()) == []
    assert await tenancy.projects(tenant="acme") == []
    clock.advance(5)
    assert await tenancy.delete_tenant("acme") == gone, "a second time does nothing"
    for again in (
        tenancy.add_tenant(Tenant("acme", "Acme")),
        tenancy.add_project(Project("acme", "web", "The web")),
        tenancy.change_tenant("acme", PlaceChange(suspended=False)),
        keys.create(NewKey("ci", tenant="acme")),
    ):
        with pytest.raises(CallerError, match="was deleted") as error:
            await again
        assert error.value.status == 409


async def test_a_project_is_deleted_with_its_keys_and_may_be_made_again(desk):
    tenancy, keys, keydesk, clock, _ = desk
    await tenancy.add_tenant(Tenant("acme", "Acme"))
    await tenancy.add_project(Project("acme", "web", "The web"))
    record, secret = await keys.create(NewKey("web", tenant="acme", project="web"))
    other, others = await keys.create(NewKey("ci", tenant="acme"))
    with pytest.raises(CallerError, match="suspend it first"):
        await tenancy.delete_project("acme", "web")
    assert not await tenancy.delete_project("acme", "nobody")
    await tenancy.change_project("acme", "web", PlaceChange(suspended=True))
    assert await tenancy.delete_project("acme", "web")
    assert (await presented(keys, secret, record)).revoked == clock.wall()
    assert (await keydesk.get(record.id)).name == "web"
    assert (await presented(keys, others, other)).revoked is None
    assert await tenancy.project("acme", "web") is None
    await tenancy.add_project(Project("acme", "web", "Another"))
    assert (await presented(keys, secret, record)).revoked == clock.wall()


@pytest.mark.parametrize("name", ["default", "local"])
async def test_who_is_always_there_is_not_deleted(desk, name):
    tenancy, *_ = desk
    await tenancy.add_tenant(Tenant(name, name))
    await tenancy.change_tenant(name, PlaceChange(suspended=True))
    with pytest.raises(CallerError, match="always there"):
        await tenancy.delete_tenant(name)
    with pytest.raises(CallerError, match="always there"):
        await tenancy.delete_project(name, "default")
