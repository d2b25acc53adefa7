"""What commands that make and change keys have in common: roles, limits, tiers."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from dragoman.cli.output import fail

if TYPE_CHECKING:
    from dragoman.config.settings import Settings

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

    try:
        tiers = read_tiers(settings)
    except ConfigError as error:
        fail(error.message, as_json=as_json)
    if tier not in tiers:
        fail(unknown_tier(tier, tiers), as_json=as_json)
