"""``dragoman keys``: callers' keys, made, listed and revoked on the database itself."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from dragoman.cli.key_changes import (
    changed_key,
    reset_usage,
    resume,
    rotate,
    show,
    suspend,
    update,
)
from dragoman.cli.key_lines import described, limits_of, state_of
from dragoman.cli.key_options import DAY_S, Role, check_tier
from dragoman.cli.output import JsonOption, fail, remark, say, say_json, table
from dragoman.cli.own_key import me
from dragoman.cli.place_lines import day
from dragoman.cli.scope_options import (
    ModelsOption,
    PermissionsOption,
    SurfacesOption,
    scoped,
)
from dragoman.cli.settings import EnvFileOption, settings_or_fail
from dragoman.cli.stored import noted, where_keys_are, with_stored

if TYPE_CHECKING:
    from dragoman.identity.ports import KeyRecord
    from dragoman.store.administered import Administered

SUMMARY = "Create, list, change, rotate, suspend and revoke callers' keys."

_HELP = """Create, list, change, rotate, suspend and revoke callers' keys.

These commands work on the database of DATABASE_URL (by default SQLite in DRAGOMAN_HOME), with or without
a running gateway; a running one notices within seconds.

    dragoman keys create --name alice

    dragoman keys rotate 4fG7hJ2k --overlap 24

    dragoman keys revoke 4fG7hJ2k
"""

_DEFAULT = "default"
_UNSAID = "0: no limit, whatever its tier says. [its tier's]"
_MOST = 1_000_000


def add_to(app: typer.Typer) -> None:
    """Registers the group."""
    group = typer.Typer(help=_HELP, short_help=SUMMARY, no_args_is_help=True)
    group.command("create", short_help="Make a key and print it, once.")(create)
    group.command("list", short_help="Show all keys, never their secrets.")(list_)
    group.command("show", short_help="Show one key, never its secret.")(show)
    group.command("me", short_help="Ask a running gateway what your own key may use.")(me)
    group.command("update", short_help="Change a key's place, limits or scope.")(update)
    group.command("rotate", short_help="Give a key another secret, once shown.")(rotate)
    group.command("suspend", short_help="Refuse a key until it is resumed.")(suspend)
    group.command("resume", short_help="Have a suspended key serve again.")(resume)
    group.command("reset-usage", short_help="Have what a key has used count anew.")(reset_usage)
    group.command("revoke", short_help="Revoke a key for good.")(revoke)
    app.add_typer(group, name="keys")
    app.command("generateApiKey", hidden=True)(create)


def create(
    *,
    name: Annotated[str, typer.Option(help="Who or what the key is for.")],
    tenant: Annotated[str, typer.Option(help="Whom it belongs to.")] = _DEFAULT,
    project: Annotated[str, typer.Option(help="A project of the tenant's.")] = "default",
    label: Annotated[str | None, typer.Option(help="To find it by. [none]")] = None,
    role: Annotated[
        Role, typer.Option(help="An admin may manage the gateway, a tenant_admin its tenant.")
    ] = Role.user,
    rps: Annotated[int | None, typer.Option(min=0, help=f"Requests a second. {_UNSAID}")] = None,
    rpm: Annotated[int | None, typer.Option(min=0, help=f"Requests a minute. {_UNSAID}")] = None,
    rpd: Annotated[int | None, typer.Option(min=0, help=f"Requests a day. {_UNSAID}")] = None,
    tpm: Annotated[int | None, typer.Option(min=0, help=f"Tokens a minute. {_UNSAID}")] = None,
    tpd: Annotated[int | None, typer.Option(min=0, help=f"Tokens a day. {_UNSAID}")] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=0, help=f"Tokens in all. {_UNSAID}")
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(min=0, help=f"Requests under way at once. {_UNSAID}")
    ] = None,
    tier: Annotated[
        str | None,
        typer.Option(help="Limits by name, under those said here; see docs/limits.md. [none]"),
    ] = None,
    expires: Annotated[
        float | None, typer.Option(min=0, metavar="DAYS", help="Days until it expires. [never]")
    ] = None,
    models: ModelsOption = None,
    surfaces: SurfacesOption = None,
    permissions: PermissionsOption = None,
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key and print it. It is shown this once and stored only as a digest: keep it now.

    dragoman keys create --name alice --rpm 60 --expires 90
    """
    from dragoman.core.call import Limits

    limits = Limits(rps, rpm, rpd, tpm, tpd, max_tokens, concurrency)
    until = None if expires is None else time.time() + expires * DAY_S

    async def make(stored: Administered) -> tuple[KeyRecord, str, str]:
        from dragoman.core.scopes import NOTHING_SAID
        from dragoman.identity.ports import KeyRecord

        like = KeyRecord(
            "",
            tenant,
            name,
            0.0,
            role.value,
            limits=limits,
            expires=until,
            tier=tier,
            project=project,
            label=label,
            scopes=scoped(NOTHING_SAID, models, surfaces, permissions) or NOTHING_SAID,
        )
        new = await _new_tenant(stored, tenant)
        async with noted(stored.audit, "api_key.create", "", tenant) as note:
            record, secret = await stored.keys.create(like)
            note.target, note.after = record.id, described(record)
        return record, secret.reveal(), new

    settings = settings_or_fail(None, env_file, as_json=as_json)
    if tier is not None:
        check_tier(tier, settings, as_json=as_json)
    record, key, new = with_stored(make, settings, as_json=as_json)
    if as_json:
        home, is_new = str(settings.dragoman_home), bool(new)
        told = {"id": record.id, "key": key, **described(record), "made_tenant": is_new}
        say_json({**told, "home": home})
        return
    if new:
        remark(new)
    say(key)
    # The key alone is the output, for `$(…)` and for files.
    remark(f"\nKey {record.id} for {record.name!r}, tenant {record.tenant!r}, role {record.role}.")
    remark("It is not shown again.")
    remark(
        f"It is stored in {where_keys_are(settings)}: only a gateway on that database knows it."
    )


