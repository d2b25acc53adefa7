"""A request of this dialect for a provider of this dialect: top-level members change, nothing else (D2)."""

from __future__ import annotations

import json

import msgspec
from msgspec import Raw

from dragoman.core.loss import Loss
from dragoman.dialects.base import Outgoing, Target
from dragoman.dialects.gemini import wire
from dragoman.dialects.gemini.signatures import looks_sealed, unsealed_text
from dragoman.dialects.gemini.wire import WireError, camel, encode

_OURS = ("routing", "models", "model")
"""Members that speak to the gateway; the model's name stands in the path."""


def patch_request(members: dict[str, Raw], target: Target) -> Outgoing:
    """The caller's own members, every nested value byte for byte.

    Reasoning that another family issued, told to this caller in an envelope, stays behind.
    """
    losses: list[Loss] = []
    sent: dict[str, object] = {}
    quirks = target.quirks
    for name, raw in members.items():
        if name in _OURS:
            continue
        if name in quirks.drop or camel(name) in quirks.drop:
            losses.append(Loss(name, "refused_by_provider"))
            continue
        sent[quirks.rename.get(name, name)] = raw
    if "contents" in members and looks_sealed(bytes(members["contents"])):
        sent["contents"] = _without_sealed(members["contents"], losses)
    return Outgoing(encode(sent), tuple(losses))


def _without_sealed(contents: Raw, losses: list[Loss]) -> object:
    """The contents without thoughts in envelopes; every other value stays as it came."""
    try:
        kept: list[object] = []
        for number, content in enumerate(wire.items(contents, "contents")):
            found = msgspec.json.decode(content, type=dict[str, Raw])
            parts = wire.items(found["parts"], "parts") if "parts" in found else []
            left = [part for part in parts if not _is_sealed(part)]
            losses += [
                Loss(f"contents[{number}].parts[{place}]", "reasoning of another family")
                for place, part in enumerate(parts)
                if _is_sealed(part)
            ]
            if len(left) == len(parts):
                kept.append(content)
            elif left:
                kept.append({**found, "parts": left})
    except (WireError, *wire.BAD_JSON):  # The provider says best what is wrong with it.
        return contents
    return kept


def _is_sealed(part: Raw) -> bool:
    found = wire.members(part, "part")
    signature = found.get("thoughtSignature")
    if signature is None:
        return False
    try:
        value = json.loads(bytes(signature))
    except ValueError:
        return False
    return isinstance(value, str) and unsealed_text(value) is not None
