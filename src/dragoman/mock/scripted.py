"""What a script says of one exchange: its refusal, and how fast its answer comes."""

from __future__ import annotations

from dragoman.mock.config import MockConfig
from dragoman.mock.errors import Fault
from dragoman.mock.play import Pace
from dragoman.mock.script import Script


def fault_of(script: Script, status: int) -> Fault:
    """The refusal that a script tells."""
    return Fault(
        status, script.message, script.error_type, script.error_code, None, script.retry_after
    )


def pace_of(config: MockConfig, script: Script | None, drift: float) -> Pace:
    """Seconds: the script's, where it has some, else the configuration's with its variance."""
    first_ms = max(0.0, config.base_delay + drift * config.delay_variance)
    if script is not None and script.delay is not None:
        first_ms = script.delay
    between = None if script is None else script.chunk_delay
    return Pace(
        first_s=first_ms / 1000,
        token_s=1 / config.token_speed if config.token_speed else 0.0,
        between_s=None if between is None else between / 1000,
    )
