"""``dragoman keys`` of keys that are there: shown, changed, given another secret, suspended."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from dragoman.cli.key_lines import UNITS, described, tell
from dragoman.cli.key_options import DAY_S, LIMIT, Role, check_tier
from dragoman.cli.output import USAGE, JsonOption, fail, say, say_json
from dragoman.cli.scope_options import (
    ModelsOption,
    PermissionsOption,
    SurfacesOption,
    scoped,
)
from dragoman.cli.settings import EnvFileOption, settings_or_fail
from dragoman.cli.work import done_with

if TYPE_CHECKING:
    from dragoman.config.settings import Settings
    from dragoman.core.call import Limits
    from dragoman.identity.ports import KeyRecord
    from dragoman.store.sql.key_desk import SqlKeyDesk

__all__ = ["resume", "rotate", "show", "suspend", "update"]

_T = TypeVar("_T")
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The id, as `keys list` shows it.")]


def show(
    key_id: IdArgument, *, env_file: EnvFileOption = None, as_json: JsonOption = False
) -> None:
    """Show one key: its place, its limits, its scope and its state, never its secret."""

    async def read(desk: SqlKeyDesk) -> KeyRecord | None:
        return await desk.get(key_id)

    settings = settings_or_fail(None, env_file, as_json=as_json)
    tell(
        _there(_with_desk(read, settings, as_json=as_json), key_id, as_json=as_json),
        as_json=as_json,
    )


def update(
    key_id: IdArgument,
    *,
    name: Annotated[str | None, typer.Option(help="Who or what the key is for.")] = None,
    label: Annotated[str | None, typer.Option(help="To find it by; empty: none.")] = None,
    project: Annotated[str | None, typer.Option(help="A project of its tenant.")] = None,
    role: Annotated[Role | None, typer.Option(help="What it may manage.")] = None,
    tier: Annotated[str | None, typer.Option(help="Limits by name; empty: none.")] = None,
    rps: LIMIT = None,
    rpm: LIMIT = None,
    rpd: LIMIT = None,
    tpm: LIMIT = None,
    tpd: LIMIT = None,
    max_tokens: LIMIT = None,
    concurrency: LIMIT = None,
    tier_limits: Annotated[
        bool, typer.Option("--tier-limits", help="Only its tier's limits, none of its own.")
    ] = False,
    models: ModelsOption = None,
    surfaces: SurfacesOption = None,
    permissions: PermissionsOption = None,
    expires: Annotated[
        float | None, typer.Option(min=0, metavar="DAYS", help="Days from now; 0: never.")
    ] = None,
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change a key; what is left out stays. Running gateways hold to it within a second.

    dragoman keys update 4fG7hJ2k --models 'openai/gpt-4o*' --rpm 60
    """
    said = dict(zip(UNITS, (rps, rpm, rpd, tpm, tpd, max_tokens, concurrency), strict=True))
    if tier_limits and any(number is not None for number in said.values()):
        fail("Say limits, or --tier-limits.", as_json=as_json, code=USAGE)
    settings = settings_or_fail(None, env_file, as_json=as_json)
    if tier:
        check_tier(tier, settings, as_json=as_json)

    async def change(desk: SqlKeyDesk) -> KeyRecord | None:
        from dragoman.core.call import NO_LIMITS
        from dragoman.identity.ports import KeyChange

        before = await desk.get(key_id)
        if before is None:
            return None
        until = None if expires is None else 0.0
        if expires:
            until = time.time() + expires * DAY_S
        return await desk.change(
            key_id,
            KeyChange(
                name=name,
                role=None if role is None else role.value,
                tier=tier,
                limits=NO_LIMITS if tier_limits else _limits(before, said),
                expires=until,
                project=project,
                label=label,
                scopes=scoped(before.scopes, models, surfaces, permissions),
            ),
        )

    found = _there(_with_desk(change, settings, as_json=as_json), key_id, as_json=as_json)
    tell(found, " is changed", as_json=as_json)


def _limits(before: KeyRecord, said: dict[str, int | None]) -> Limits | None:
    from msgspec.structs import replace

    new = {name: number for name, number in said.items() if number is not None}
    return replace(before.limits, **new) if new else None


def rotate(
    key_id: IdArgument,
    *,
    overlap: Annotated[
        float,
        typer.Option(min=0, max=720, metavar="HOURS", help="How long the old secret goes on."),
    ] = 0.0,
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a key another secret and print it, once. Its id, its limits and what it has used stay.

    dragoman keys rotate 4fG7hJ2k --overlap 24
    """

    async def renew(desk: SqlKeyDesk) -> tuple[KeyRecord, str] | KeyRecord | None:
        found = await desk.get(key_id)
        if found is None or found.revoked is not None:
            return found
        record, secret = await desk.rotate(found, overlap * 3600)
        return record, secret.reveal()

    settings = settings_or_fail(None, env_file, as_json=as_json)
    found = _with_desk(renew, settings, as_json=as_json)
    if not isinstance(found, tuple):
        _there(found, key_id, as_json=as_json)
        fail(f"The key {key_id} is revoked: make a new one.", as_json=as_json)
    record, key = found
    if as_json:
        say_json({"id": record.id, "key": key, **described(record)})
        return
    say(key)
    say("\nIt is not shown again.")
    tell(record, " has a new secret", as_json=False)


def suspend(
    key_id: IdArgument, *, env_file: EnvFileOption = None, as_json: JsonOption = False
) -> None:
    """Have a key refused within a second, until it is resumed. Requests under way end as they would have."""
    _switched(key_id, env_file, off=False, as_json=as_json)


def resume(
    key_id: IdArgument, *, env_file: EnvFileOption = None, as_json: JsonOption = False
) -> None:
    """Have a suspended key serve again."""
    _switched(key_id, env_file, off=True, as_json=as_json)


def _switched(key_id: str, env_file: EnvFileOption, *, off: bool, as_json: bool) -> None:
    async def switch(desk: SqlKeyDesk) -> KeyRecord | None:
        from dragoman.identity.ports import KeyChange

        return await desk.change(key_id, KeyChange(suspended=not off))

    settings = settings_or_fail(None, env_file, as_json=as_json)
    found = _there(_with_desk(switch, settings, as_json=as_json), key_id, as_json=as_json)
    tell(found, as_json=as_json)


def _there(found: KeyRecord | None, key_id: str, *, as_json: bool) -> KeyRecord:
    if found is None:
        fail(f"There is no key {key_id!r}; `dragoman keys list` shows all.", as_json=as_json)
    return found


def _with_desk(
    work: Callable[[SqlKeyDesk], Awaitable[_T]], settings: Settings, *, as_json: bool
) -> _T:
    from dragoman.stores import open_key_desk

    return done_with(open_key_desk(settings), work, as_json=as_json)
