"""``dragoman credentials``: tenants' own credentials at providers, on the database itself."""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from dragoman.cli.output import FAILED, JsonOption, fail, say, say_json, table
from dragoman.cli.settings import EnvFileOption, settings_or_fail
from dragoman.cli.stored import noted, where_keys_are, with_stored

if TYPE_CHECKING:
    from dragoman.catalog.registry import Registry
    from dragoman.config.settings import Settings
    from dragoman.credentials.own import OwnCredential, OwnRule
    from dragoman.credentials.whom import Whom
    from dragoman.store.administered import Administered
    from dragoman.transport.key_trial import Trial

SUMMARY = "Manage tenants' own credentials at providers and services."

_HELP = """Manage tenants' own credentials at providers, and at other services ([[services]] of dragoman.toml).

A tenant's calls to a provider are made with its own credentials where it has any, else with the gateway's.
Values come by the keyboard or through a pipe, never as an argument, and are never shown again. These commands
work on the database, with or without a running gateway; a running one notices within a second.

    dragoman credentials add openai --tenant acme < key.txt

    dragoman credentials add services/github --tenant acme < token.txt

    dragoman credentials list --tenant acme
"""
_T = TypeVar("_T")
_ID = typer.Argument(metavar="ID", help="The id, as `credentials list` shows it.")


def add_to(app: typer.Typer) -> None:
    """Registers the group."""
    group = typer.Typer(help=_HELP, short_help=SUMMARY, no_args_is_help=True)
    group.command("list", short_help="Show credentials, never their values.")(list_)
    group.command("add", short_help="Store a credential of a tenant's.")(add)
    group.command("remove", short_help="Remove a credential for good.")(remove)
    group.command("disable", short_help="Take a credential out of use.")(disable)
    group.command("enable", short_help="Take a credential back into use.")(enable)
    group.command("test", short_help="Ask its provider whether a credential is good.")(try_out)
    group.command("rule", short_help="Say whether a tenant may use its own alone.")(rule)
    app.add_typer(group, name="credentials")


