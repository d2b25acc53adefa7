"""What the settings say of providers' health, as the room of health takes it."""

from __future__ import annotations

from dragoman.config.exclusions import read_exclusions
from dragoman.config.settings import ConfigError, Settings
from dragoman.core.provider import ACCOUNT
from dragoman.health.breaker import BreakerPolicy
from dragoman.health.disabling import DisablingPolicy
from dragoman.health.health import Health
from dragoman.telemetry.log import Log


def health_of(settings: Settings, log: Log) -> Health:
    """The health of nobody so far, with the numbers that were set.

    The log is told who is disabled and enabled, and of a file of excluded errors that cannot be used: it
    excludes nothing then (R-ADD-023).
    """
    try:
        excluded = read_exclusions(settings.dragoman_home)
    except ConfigError as error:
        log.event("warn", "no error is excluded", error=error.message)
        excluded = ()
    health = Health(
        BreakerPolicy(failures=settings.breaker_failures, open_s=settings.breaker_open_s),
        DisablingPolicy(
            on=not settings.disable_provider_auto_disable,
            after_models=settings.disable_provider_after_models,
            over_s=settings.disable_model_after_s,
            probe_s=settings.disable_probe_s,
        ),
        excluded,
    )

    def switched(provider: str, model: str, off: bool) -> None:  # noqa: FBT001  as it is told
        what = "disabled" if off else "enabled again"
        name, _, account = provider.partition(ACCOUNT)
        named = {"provider": name, "model": model, "account": account}
        named = {what: each for what, each in named.items() if each}
        log.event("warn", f"{'model' if model else 'provider'} {what}", **named)

    health.disabling.notice = switched
    return health
