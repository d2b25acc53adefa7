"""A request of this dialect for a provider of this dialect: top-level members change, nothing else (D2)."""

from __future__ import annotations

from msgspec import Raw

from dragoman.core.loss import Loss
from dragoman.dialects.anthropic.envelope import without_sealed
from dragoman.dialects.anthropic.wire import encode
from dragoman.dialects.base import Outgoing, Target

_OURS = ("routing", "models")
"""Members that speak to the gateway."""


def patch_request(members: dict[str, Raw], target: Target) -> Outgoing:
    """The caller's own members with the provider's model, every nested value byte for byte.

    Reasoning that another family issued, told to this caller in an envelope, stays behind.
    """
    losses: list[Loss] = []
    sent: dict[str, Raw] = {}
    for name, raw in members.items():
        if name in _OURS:
            continue
        if name in target.quirks.drop:
            losses.append(Loss(name, "refused_by_provider"))
            continue
        if name == "messages":
            raw, told = without_sealed(raw)  # noqa: PLW2901  # the value that is sent
            losses += told
        sent[target.quirks.rename.get(name, name)] = raw
    sent["model"] = Raw(encode(target.model))
    return Outgoing(encode(sent), losses=tuple(losses))