async def _new_tenant(stored: Administered, tenant: str) -> str:
    """What to say of a tenant that its first key makes; empty where it is there, as the default one always is."""
    import difflib

    if tenant == _DEFAULT or await stored.tenancy.tenant(tenant) is not None:
        return ""
    others = [each.id for each in await stored.tenancy.tenants(limit=_MOST)]
    near = difflib.get_close_matches(tenant, others, 1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return f"There was no tenant {tenant!r}: made tenant {tenant!r}{hint}"


def list_(
    *,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's. [all]")] = None,
    tier: Annotated[str | None, typer.Option(help="Only those that have it. [all]")] = None,
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show all keys, oldest first. The keys themselves are not stored and cannot be shown."""

    async def read(stored: Administered) -> list[KeyRecord]:
        from dragoman.identity.ports import KeySearch

        return await stored.keys.page(KeySearch(tenant=tenant, tier=tier), after=None, limit=_MOST)

    records = with_stored(read, settings_or_fail(None, env_file, as_json=as_json), as_json=as_json)
    if as_json:
        say_json({"keys": [{"id": record.id, **described(record)} for record in records]})
    elif not records:
        say("There are no keys. Make one: dragoman keys create --name alice")
    else:
        table(
            "Keys",
            ("id", "name", "tenant", "project", "role", "limits", "created", "state"),
            [
                (
                    record.id,
                    record.name,
                    record.tenant,
                    record.project,
                    record.role,
                    limits_of(record),
                    day(record.created),
                    state_of(record),
                )
                for record in records
            ],
        )


def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The id, as `keys list` shows it.")],
    *,
    now: Annotated[
        bool, typer.Option("--now", help="End its requests that are under way as well.")
    ] = False,
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Revoke a key for good. Requests that are under way end as they would have, unless --now is said."""

    async def end(stored: Administered) -> KeyRecord | None:
        return await changed_key(
            stored, key_id, "revoke", lambda _: stored.keys.revoke(key_id, cut=now)
        )

    record = with_stored(end, settings_or_fail(None, env_file, as_json=as_json), as_json=as_json)
    if record is None:
        fail(f"There is no key {key_id!r}; `dragoman keys list` shows all.", as_json=as_json)
    if as_json:
        say_json({"id": record.id, **described(record)})
    else:
        say(f"Key {record.id} of {record.name!r} is revoked.")


def status() -> str:
    """Where the keys are."""
    from dragoman.config.load import load_settings

    return f"ready, in {where_keys_are(load_settings())}"
