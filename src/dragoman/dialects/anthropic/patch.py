"""A request of this dialect for a provider of this dialect: top-level members change, nothing else (D2)."""

from __future__ import annotations

from msgspec import Raw

from dragoman.core.loss import Loss
from dragoman.core.provider import Quirks
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
    sent: dict[str, object] = dict(members)
    for name in _OURS:
        sent.pop(name, None)
    if "messages" in members:
        sent["messages"], told = without_sealed(members["messages"])
        losses += told
    quirks = target.quirks
    if quirks.drop or quirks.rename:
        sent = _with_quirks(sent, quirks, losses)
    sent["model"] = target.model
    return Outgoing(encode(sent), tuple(losses))


def _with_quirks(
    members: dict[str, object], quirks: Quirks, losses: list[Loss]
) -> dict[str, object]:
    """The members under the provider's names, without those that it refuses."""
    sent: dict[str, object] = {}
    for name, raw in members.items():
        if name in quirks.drop:
            losses.append(Loss(name, "refused_by_provider"))
        else:
            sent[quirks.rename.get(name, name)] = raw
    return sent
