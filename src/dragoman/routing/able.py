"""Who can serve a request, by what the catalogue knows; what nobody knows is not a no (R-ROUTE-007)."""

from __future__ import annotations

from dragoman.core.capability import Capability
from dragoman.routing.needs import Needs

_DOUBT = 1.25
"""How far an estimate of tokens may be off before it excludes anybody."""


def lacking(able: Capability, needs: Needs, *, every_parameter: bool = False) -> str | None:
    """What the model cannot do of it, in plain words; None: nothing that is known of."""
    kinds = (
        (needs.images and not able.sees, "takes no images"),
        (needs.audio and not able.hears, "takes no audio"),
        (needs.documents and not able.documents, "takes no documents"),
        (needs.tools and not able.tools, "calls no tools"),
        (needs.structured and able.structured_output == "none", "has no structured output"),
        (needs.reasoning and able.reasons is False, "does not reason"),
        (
            every_parameter and needs.sampling and able.rejects_sampling,
            "refuses temperature and top_p",
        ),
    )
    for lacks, said in kinds:
        if lacks:
            return said
    return _too_long(able, needs)


def _too_long(able: Capability, needs: Needs) -> str | None:
    most = able.context_tokens
    if most is not None and needs.input_tokens > most * _DOUBT:
        return f"takes {most} tokens, and the request has about {needs.input_tokens}"
    longest = able.max_output_tokens
    if needs.bounded and longest is not None and needs.output_tokens > longest:
        return f"writes at most {longest} tokens, and the request wants {needs.output_tokens}"
    return None
