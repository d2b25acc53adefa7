"""A request of this dialect for a provider of this dialect: top-level members change, nothing else (D2)."""

from __future__ import annotations

from msgspec import Raw

from dragoman.core.loss import Loss
from dragoman.dialects.base import Outgoing, Target
from dragoman.dialects.ollama.wire import encode

_OURS = ("routing", "models")
"""Members that speak to the gateway."""


def patch_request(members: dict[str, Raw], target: Target) -> Outgoing:
    """The caller's own members with the provider's model, every nested value byte for byte.

    A request that does not say whether it streams is left as it is: Ollama streams then, and
    so do we (P121).
    """
    sent: dict[str, object] = {}
    losses: list[Loss] = []
    for name, raw in members.items():
        if name in _OURS:
            continue
        if name in target.quirks.drop:
            losses.append(Loss(name, "refused_by_provider"))
        else:
            sent[target.quirks.rename.get(name, name)] = raw
    sent["model"] = target.model
    return Outgoing(encode(sent), tuple(losses))
