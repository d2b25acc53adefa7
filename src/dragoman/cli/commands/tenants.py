"""``dragoman tenants``: whose keys, usage and names are nobody else's; on the database itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dragoman.cli import place_work
from dragoman.cli.output import JsonOption
from dragoman.cli.place_lines import tell_all
from dragoman.cli.place_work import Said, Where, status
from dragoman.cli.scope_options import (
    ModelsOption,
    PermissionsOption,
    SurfacesOption,
)
from dragoman.cli.settings import EnvFileOption

if TYPE_CHECKING:
    from dragoman.identity.tenancy import Tenant
    from dragoman.store.sql.tenancy import SqlTenancy

__all__ = ["SUMMARY", "add_to", "status"]

SUMMARY = "Create, list, change, suspend and delete tenants."

_HELP = """Create, list, change, suspend and delete tenants: whose keys, usage and names are nobody else's.

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
    group.command("delete", short_help="Delete a suspended tenant for good.")(delete)
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
    said = Said(name, models, surfaces, permissions)
    place_work.make(Where(tenant), said, env_file, as_json=as_json)


def list_(
    *,
    deleted: Annotated[
        bool, typer.Option("--deleted", help="Those that were deleted, in place of the others.")
    ] = False,
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show all tenants, by the alphabet of their ids."""

    async def read(tenancy: SqlTenancy) -> list[Tenant]:
        return await tenancy.tenants(deleted=deleted, limit=_MOST)

    found = place_work.read(read, env_file, as_json=as_json)
    tell_all(found, "tenant", "dragoman tenants create acme", as_json=as_json)


def show(
    tenant: IdArgument, *, env_file: EnvFileOption = None, as_json: JsonOption = False
) -> None:
    """Show one tenant: its name, its scope, whether it is suspended."""
    place_work.show(Where(tenant), env_file, as_json=as_json)


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
    said = Said(name, models, surfaces, permissions)
    place_work.change(Where(tenant), said, env_file, as_json=as_json)


def suspend(
    tenant: IdArgument, *, env_file: EnvFileOption = None, as_json: JsonOption = False
) -> None:
    """Have every key of a tenant refused within a second. Requests under way end as they would have."""
    place_work.switch(Where(tenant), env_file, off=False, as_json=as_json)


def resume(
    tenant: IdArgument, *, env_file: EnvFileOption = None, as_json: JsonOption = False
) -> None:
    """Have a suspended tenant's keys serve again, those apart that are suspended themselves."""
    place_work.switch(Where(tenant), env_file, off=True, as_json=as_json)


def delete(
    tenant: IdArgument,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="It is meant.")] = False,
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete a suspended tenant for good: its keys, credentials, names, kept responses. What it has spent stays.

    dragoman tenants delete acme --yes
    """
    place_work.delete(Where(tenant), env_file, yes=yes, as_json=as_json)
