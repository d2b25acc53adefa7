"""``dragoman projects``: parts of a tenant, each with keys and budgets of its own; on the database itself."""

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
    from dragoman.identity.tenancy import Project
    from dragoman.store.sql.tenancy import SqlTenancy

__all__ = ["SUMMARY", "add_to", "status"]

SUMMARY = "Create, list, change, suspend and delete projects of tenants."

_HELP = """Create, list, change, suspend and delete projects: parts of a tenant, with keys and budgets.

These commands work on the database of DATABASE_URL (by default SQLite in DRAGOMAN_HOME), with or without
a running gateway; a running one notices within a second.

    dragoman projects create website --tenant acme

    dragoman keys create --name web --tenant acme --project website
"""

_MOST = 100_000
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The project's id.")]
TenantOption = Annotated[str, typer.Option(help="Whose project it is.")]


def add_to(app: typer.Typer) -> None:
    """Registers the group."""
    group = typer.Typer(help=_HELP, short_help=SUMMARY, no_args_is_help=True)
    group.command("create", short_help="Make a project.")(create)
    group.command("list", short_help="Show all projects.")(list_)
    group.command("show", short_help="Show one project.")(show)
    group.command("update", short_help="Change a project's name or scope.")(update)
    group.command("suspend", short_help="Refuse all its keys until it is resumed.")(suspend)
    group.command("resume", short_help="Have a suspended project's keys serve again.")(resume)
    group.command("delete", short_help="Delete a suspended project for good.")(delete)
    app.add_typer(group, name="projects")


def create(
    project: IdArgument,
    *,
    tenant: TenantOption = "default",
    name: Annotated[str | None, typer.Option(help="As people call it. [its id]")] = None,
    models: ModelsOption = None,
    surfaces: SurfacesOption = None,
    permissions: PermissionsOption = None,
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a project of a tenant that is there. A scope that is said holds for all its keys.

    dragoman projects create website --tenant acme
    """
    said = Said(name, models, surfaces, permissions)
    place_work.make(Where(tenant, project), said, env_file, as_json=as_json)


def list_(
    *,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's. [all]")] = None,
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show all projects, by the alphabet of tenants and ids."""

    async def read(tenancy: SqlTenancy) -> list[Project]:
        return await tenancy.projects(tenant=tenant, limit=_MOST)

    found = place_work.read(read, env_file, as_json=as_json)
    hint = "dragoman projects create website --tenant acme"
    tell_all(found, "project", hint, as_json=as_json)


def show(
    project: IdArgument,
    *,
    tenant: TenantOption = "default",
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one project: its name, its scope, whether it is suspended."""
    place_work.show(Where(tenant, project), env_file, as_json=as_json)


def update(
    project: IdArgument,
    *,
    tenant: TenantOption = "default",
    name: Annotated[str | None, typer.Option(help="As people call it. [as it is]")] = None,
    models: ModelsOption = None,
    surfaces: SurfacesOption = None,
    permissions: PermissionsOption = None,
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change a project; what is left out stays. A narrower scope holds for its keys within a second.

    dragoman projects update website --tenant acme --models 'openai/gpt-4o*'
    """
    said = Said(name, models, surfaces, permissions)
    place_work.change(Where(tenant, project), said, env_file, as_json=as_json)


def suspend(
    project: IdArgument,
    *,
    tenant: TenantOption = "default",
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have every key of a project refused within a second. Requests under way end as they would have."""
    place_work.switch(Where(tenant, project), env_file, off=False, as_json=as_json)


def resume(
    project: IdArgument,
    *,
    tenant: TenantOption = "default",
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have a suspended project's keys serve again, those apart that are suspended themselves."""
    place_work.switch(Where(tenant, project), env_file, off=True, as_json=as_json)


def delete(
    project: IdArgument,
    *,
    tenant: TenantOption = "default",
    yes: Annotated[bool, typer.Option("--yes", help="It is meant.")] = False,
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete a suspended project for good, and revoke its keys. What it has spent stays.

    dragoman projects delete website --tenant acme --yes
    """
    place_work.delete(Where(tenant, project), env_file, yes=yes, as_json=as_json)
