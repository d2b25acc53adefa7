"""The mock's temper: how slow, how faulty and how talkative it is, and with which dice.

Start-up values come from ``MOCK_*`` variables (R-MOCK-001); ``/mock/config`` changes them
while it runs, and ``/mock/reset`` returns to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta, Struct, field

from dragoman.mock.invoice import Rates

__all__ = ["MockConfig", "MockConfigError", "changed", "from_environment"]

_Milliseconds = Annotated[float, Meta(ge=0)]
_Rate = Annotated[float, Meta(ge=0, le=1)]


class MockConfigError(ValueError):
    """A value that the mock cannot work with; the message names it and what was expected."""


class MockConfig(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What may be set; the names on the wire are in camel case (R-MOCK-002)."""

    base_delay: _Milliseconds = 200
    """Milliseconds before the first byte."""
    delay_variance: _Milliseconds = 100
    """The first byte comes up to this much earlier or later."""
    error_rate: _Rate = 0.15
    timeout_rate: _Rate = 0.05
    """The share of requests that are never answered."""
    token_speed: Annotated[float, Meta(ge=0)] = 25
    """Tokens a second; 0 writes everything at once."""
    enable_logs: bool = True
    generation_delay: _Milliseconds = 300
    """Milliseconds after an answer in which OpenRouter does not know yet what it came to."""
    generation_factor: Annotated[float, Meta(ge=0)] = 1
    """How much more it then says that it costs than the answer had said."""
    seed: int | None = None
    """None rolls other dice at every start."""
    prices: dict[str, Rates] = field(default_factory=dict)
    """Beginning of a model's name → what it costs; a model that none fits costs a dollar a million tokens."""


IMMEDIATE = MockConfig(
    base_delay=0, delay_variance=0, error_rate=0, timeout_rate=0, token_speed=0, enable_logs=False
)
"""No delay, no error, no log: for tests and benches that script what they need."""

_VARIABLES = {
    "MOCK_BASE_DELAY": "baseDelay",
    "MOCK_DELAY_VARIANCE": "delayVariance",
    "MOCK_ERROR_RATE": "errorRate",
    "MOCK_TIMEOUT_RATE": "timeoutRate",
    "MOCK_TOKEN_SPEED": "tokenSpeed",
    "MOCK_ENABLE_LOGS": "enableLogs",
    "MOCK_GENERATION_DELAY": "generationDelay",
    "MOCK_GENERATION_FACTOR": "generationFactor",
    "MOCK_SEED": "seed",
}


def from_environment(environ: Mapping[str, str]) -> MockConfig:
    """The start-up values; an empty variable counts as unset."""
    config = MockConfig()
    for variable, name in _VARIABLES.items():
        if value := environ.get(variable, "").strip():
            config = _merged(config, {name: value}, where=variable, strict=False)
    return config


def changed(config: MockConfig, body: bytes) -> MockConfig:
    """``config`` with the members of a JSON object in place of its own."""
    try:
        patch = msgspec.json.decode(body, type=dict[str, object])
    except msgspec.DecodeError:
        raise MockConfigError(
            'The body is not a JSON object; send for example {"errorRate": 0.3}.'
        ) from None
    return _merged(config, patch, where="The configuration", strict=True)


def _merged(
    config: MockConfig, patch: Mapping[str, object], *, where: str, strict: bool
) -> MockConfig:
    known: dict[str, object] = msgspec.to_builtins(config)
    try:
        return msgspec.convert({**known, **patch}, MockConfig, strict=strict)
    except msgspec.ValidationError as error:
        raise MockConfigError(f"{where} is not usable: {error}.") from None