def list_(
    *,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's. [all]")] = None,
    provider: Annotated[str | None, typer.Option(help="Only for this one. [all]")] = None,
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show credentials, the oldest first, with the first and last characters of each.

    dragoman credentials list --tenant acme --provider services/github
    """

    async def read(stored: Administered) -> list[OwnCredential]:
        found: list[OwnCredential] = []
        while page := await stored.credentials.page(
            tenant=tenant, provider=provider, after=found[-1].id if found else None, limit=500
        ):
            found += page
        return found

    found = _with_stored(read, env_file, as_json=as_json)
    if as_json:
        say_json({"credentials": found})
    elif not found:
        say("There are none. Store one: dragoman credentials add openai --tenant acme")
    else:
        table(
            "Credentials of tenants",
            ("id", "tenant", "provider", "name", "value", "weight", "state", "last used"),
            [
                (
                    each.id,
                    each.tenant,
                    each.provider,
                    each.name,
                    each.preview,
                    str(each.weight),
                    "disabled" if each.disabled else "in use",
                    "never" if each.used_ms is None else _day(each.used_ms / 1000),
                )
                for each in found
            ],
        )


def add(
    provider: Annotated[
        str, typer.Argument(help="Whose credential it is: a provider, or services/NAME.")
    ],
    *,
    tenant: Annotated[str, typer.Option(help="Whom it belongs to.")] = "default",
    name: Annotated[str, typer.Option(help="Tells several for one provider apart.")] = "main",
    weight: Annotated[
        int, typer.Option(min=1, max=1000, help="Its share, where there are several.")
    ] = 1,
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Store a credential; its value is read from the keyboard, unseen, or from a pipe.

    dragoman credentials add openai --tenant acme < key.txt
    """
    settings = settings_or_fail({"mode": "local"}, env_file, as_json=as_json)
    place = _place(settings, provider, env_file, as_json=as_json)
    new = _new(place, tenant, name, weight)
    value = _value(place.name)
    _check(place, value, as_json=as_json)

    async def store(stored: Administered) -> OwnCredential:
        from msgspec.structs import replace

        from dragoman.catalog.keys import mask

        said = replace(new, preview=mask(value))
        async with noted(stored.audit, "credential.add", said.id, tenant):
            return await stored.credentials.add(said, value)

    found = _with_stored(store, env_file, as_json=as_json)
    if as_json:
        say_json(found)
    else:
        say(
            f"Stored {found.preview} as {found.id}: {found.name!r} of tenant {tenant!r} for {place.name}."
        )


def remove(
    name: Annotated[str, _ID], *, env_file: EnvFileOption = None, as_json: JsonOption = False
) -> None:
    """Remove a credential for good. Calls that are under way end as they would have.

    dragoman credentials remove own_01a21d04ee6c7e5495557b78d1ff90e1
    """

    async def end(stored: Administered) -> OwnCredential | None:
        found = await stored.credentials.get(name)
        if found is not None:
            async with noted(stored.audit, "credential.delete", name, found.tenant):
                await stored.credentials.remove(name)
        return found

    _told(_with_stored(end, env_file, as_json=as_json), name, "is removed", as_json=as_json)


def disable(
    name: Annotated[str, _ID], *, env_file: EnvFileOption = None, as_json: JsonOption = False
) -> None:
    """Take a credential out of use, until it is enabled."""
    _turn(name, env_file, disabled=True, as_json=as_json)


def enable(
    name: Annotated[str, _ID], *, env_file: EnvFileOption = None, as_json: JsonOption = False
) -> None:
    """Take a credential back into use."""
    _turn(name, env_file, disabled=False, as_json=as_json)


def try_out(
    name: Annotated[str, _ID], *, env_file: EnvFileOption = None, as_json: JsonOption = False
) -> None:
    """Ask its provider whether a credential is good, by a request that costs nothing.

    The exit code is 1 unless the provider takes it. A service cannot be asked so.

    dragoman credentials test own_01a21d04ee6c7e5495557b78d1ff90e1 --json
    """
    settings = settings_or_fail({"mode": "local"}, env_file, as_json=as_json)
    registry = _registry(settings, env_file, as_json=as_json)

    async def ask(stored: Administered) -> Trial | None:
        from dragoman.transport.http import open_transport
        from dragoman.transport.key_trial import try_own

        opened = await stored.credentials.open(name)
        if opened is None:
            return None
        transport = open_transport(settings.upstream_client, tls_ca=settings.upstream_ca_file)
        try:
            async with noted(stored.audit, "credential.test", name, opened.credential.tenant):
                return await try_own(opened, registry, transport)
        finally:
            await transport.close()

    found = _with_stored(ask, env_file, as_json=as_json)
    if found is None:
        fail(_unknown(name), as_json=as_json)
    if as_json:
        say_json(found)
    else:
        say(f"{found.outcome}: {found.said}")
    if found.outcome != "good":
        raise typer.Exit(FAILED)


def rule(
    tenant: Annotated[str, typer.Argument(help="Whose calls it is about.")],
    *,
    own_only: Annotated[
        bool | None,
        typer.Option(
            "--own-only/--any", help="Its own alone, or the gateway's as well. [as it is]"
        ),
    ] = None,
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say, or show, whether a tenant's calls may be made with the gateway's credentials.

    dragoman credentials rule acme --own-only
    """

    async def put(stored: Administered) -> OwnRule:
        found = await stored.credentials.rule(tenant)
        if own_only is None:
            return found
        async with noted(
            stored.audit, "credential_rule.put", tenant, tenant, before=found
        ) as note:
            await stored.credentials.restrict(tenant, own_only=own_only)
            note.after = found = await stored.credentials.rule(tenant)
        return found

    from msgspec.structs import asdict

    found = _with_stored(put, env_file, as_json=as_json)
    if as_json:
        say_json({"own_only": found.own_only, **asdict(found)})
        return
    kind = (
        "its own credentials alone"
        if found.own_only
        else "its own credentials, else the gateway's"
    )
    whose = " (as the tenant itself has said)" if found.by_tenant else ""
    say(f"Calls of tenant {tenant!r} are made with {kind}{whose}.")


def status() -> str:
    """Where they are."""
    from dragoman.config.load import load_settings

    return f"ready, in {where_keys_are(load_settings({'mode': 'local'}))}"


# --------------------------------------------------------------------------- how


def _value(provider: str) -> str:
    """The value, from a pipe to its end or from the keyboard without showing it."""
    if not sys.stdin.isatty():
        return sys.stdin.read(4096).strip()
    import getpass

    return getpass.getpass(f"Credential for {provider} (it is not shown): ").strip()


def _registry(settings: Settings, env_file: Any, *, as_json: bool) -> Registry:
    from dragoman.assembly.registry import open_registry
    from dragoman.config.load import environment
    from dragoman.config.settings import ConfigError

    try:
        return open_registry(settings, environment(env_file))
    except ConfigError as error:
        fail(error.message, as_json=as_json)


def _place(settings: Settings, said: str, env_file: Any, *, as_json: bool) -> Whom:
    """Whose credential is stored: an administrator may store one for any provider and service."""
    registry = _registry(settings, env_file, as_json=as_json)
    from dragoman.assembly.registry import with_files
    from dragoman.catalog.service import read_services
    from dragoman.core.errors import GatewayError
    from dragoman.credentials.whom import whom

    try:
        services = read_services([with_files(row) for row in settings.services])
        return whom(said, registry, services)
    except GatewayError as error:
        fail(error.message, as_json=as_json)


def _new(place: Whom, tenant: str, name: str, weight: int) -> OwnCredential:
    import os

    from dragoman.core.ids import uuid7_of
    from dragoman.credentials.own import OWN, OwnCredential

    made = uuid7_of(time.time(), int.from_bytes(os.urandom(9)) | 1)
    return OwnCredential(
        OWN + made.replace("-", ""), tenant, place.name, name, "", place.origin, weight
    )


def _check(place: Whom, value: str, *, as_json: bool) -> None:
    if not value.isascii() or not value.isprintable() or " " in value or len(value) < 8:
        fail("A credential is 8 or more visible ASCII characters without blanks.", as_json=as_json)
    if (trouble := place.fault(value)) is not None:
        fail(f"This is no key of {place.name}: {trouble}.", as_json=as_json)


def _turn(name: str, env_file: Any, *, disabled: bool, as_json: bool) -> None:
    verb = "disable" if disabled else "enable"

    async def turn(stored: Administered) -> OwnCredential | None:
        found = await stored.credentials.get(name)
        if found is None:
            return None
        async with noted(stored.audit, f"credential.{verb}", name, found.tenant):
            return await stored.credentials.turn(name, disabled=disabled)

    _told(_with_stored(turn, env_file, as_json=as_json), name, f"is {verb}d", as_json=as_json)


def _told(found: OwnCredential | None, name: str, what: str, *, as_json: bool) -> None:
    if found is None:
        fail(_unknown(name), as_json=as_json)
    if as_json:
        say_json(found)
    else:
        say(
            f"Credential {found.id} ({found.name!r} of {found.tenant!r} for {found.provider}) {what}."
        )


def _unknown(name: str) -> str:
    return f"There is no credential {name!r}; `dragoman credentials list` shows all."


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))


def _with_stored(
    work: Callable[[Administered], Awaitable[_T]], env_file: Any, *, as_json: bool
) -> _T:
    settings = settings_or_fail({"mode": "local"}, env_file, as_json=as_json)
    return with_stored(work, settings, as_json=as_json)
