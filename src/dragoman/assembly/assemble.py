"""Everything that the configuration says of routing, built whole before anything of it is used.

A start and a reload both come through here, so a file that may be reloaded is one that may be started
with. Only settings in ``HOT`` may differ between two assemblies of one process.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from dragoman.accounting.charging import Charging
from dragoman.admission.budget_rules import Rule
from dragoman.admission.tool_limits import ToolLimits
from dragoman.alarms.judge import Policy as AlertPolicy
from dragoman.assembly.overlay import (
    joined,
    overlaid,
    parts,
    said_of,
    tenants_of,
    tiers_of,
    without_disabled,
)
from dragoman.assembly.reached import reached_of
from dragoman.assembly.registry import identity_mode, open_registry
from dragoman.attempt.policy import Policy
from dragoman.catalog.registry import Registry
from dragoman.catalog.stored import Overlay
from dragoman.config.alerts import read_alerts
from dragoman.config.budgets import budgets_of
from dragoman.config.charges import read_charges
from dragoman.config.settings import ConfigError, Settings
from dragoman.config.tools import read_tool_limits
from dragoman.core.call import Limits
from dragoman.core.provider import Rotation
from dragoman.credentials.pool import Pools
from dragoman.credentials.reached import Reached
from dragoman.identity.authenticate import IdentityMode

HOT = (
    "provider_order",
    "providers",
    "services",
    "aliases",
    "routes",
    "quality",
    "prices",
    "tiers",
    "budgets",
    "charges",
    "tools",
    "alerts",
    "routing_strategy",
    "local_keys",
    "ob1_rotation_mode",
    "connect_timeout_ms",
    "first_event_timeout_ms",
    "stream_idle_timeout_ms",
    "upstream_timeout_ms",
    "stream_write_timeout_ms",
    "max_retries",
    "hedge",
    "image_fetch_providers",
    "keep_bodies",
    "keep_bodies_days",
    "keep_bodies_bytes",
)
"""Settings that take effect without a restart."""
_NOTHING = Overlay()
_USUAL_ALERTS = AlertPolicy()


@dataclass(frozen=True, slots=True)
class Assembly:
    """One configuration, ready to be served by."""

    settings: Settings
    registry: Registry
    pools: Pools
    mode: IdentityMode
    policy: Policy
    tiers: dict[str, Limits]
    budgets: tuple[Rule, ...] = ()
    charging: Charging | None = None
    alerts: AlertPolicy = _USUAL_ALERTS
    tool_limits: ToolLimits | None = None
    """None: callers may offer any tools."""
    overlay: Overlay = _NOTHING
    """What administrators have stored, as far as it is in force."""
    refused: tuple[str, ...] = ()
    """What of it is not, and why."""
    tenants: Mapping[str, Registry] = field(default_factory=dict)
    """What tenants see that have names of their own."""
    services: Mapping[str, Reached] = field(default_factory=dict)
    """Other services that callers reach through us."""


def assemble(
    settings: Settings,
    env: Mapping[str, str],
    before: Registry | None = None,
    where: str = "",
    overlay: Overlay = _NOTHING,
) -> Assembly:
    """The assembly of these settings; what ``before`` had learned of unchanged providers is kept.

    Raises:
        ConfigError: something is wrong; nothing was changed.
    """
    registry = open_registry(overlaid(settings, overlay, env), env, where)
    registry = without_disabled(registry, overlay)
    if before is not None:
        registry.inherit(before)
    registry.load_models()
    return Assembly(
        settings=settings,
        registry=registry,
        pools=Pools(
            registry.credentials,
            {
                name: rotation_of(settings, overlay, name)
                for name, each in registry.definitions.items()
                if each.accounts
            },
            random.random,
        ),
        mode=identity_mode(settings, registry),
        policy=Policy(
            connect_s=settings.connect_timeout_ms / 1000,
            first_event_s=settings.first_event_timeout_s,
            idle_s=settings.stream_idle_timeout_ms / 1000,
            write_s=settings.stream_write_timeout_ms / 1000,
            max_retries=settings.max_retries,
            hedge=settings.hedge,
            estimate_missing_usage=settings.estimate_missing_usage,
        ),
        tiers=tiers_of(settings, overlay),
        budgets=budgets_of(settings),
        alerts=read_alerts(settings.alerts),
        tool_limits=read_tool_limits(settings.tools),
        charging=Charging(read_charges(settings.charges)) if settings.charges else None,
        overlay=overlay,
        tenants=tenants_of(registry, overlay),
        services=reached_of(settings, env, where),
    )


def rotation_of(settings: Settings, overlay: Overlay, name: str) -> Rotation:
    """Whose turn it is among a provider's accounts, by what is stored, else by the setting."""
    stored = next((each.rotation for each in overlay.providers if each.name == name), None)
    return stored or settings.ob1_rotation_mode


def assemble_stored(
    settings: Settings,
    env: Mapping[str, str],
    overlay: Overlay,
    before: Registry | None = None,
    where: str = "",
) -> Assembly:
    """The assembly with as much of what is stored as the file allows.

    The file may have been changed since: an alias may stand for a provider that is no longer there. Then
    the rest is in force, and what is not is told.

    Raises:
        ConfigError: the file alone is wrong.
    """
    try:
        return assemble(settings, env, before, where, overlay)
    except ConfigError:
        if not overlay:
            raise
    fitting, refused = Overlay(overlay.generation), []
    assemble(settings, env, before, where, fitting)
    for part in parts(overlay):
        try:
            assemble(settings, env, before, where, joined(fitting, part))
        except ConfigError as error:
            refused.append(f"{said_of(part)}: {error.message}")
        else:
            fitting = joined(fitting, part)
    return replace(assemble(settings, env, before, where, fitting), refused=tuple(refused))


def only_hot(current: Settings, wanted: Settings) -> Settings:
    """The current settings with those of the wanted ones that may change while serving."""
    return current.model_copy(update={name: getattr(wanted, name) for name in HOT}).read_from(
        wanted.file_text
    )


def changed_names(current: Settings, wanted: Settings) -> tuple[list[str], list[str]]:
    """The settings that differ: those that take effect now, and those that need a restart."""
    differ = [
        name for name in Settings.model_fields if getattr(current, name) != getattr(wanted, name)
    ]
    return (
        [name for name in differ if name in HOT],
        [name for name in differ if name not in HOT],
    )
