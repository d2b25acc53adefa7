"""Which traces are recorded: OpenTelemetry's samplers by their names, as pure functions of the trace's id."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias, get_args

from dragoman.core.trace import TraceContext

SamplerName: TypeAlias = Literal[
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
]
SAMPLERS = get_args(SamplerName)
Sampler: TypeAlias = Callable[[str, TraceContext | None], bool]
"""Trace id and what the caller says of the trace → whether it is recorded."""

_ALL = 1 << 64


def sampler_of(name: SamplerName, share: float) -> Sampler:
    """The sampler of that name; ``share``, 0 to 1, counts for those by ratio.

    Every process decides alike about one trace: by the lower half of its id, as the SDKs do.
    """
    bound = {"always_on": _ALL, "always_off": 0}.get(
        name.removeprefix("parentbased_"), round(share * _ALL)
    )
    by_parent = name.startswith("parentbased_")

    def sample(trace_id: str, context: TraceContext | None) -> bool:
        if by_parent and context is not None:
            return context.sampled
        return bound == _ALL or int(trace_id[16:], 16) < bound

    return sample
