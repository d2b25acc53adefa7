"""``dragoman projects``: parts of a tenant, each with keys and budgets of its own; on the database itself."""

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
    from dragoman.identity.tenancy import PlaceChange, Project
    from dragoman.store.sql.tenancy import SqlTenancy

SUMMARY = "Create, list, change and suspend projects of tenants."

_HELP = """Create, list, change and suspend projects: parts of a tenant, with keys and budgets of their own.

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

    async def make(tenancy: SqlTenancy) -> Project:
        from dragoman.core.scopes import NOTHING_SAID
        from dragoman.identity.tenancy import Project

        scopes = scoped(NOTHING_SAID, models, surfaces, permissions)
        new = Project(tenant, project, name or project, scopes=scopes or NOTHING_SAID)
        return await tenancy.add_project(new)

    found = with_tenancy(make, env_file, as_json=as_json)
    tell(found, "project", " is made", as_json=as_json)


def list_(
    *,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's. [all]")] = None,
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show all projects, by the alphabet of tenants and ids."""

    async def read(tenancy: SqlTenancy) -> list[Project]:
        return await tenancy.projects(tenant=tenant, limit=_MOST)

    found = with_tenancy(read, env_file, as_json=as_json)
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

    async def read(tenancy: SqlTenancy) -> Project | None:
        return await tenancy.project(tenant, project)

    found = with_tenancy(read, env_file, as_json=as_json)
    tell(_there(found, tenant, project, as_json=as_json), "project", "", as_json=as_json)


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

    async def change(tenancy: SqlTenancy) -> Project | None:
        from dragoman.identity.tenancy import PlaceChange

        before = await tenancy.project(tenant, project)
        if before is None:
            return None
        scopes = scoped(before.scopes, models, surfaces, permissions)
        return await tenancy.change_project(tenant, project, PlaceChange(name, scopes))

    found = with_tenancy(change, env_file, as_json=as_json)
    told = _there(found, tenant, project, as_json=as_json)
    tell(told, "project", " is changed", as_json=as_json)


def suspend(
    project: IdArgument,
    *,
    tenant: TenantOption = "default",
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have every key of a project refused within a second. Requests under way end as they would have."""
    from dragoman.identity.tenancy import PlaceChange

    _switched(tenant, project, PlaceChange(suspended=True), env_file, as_json=as_json)


def resume(
    project: IdArgument,
    *,
    tenant: TenantOption = "default",
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have a suspended project's keys serve again, those apart that are suspended themselves."""
    from dragoman.identity.tenancy import PlaceChange

    _switched(tenant, project, PlaceChange(suspended=False), env_file, as_json=as_json)


def _switched(
    tenant: str, project: str, change: PlaceChange, env_file: EnvFileOption, *, as_json: bool
) -> None:
    async def switch(tenancy: SqlTenancy) -> Project | None:
        return await tenancy.change_project(tenant, project, change)

    found = with_tenancy(switch, env_file, as_json=as_json)
    tell(_there(found, tenant, project, as_json=as_json), "project", "", as_json=as_json)


def status() -> str:
    """Where they are."""
    from dragoman.cli.commands.keys import where_keys_are
    from dragoman.config.load import load_settings

    return f"ready, in {where_keys_are(load_settings())}"


def _there(found: Project | None, tenant: str, project: str, *, as_json: bool) -> Project:
    if found is None:
        fail(
            f"The tenant {tenant!r} has no project {project!r}; `dragoman projects list` shows all.",
            as_json=as_json,
        )
    return found
