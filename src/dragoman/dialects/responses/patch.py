"""A request of this dialect for a provider of this dialect: top-level members change, nothing else (D2)."""

from __future__ import annotations

from msgspec import Raw

from dragoman.core.loss import Loss
from dragoman.dialects.base import Outgoing, Target
from dragoman.dialects.members import Object
from dragoman.dialects.responses.envelope import without_sealed
from dragoman.dialects.responses.quirks import apply_quirks
from dragoman.dialects.responses.wire import encode


def patch_request(members: dict[str, Raw], target: Target) -> Outgoing:
    """The caller's own members with the provider's model, every nested value byte for byte.

    Reasoning that another family issued, told to this caller in an envelope, stays behind.
    """
    losses: list[Loss] = []
    body: Object = dict(members)
    body["model"] = target.model
    body.pop("routing", None)
    if target.quirks.flavour != "openrouter":
        body.pop("models", None)
        body.pop("provider", None)  # routing has heeded it
    if "input" in members:
        body["input"], told = without_sealed(members["input"])
        losses += told
    body = apply_quirks(body, target.quirks, losses)
    return Outgoing(encode(body), tuple(losses))
