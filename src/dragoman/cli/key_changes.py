"""``dragoman keys`` of keys that are there: shown, changed, given another secret, suspended."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

import typer

from dragoman.cli.key_lines import UNITS, described, tell, told
from dragoman.cli.key_options import DAY_S, LIMIT, Role, check_tier
from dragoman.cli.output import USAGE, JsonOption, fail, remark, say, say_json
from dragoman.cli.scope_options import (
    ModelsOption,
    PermissionsOption,
    SurfacesOption,
    scoped,
)
from dragoman.cli.settings import EnvFileOption, settings_or_fail
from dragoman.cli.stored import noted, with_stored

if TYPE_CHECKING:
    from dragoman.core.call import Limits
    from dragoman.identity.ports import KeyChange, KeyRecord
    from dragoman.store.administered import Administered

__all__ = ["changed_key", "reset_usage", "resume", "rotate", "show", "suspend", "update"]

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The id, as `keys list` shows it.")]


def show(
    key_id: IdArgument, *, env_file: EnvFileOption = None, as_json: JsonOption = False
) -> None:
    """Show one key: its place, its limits, its scope and its state, never its secret."""

    async def read(stored: Administered) -> KeyRecord | None:
        return await stored.keys.get(key_id)

    settings = settings_or_fail(None, env_file, as_json=as_json)
    tell(
        _there(with_stored(read, settings, as_json=as_json), key_id, as_json=as_json),
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

    async def change(stored: Administered) -> KeyRecord | None:
        return await changed_key(
            stored, key_id, "update", lambda before: stored.keys.change(key_id, wanted(before))
        )

    def wanted(before: KeyRecord) -> KeyChange:
        from dragoman.core.call import NO_LIMITS
        from dragoman.identity.ports import KeyChange

        until = None if expires is None else 0.0
        if expires:
            until = time.time() + expires * DAY_S
        return KeyChange(
            name=name,
            role=None if role is None else role.value,
            tier=tier,
            limits=NO_LIMITS if tier_limits else _limits(before, said),
            expires=until,
            project=project,
            label=label,
            scopes=scoped(before.scopes, models, surfaces, permissions),
        )

    found = _there(with_stored(change, settings, as_json=as_json), key_id, as_json=as_json)
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
    secrets: list[str] = []

    async def renew(stored: Administered) -> KeyRecord | None:
        async def rotated(before: KeyRecord) -> KeyRecord:
            found, secret = await stored.keys.rotate(before, overlap * 3600)
            secrets.append(secret.reveal())
            return found

        found = await stored.keys.get(key_id)
        if found is None or found.revoked is not None:
            return found
        return await changed_key(stored, key_id, "rotate", rotated)

    settings = settings_or_fail(None, env_file, as_json=as_json)
    record = _there(with_stored(renew, settings, as_json=as_json), key_id, as_json=as_json)
    if not secrets:
        fail(f"The key {key_id} is revoked: make a new one.", as_json=as_json)
    key = secrets[0]
    if as_json:
        say_json({"id": record.id, "key": key, **described(record)})
        return
    say(key)
    remark("\nIt is not shown again.")
    for line in told(record, " has a new secret"):
        remark(line)


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


def reset_usage(
    key_id: IdArgument, *, env_file: EnvFileOption = None, as_json: JsonOption = False
) -> None:
    """Have what a key has used count anew: its allowance of tokens, and what it is told of itself.

    The ledger keeps all of it. Running gateways notice within a second.

    dragoman keys reset-usage 4fG7hJ2k
    """
    moments: list[int] = []

    async def reset(stored: Administered) -> KeyRecord | None:
        async def change(before: KeyRecord) -> KeyRecord:
            moments.append(await stored.keys.reset_usage(key_id))
            return before

        return await changed_key(stored, key_id, "reset_usage", change)

    settings = settings_or_fail(None, env_file, as_json=as_json)
    _there(with_stored(reset, settings, as_json=as_json), key_id, as_json=as_json)
    if as_json:
        say_json({"id": key_id, "counts_since": moments[0] / 1_000_000})
    else:
        say(f"What the key {key_id} has used counts anew from now on.")


def _switched(key_id: str, env_file: EnvFileOption, *, off: bool, as_json: bool) -> None:
    async def switch(stored: Administered) -> KeyRecord | None:
        from dragoman.identity.ports import KeyChange

        change = KeyChange(suspended=not off)
        verb = "resume" if off else "suspend"
        return await changed_key(
            stored, key_id, verb, lambda _: stored.keys.change(key_id, change)
        )

    settings = settings_or_fail(None, env_file, as_json=as_json)
    found = _there(with_stored(switch, settings, as_json=as_json), key_id, as_json=as_json)
    tell(found, as_json=as_json)


def _there(found: KeyRecord | None, key_id: str, *, as_json: bool) -> KeyRecord:
    if found is None:
        fail(f"There is no key {key_id!r}; `dragoman keys list` shows all.", as_json=as_json)
    return found


async def changed_key(
    stored: Administered,
    key_id: str,
    verb: str,
    change: Callable[[KeyRecord], Awaitable[KeyRecord | None]],
) -> KeyRecord | None:
    """The key as it is after a change that stands in the audit log; None where there is none."""
    before = await stored.keys.get(key_id)
    if before is None:
        return None
    told = described(before)
    async with noted(stored.audit, f"api_key.{verb}", key_id, before.tenant, before=told) as note:
        found = await change(before)
        note.after = None if found is None else described(found)
    return found
