"""What commands that make and change keys have in common: roles, limits, tiers."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from dragoman.cli.output import fail
from dragoman.cli.work import done_with

if TYPE_CHECKING:
    from dragoman.config.settings import Settings
    from dragoman.core.call import Limits
    from dragoman.store.engine import Database
    from dragoman.store.seal import Sealer
    from dragoman.store.sql.keys import SqlKeys

__all__ = ["DAY_S", "LIMIT", "Role", "check_tier"]

DAY_S = 86_400
LIMIT: TypeAlias = Annotated[
    int | None, typer.Option(min=0, help="A limit of its own; 0: none. [as it is]")
]


class Role(StrEnum):
    """What a key may manage."""

    user = "user"
    tenant_admin = "tenant_admin"
    admin = "admin"


def check_tier(tier: str, settings: Settings, *, as_json: bool) -> None:
    """Ends the program where there is no such tier: the key would be refused everywhere."""
    from dragoman.config.settings import ConfigError
    from dragoman.config.tiers import read_tiers, unknown_tier
    from dragoman.stores import open_store

    try:
        tiers = read_tiers(settings)
    except ConfigError as error:
        fail(error.message, as_json=as_json)
    if tier in tiers:
        return
    stored = done_with(open_store(settings), _stored_tiers, as_json=as_json)
    if tier not in stored:
        fail(unknown_tier(tier, {**tiers, **stored}), as_json=as_json)


async def _stored_tiers(opened: tuple[Database, SqlKeys, Sealer]) -> dict[str, Limits]:
    """Those that administrators have added over the admin API."""
    from dragoman.core.clock import SystemClock
    from dragoman.store.sql.stored_tiers import SqlTiers

    tiers = await SqlTiers(opened[0], SystemClock()).all()
    return {tier.name: tier.limits for tier in tiers}
