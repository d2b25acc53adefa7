"""``dragoman tenants``: whose keys, usage and names are nobody else's; on the database itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dragoman.cli.output import JsonOption, fail
from dragoman.cli.place_lines import tell, tell_all, with_tenancy
from dragoman.cli.scope_options import (
    ModelsOption,
    PermissionsOption,
    SurfacesOption,
    scoped,
)
from dragoman.cli.settings import EnvFileOption

if TYPE_CHECKING:
    from dragoman.identity.tenancy import PlaceChange, Tenant
    from dragoman.store.sql.tenancy import SqlTenancy

SUMMARY = "Create, list, change and suspend tenants."

_HELP = """Create, list, change and suspend tenants: whose keys, usage and names are nobody else's.

These commands work on the database of DATABASE_URL (by default SQLite in DRAGOMAN_HOME), with or without
a running gateway; a running one notices within a second.

    dragoman tenants create acme --models 'openai/*,anthropic/*'

    dragoman tenants suspend acme
"""

_MOST = 100_000
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The tenant's id.")]
NameOption = Annotated[str | None, typer.Option(help="As people call it. [its id]")]


def add_to(app: typer.Typer) -> None:
    """Registers the group."""
    group = typer.Typer(help=_HELP, short_help=SUMMARY, no_args_is_help=True)
    group.command("create", short_help="Make a tenant.")(create)
    group.command("list", short_help="Show all tenants.")(list_)
    group.command("show", short_help="Show one tenant.")(show)
    group.command("update", short_help="Change a tenant's name or scope.")(update)
    group.command("suspend", short_help="Refuse all its keys until it is resumed.")(suspend)
    group.command("resume", short_help="Have a suspended tenant's keys serve again.")(resume)
    app.add_typer(group, name="tenants")


def create(
    tenant: IdArgument,
    *,
    name: NameOption = None,
    models: ModelsOption = None,
    surfaces: SurfacesOption = None,
    permissions: PermissionsOption = None,
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a tenant, with a project `default`. A scope that is said holds for all its keys.

    dragoman tenants create acme --name "Acme Inc."
    """

    async def make(tenancy: SqlTenancy) -> Tenant:
        from dragoman.core.scopes import NOTHING_SAID
        from dragoman.identity.tenancy import Tenant

        scopes = scoped(NOTHING_SAID, models, surfaces, permissions)
        new = Tenant(tenant, name or tenant, scopes=scopes or NOTHING_SAID)
        return await tenancy.add_tenant(new)

    found = with_tenancy(make, env_file, as_json=as_json)
    tell(found, "tenant", " is made", as_json=as_json)


def list_(*, env_file: EnvFileOption = None, as_json: JsonOption = False) -> None:
    """Show all tenants, by the alphabet of their ids."""

    async def read(tenancy: SqlTenancy) -> list[Tenant]:
        return await tenancy.tenants(limit=_MOST)

    found = with_tenancy(read, env_file, as_json=as_json)
    tell_all(found, "tenant", "dragoman tenants create acme", as_json=as_json)


def show(
    tenant: IdArgument, *, env_file: EnvFileOption = None, as_json: JsonOption = False
) -> None:
    """Show one tenant: its name, its scope, whether it is suspended."""

    async def read(tenancy: SqlTenancy) -> Tenant | None:
        return await tenancy.tenant(tenant)

    found = with_tenancy(read, env_file, as_json=as_json)
    tell(_there(found, tenant, as_json=as_json), "tenant", "", as_json=as_json)


def update(
    tenant: IdArgument,
    *,
    name: Annotated[str | None, typer.Option(help="As people call it. [as it is]")] = None,
    models: ModelsOption = None,
    surfaces: SurfacesOption = None,
    permissions: PermissionsOption = None,
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change a tenant; what is left out stays. A narrower scope holds for its keys within a second.

    dragoman tenants update acme --models 'openai/gpt-4o*'
    """

    async def change(tenancy: SqlTenancy) -> Tenant | None:
        from dragoman.identity.tenancy import PlaceChange

        before = await tenancy.tenant(tenant)
        if before is None:
            return None
        scopes = scoped(before.scopes, models, surfaces, permissions)
        return await tenancy.change_tenant(tenant, PlaceChange(name, scopes))

    found = with_tenancy(change, env_file, as_json=as_json)
    tell(_there(found, tenant, as_json=as_json), "tenant", " is changed", as_json=as_json)


def suspend(
    tenant: IdArgument, *, env_file: EnvFileOption = None, as_json: JsonOption = False
) -> None:
    """Have every key of a tenant refused within a second. Requests under way end as they would have."""
    from dragoman.identity.tenancy import PlaceChange

    _switched(tenant, PlaceChange(suspended=True), env_file, as_json=as_json)


def resume(
    tenant: IdArgument, *, env_file: EnvFileOption = None, as_json: JsonOption = False
) -> None:
    """Have a suspended tenant's keys serve again, those apart that are suspended themselves."""
    from dragoman.identity.tenancy import PlaceChange

    _switched(tenant, PlaceChange(suspended=False), env_file, as_json=as_json)


def _switched(tenant: str, change: PlaceChange, env_file: EnvFileOption, *, as_json: bool) -> None:
    async def switch(tenancy: SqlTenancy) -> Tenant | None:
        return await tenancy.change_tenant(tenant, change)

    found = with_tenancy(switch, env_file, as_json=as_json)
    tell(_there(found, tenant, as_json=as_json), "tenant", "", as_json=as_json)


def status() -> str:
    """Where they are."""
    from dragoman.cli.commands.keys import where_keys_are
    from dragoman.config.load import load_settings

    return f"ready, in {where_keys_are(load_settings())}"


def _there(found: Tenant | None, tenant: str, *, as_json: bool) -> Tenant:
    if found is None:
        fail(f"There is no tenant {tenant!r}; `dragoman tenants list` shows all.", as_json=as_json)
    return found
